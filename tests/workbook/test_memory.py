"""What a step needs is counted by hand here, and what does not fit is refused with both numbers."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.answering.conditions import Bench
from lib.models.capacity import SHAPES, Device, Shape
from lib.models.generate import Layout
from lib.study_file import load_study
from lib.training.recipes import build_examples
from lib.training.sft import tokenize
from lib.workbook import execute, memory, plan
from lib.workbook.memory import Need

# 368 weights in two layers: attention 2 * 4 * (4 + 2) = 48, feed-forward 3 * 4 * 8 = 96 each; embeddings 2 * 10 * 4.
SMALL = Shape(layers=2, hidden=4, intermediate=8, query=4, key_value=2, vocabulary=10, tied=False)
GIB = 2**30
H100_GIB = 80e9 / GIB


@pytest.fixture
def bench(tiny_study, small_corpus):
    return Bench(tiny_study, small_corpus)


def training(bench, name="lora", shape=SMALL, **changes):
    recipe = bench.study.recipes[name].model_copy(update=changes)
    return (memory._training(name, recipe, shape, bench, 4).gib - memory.OVERHEAD_GIB) * GIB


def test_answering_holds_weights_keys_values_one_layer_and_logits():
    bench = SimpleNamespace(layout=Layout(max_new_tokens=3, batch_size=5, batch_tokens=100))
    weights, cache = 2 * (2 * (48 + 96) + 80), 2 * (2 * 2 * 2 * (100 + 15))
    layer, logits = 2 * 100 * (4 * 4 + 2 * 8), 4 * 5 * 10
    found = memory._answering("base", SMALL, bench, 2)
    assert (found.gib - 1) * GIB == pytest.approx(weights + cache + layer + logits)
    assert found.step == "answering with base"


def test_training_holds_frozen_weights_and_sixteen_bytes_of_each_trained_one(bench):
    examples = build_examples(
        bench.corpus, bench.study.recipes["lora"], bench.language_model("base", 0).tokenizer, None
    )
    longest = max(len(tokenize(bench.language_model("base", 0).tokenizer, e)["input_ids"]) for e in examples)
    tokens = 2 * longest
    passing = 4 * 2 * tokens * (34 * 4 + 2 * 8) + 4 * 10 * tokens
    weights, adapter = 2 * (48 + 96) + 80, 4 * 2 * (2 * 8 + 2 * 6 + 3 * 12)
    assert training(bench) == pytest.approx(4 * weights + 16 * adapter + passing, rel=1e-4)
    full = training(bench, method="full", rank=None, alpha=None)
    assert full == pytest.approx(16 * weights + passing, rel=1e-4)


def test_more_facts_or_a_larger_adapter_need_more_and_attention_alone_less(bench):
    assert training(bench, batch_size=4) > training(bench) > training(bench, target_modules="attention")
    assert training(bench, rank=8) - training(bench) == pytest.approx(16 * 4 * 2 * 64)


def test_projecting_conflicts_holds_four_more_bytes_of_each_trained_weight_for_each_example(bench):
    for size in (2, 8):
        apart = training(bench, batch_size=size, conflicts="projected") - training(bench, batch_size=size)
        assert apart == pytest.approx(4 * size * 4 * 2 * 64)


def test_processes_share_out_the_batch_and_under_fsdp_the_weights(bench):
    def of(shape, accelerate):
        bench.study = bench.study.model_copy(update={"accelerate": accelerate})
        return training(bench, shape=shape, batch_size=8, rank=64)

    large = SMALL._replace(hidden=4096, intermediate=8192)  # next to which a batch is nothing
    alone, pair, sharded = (
        of(large, config and f"studies/accelerate/{config}.yaml") for config in (None, "data_parallel", "fsdp2")
    )
    held = 4 * large.parameters + 16 * large.adapter(64)
    assert alone - pair == pytest.approx((alone - held) / 2)
    assert alone - sharded == pytest.approx(3 / 4 * alone)


def test_only_what_a_grid_or_the_gradients_use_is_counted(bench):
    study = bench.study
    assert memory.used_recipes(study) == ["lora"]
    raft = study.conditions["rag"].model_copy(update={"weights": "raft"})
    candidates = study.model_copy(update={"conditions": {**study.conditions, "rag": raft}})
    assert memory.used_recipes(candidates) == ["lora", "raft"]
    assert memory.used_recipes(load_study("itr")) == list(load_study("itr").recipes)


def test_the_hungriest_step_comes_first(bench):
    found = memory.needs(bench, {"base": SMALL})
    assert {need.step for need in found} == {"answering with base", "training lora"}
    assert [need.gib for need in found] == sorted((need.gib for need in found), reverse=True)


def test_what_does_not_fit_is_refused_with_both_numbers_and_what_to_do(tiny_study):
    needs = [Need("training full", 99.96, "an adapter"), Need("training lora", 81, "less"), Need("answering", 79.9, "")]
    with pytest.raises(ValueError) as refused:
        memory.refuse_unfit(tiny_study, needs, "a GPU", 80.0)
    assert str(refused.value).splitlines() == [
        "study tiny does not fit: a GPU has 80.0 GiB",
        "  training full: about 100.0 GiB; take an adapter",
        "  training lora: about 81.0 GiB; take less",
    ]
    memory.refuse_unfit(tiny_study, needs, "a GPU", 100.0)


@pytest.mark.parametrize("name", SHAPES)
def test_the_gpu_study_s_batches_of_answers_fit_80_gb_and_not_24(name):
    generation = load_study("gpu").generation
    layout = Layout(generation.max_new_tokens, generation.batch_size, generation.batch_tokens)
    need = memory._answering("base", SHAPES[name], SimpleNamespace(layout=layout), 2)
    assert 24 < need.gib < H100_GIB


def test_eight_billion_full_weights_fit_four_such_gpus_and_not_one(bench):
    def gib(accelerate):
        bench.study = bench.study.model_copy(update={"accelerate": accelerate})
        recipe = bench.study.recipes["lora"].model_copy(update={"method": "full", "rank": None, "batch_size": 8})
        shape = SHAPES["meta-llama/Llama-3.1-8B-Instruct"]
        return memory._training("full", recipe, shape, bench, 2).gib

    assert gib(None) > 119 > H100_GIB > gib("studies/accelerate/fsdp2.yaml")


@pytest.fixture
def fetched(tiny_study, tiny_model, monkeypatch):
    """The tiny study with a model that would have to be fetched, whose tokens the tiny model counts."""
    corpus = tiny_study.corpus.model_copy(update={"test": 4, "dev": 3})
    models = {"base": "meta-llama/Llama-3.1-8B-Instruct"}
    grids = {"some": tiny_study.grids["some"]}
    update = {"models": models, "corpus": corpus, "grids": grids}
    monkeypatch.setattr(memory, "COUNTER", str(tiny_model))
    return tiny_study.model_copy(update=update)


def test_a_model_to_be_fetched_is_planned_without_it(fetched, tiny_study, monkeypatch, capsys):
    assert memory.must_be_fetched(fetched) and not memory.must_be_fetched(tiny_study)
    monkeypatch.setattr(plan, "load_study", lambda name: fetched)
    device = Device("a GPU", 80.0, 1e15, 3e12)
    monkeypatch.setattr(plan, "measure_device", lambda precision: device)
    plan.main("any")
    printed = capsys.readouterr().out
    assert "estimated from 1000.0 TFLOP/s and 3000 GB/s here" in printed and "hours)" in printed
    monkeypatch.setattr(plan, "measure_device", lambda precision: device._replace(memory_gib=12.0))
    with pytest.raises(
        ValueError, match=r"a GPU has 12.0 GiB\n  answering with base: about \d+\.\d GiB; take a smaller"
    ):
        plan.main("any")


def test_a_run_that_cannot_fit_stops_before_anything_is_fetched(fetched, monkeypatch):
    monkeypatch.setattr(execute, "load_study", lambda name: fetched)
    monkeypatch.setattr(execute, "locate_study", lambda name: None)
    monkeypatch.setattr(execute, "up_to_date", lambda study, notebook: False)
    monkeypatch.setattr(execute, "notebooks_of", lambda study: [Path("01.ipynb")])
    monkeypatch.setattr(execute, "execute", lambda *arguments: pytest.fail("nothing may run"))
    monkeypatch.setattr(memory, "memory_gib", lambda: 2.0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(execute.asked, "refuse_missing", lambda study, corpus: None)
    with pytest.raises(ValueError, match="study tiny does not fit: .* has 2.0 GiB"):
        execute.main("any")
    assert "HF_HUB_OFFLINE" not in os.environ, "a notebook's process inherits it, and could fetch nothing"
