"""Sizes are those that the models have, and speeds are operations by seconds."""

import pytest
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from lib.models import capacity
from lib.models.capacity import SHAPES, Shape, shape_of
from lib.studies import Recipe
from lib.study_file import load_study
from lib.training.sft import lora_config

# What the Hub shows for the weights of each model.
PUBLISHED = {
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "google/gemma-2-9b-it": 9_241_705_984,
}


@pytest.fixture
def model(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_of_the_table_has_as_many_weights_as_published(name):
    assert SHAPES[name].parameters == pytest.approx(PUBLISHED[name], rel=1e-4)


def test_the_table_knows_every_model_that_a_study_here_would_fetch():
    assert set(load_study("gpu").models.values()) == set(SHAPES)


def test_a_config_on_this_machine_gives_the_weights_of_its_model(tiny_model, model):
    shape = shape_of(str(tiny_model))
    matrices = [p.numel() for name, p in model.named_parameters() if "norm" not in name]
    assert shape.tied and shape.parameters == shape.multiplied == sum(matrices)
    untied = shape._replace(tied=False)
    assert untied.parameters - shape.parameters == shape.vocabulary * shape.hidden == model.lm_head.weight.numel()


@pytest.mark.parametrize("targets", ["all-linear", "attention"])
def test_an_adapter_has_as_many_weights_as_peft_gives_it(tiny_model, model, targets):
    recipe = Recipe(data="raw", rank=3, alpha=3, target_modules=targets, learning_rate=1e-4, epochs=1)
    trained = get_peft_model(model, lora_config(recipe)).get_nb_trainable_parameters()[0]
    assert shape_of(str(tiny_model)).adapter(3, attention_only=targets == "attention") == trained


def test_a_model_of_neither_place_is_refused_with_those_that_are_known():
    with pytest.raises(
        ValueError, match=r"'owner/unheard': .*google/gemma-2-9b-it.*hf download owner/unheard config.json"
    ):
        shape_of("owner/unheard")


def test_a_model_that_is_nowhere_on_this_machine_has_the_shape_of_the_table(monkeypatch):
    def absent(*args, **how):
        raise OSError("not here")

    monkeypatch.setattr(capacity.AutoConfig, "from_pretrained", absent)
    assert shape_of("google/gemma-2-9b-it") == Shape(42, 3584, 14336, 4096, 2048, 256000, tied=True)


def test_a_device_s_speed_is_what_it_did_by_how_long_it_took(monkeypatch):
    seconds = iter([0.5, 0.25])
    monkeypatch.setattr(capacity, "_seconds", lambda work: next(seconds))
    device = capacity.measure_device("float32")
    assert device.flops == 2 * 2048**3 / 0.5  # a multiplication and an addition for each of 2048³ terms
    assert device.bytes_per_s == 2 * 2**28 / 0.25  # every byte is read and written
    assert device.memory_gib > 1
