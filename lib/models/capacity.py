"""How large a model is, and how much a device holds and computes: for a forecast, before any weights are fetched."""

import os
import time
from statistics import median
from typing import NamedTuple

import torch
from transformers import AutoConfig, PretrainedConfig

from lib.models import registry

# Shapes of Hub models as their config.json gave them on this day, so that nothing is asked of the Hub to plan.
SHAPES_AS_OF = "2026-11-21"


class Shape(NamedTuple):
    """A decoder with gated feed-forward layers. query, key_value: heads times their width; tied: one embedding serves both
    ends.
    """

    layers: int
    hidden: int
    intermediate: int
    query: int
    key_value: int
    vocabulary: int
    tied: bool

    @property
    def multiplied(self) -> int:
        """The weights that every token is multiplied with: those of all linear layers, the vocabulary head included."""
        attention = 2 * self.hidden * (self.query + self.key_value)
        return self.layers * (attention + 3 * self.hidden * self.intermediate) + self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights, norms and biases apart, which are less than one in a thousand."""
        return self.multiplied + (0 if self.tied else self.vocabulary * self.hidden)

    def adapter(self, rank: int, *, attention_only: bool = False) -> int:
        """The weights of a LoRA adapter: rank times the sum of both widths of every layer it sits on."""
        widths = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key_value)
        return rank * self.layers * (widths + (0 if attention_only else 3 * (self.hidden + self.intermediate)))


SHAPES = {
    "meta-llama/Llama-3.1-8B-Instruct": Shape(32, 4096, 14336, 4096, 1024, 128256, tied=False),
    "Qwen/Qwen2.5-7B-Instruct": Shape(28, 3584, 18944, 3584, 512, 152064, tied=False),
    "mistralai/Mistral-7B-Instruct-v0.3": Shape(32, 4096, 14336, 4096, 1024, 32768, tied=False),
    "google/gemma-2-9b-it": Shape(42, 3584, 14336, 4096, 2048, 256000, tied=True),
}


def shape_of(source: str) -> Shape:
    """The shape of a model of the study: from its config where that is on this machine, else from the dated table.

    Raises ValueError naming the models of the table for one that is in neither place.
    """
    try:
        config = AutoConfig.from_pretrained(registry.resolve(source), local_files_only=True, trust_remote_code=False)
    except OSError:
        if source in SHAPES:
            return SHAPES[source]
        message = f"model {source!r}: its config is not on this machine, and its size is not known as that of"
        remedy = f"fetch it: .venv/bin/hf download {source} config.json, or mend the path if a directory was meant"
        raise ValueError(f"{message} {sorted(SHAPES)} is; {remedy}") from None
    return from_config(config)


def from_config(config: PretrainedConfig) -> Shape:
    """The shape that a config describes."""
    text = config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        text.num_hidden_layers,
        text.hidden_size,
        text.intermediate_size,
        width * text.num_attention_heads,
        width * (getattr(text, "num_key_value_heads", None) or text.num_attention_heads),
        text.vocab_size,
        bool(config.tie_word_embeddings),
    )


class Device(NamedTuple):
    """What there is to compute with: memory in GiB, floating-point operations and bytes moved a second."""

    name: str
    memory_gib: float
    flops: float
    bytes_per_s: float


def measure_device(precision: str) -> Device:
    """The GPU, else this machine, measured in the study's precision for a second or two: the median of 20 products of
    2048 x 2048 matrices, and of 20 copies of 256 MiB.
    """
    device, dtype = registry.device(), registry.choose_precision(precision).dtype
    left, right = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
    block = torch.empty(2**28, device=device, dtype=torch.uint8)
    product, copy = (_seconds(work) for work in (lambda: left @ right, block.clone))
    return Device(registry.device_name(), memory_gib(), 2 * 2048**3 / product, 2 * block.numel() / copy)


def memory_gib() -> float:
    """The memory of the GPU, else of this machine."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / 2**30
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _seconds(work, times: int = 20) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return median(taken)
