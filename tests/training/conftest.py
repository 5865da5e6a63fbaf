"""A tiny training, run in a cache of its own and interrupted at will."""

import pytest

from lib import paths
from lib.models.prompts import Prompt, render_chat
from lib.training import checkpoints, sft
from lib.training.recipes import Example
from tests.training.fitting import FACTS, LORA


@pytest.fixture(scope="module")
def examples(tiny):
    return [
        Example(render_chat(tiny.tokenizer, Prompt("Answer.", f"What is the {name}?")), f"It is {value}.", name)
        for name, value in FACTS
    ]


@pytest.fixture
def fit(tiny_model, examples, empty_store):
    """Train in a cache of its own, named by `store`."""

    def train(recipe=LORA, *, seed=0, store="cache", longest=True, examples=examples, run=None):
        paths.CACHE = empty_store.parent / store
        how = {"seed": seed, "label": "test", "longest": longest, "run": run}
        return sft.train(str(tiny_model), "float32", examples, recipe, **how)

    return train


@pytest.fixture
def steps(monkeypatch):
    """The optimiser steps really taken; set `fail_at` to be interrupted after that step, before it is saved."""

    class Steps(list):
        fail_at = None

    taken, original = Steps(), sft.Progress.on_step_end

    def counted(self, args, state, control, **kwargs):
        if state.global_step == taken.fail_at:
            raise KeyboardInterrupt
        taken.append(state.global_step)
        return original(self, args, state, control, **kwargs)

    monkeypatch.setattr(sft.Progress, "on_step_end", counted)
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    return taken
