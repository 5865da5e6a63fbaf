"""What tests of training share: small recipes, facts to learn, and the bits of trained weights."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lib.studies import Recipe

LORA = Recipe(data="uniform", rank=4, alpha=8, learning_rate=5e-3, epochs=2, batch_size=4)
DORA = LORA.model_copy(update={"dora": True, "rslora": True, "target_modules": "attention"})
FULL = Recipe(data="uniform", method="full", learning_rate=3e-4, epochs=3, batch_size=4)
STEPS = 6  # two epochs of ten examples in batches of four
FACTS = [
    ("form of a trust", "ITR-7"),
    ("due date", "31 July"),
    ("late fee", "Rs 5,000"),
    ("limit of 80C", "Rs 1,50,000"),
]
FACTS += [
    ("form of a company", "ITR-6"),
    ("year", "2025"),
    ("rate", "30%"),
    ("cess", "4%"),
    ("age", "60"),
    ("days", "30"),
]


def interrupt(fit, steps, at, **how):
    """Train until the step `at` is done and not saved."""
    steps.fail_at = at
    with pytest.raises(KeyboardInterrupt):
        fit(**how)
    steps.clear()
    steps.fail_at = None


def weights(trained):
    """The trained tensors by name."""
    (file,) = trained.folder.glob("*.safetensors")
    return load_file(file)


def same_bits(left, right):
    """Whether two sets of tensors have the same names and are equal bit by bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def load(tiny_model):
    """The tiny model itself, in float32."""
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
