"""A forecast counts every piece of work once."""

import pytest

from lib.answering.conditions import Bench
from lib.training.recipes import build_examples
from lib.training.sft import tokenize
from lib.workbook import plan
from lib.workbook.plan import Rates

RATES = Rates(train_tokens_per_s=100.0, read_tokens_per_s=1000.0, step_seconds=0.01, row_seconds=0.001, steps=4)


@pytest.fixture
def bench(tiny_study, small_corpus):
    return Bench(tiny_study, small_corpus)


def test_training_is_counted_for_every_seed_and_epoch(bench):
    recipe = bench.study.recipes["lora"]
    tokenizer = bench.language_model("base", 0).tokenizer
    examples = build_examples(bench.corpus, recipe, tokenizer, bench.shelf.passages)
    once = sum(len(tokenize(tokenizer, example)["input_ids"]) for example in examples)
    # two seeds of two epochs each
    assert plan.forecast(bench, RATES)["both"].train_tokens == 2 * 2 * once


def test_a_longer_run_of_the_same_recipe_pays_only_for_what_the_shorter_one_left(bench):
    recipe = bench.study.recipes["lora"]
    longer = {"lora": recipe, "long": recipe.model_copy(update={"epochs": 5, "seeds": (0,)})}
    bench.study = bench.study.model_copy(update={"recipes": longer})
    trained = {}
    first, second = (plan._new_training(bench, name, trained) for name in ("lora", "long"))
    assert first == 4 * second / 3  # 2 seeds x 2 epochs against 3 further epochs of one seed


def test_a_twin_without_conflicts_is_another_training_that_reads_the_same_tokens(bench):
    recipe = bench.study.recipes["lora"]
    twins = {"lora": recipe, "twin": recipe.model_copy(update={"conflicts": "projected"})}
    bench.study = bench.study.model_copy(update={"recipes": twins})
    trained = {}
    first, second, again = (plan._new_training(bench, name, trained) for name in ("lora", "twin", "twin"))
    assert first == second > again == 0


def test_twins_that_choose_a_rate_are_paid_for_by_themselves(bench):
    assert "learning rates, on dev" not in plan.forecast(bench, RATES)
    twin = bench.study.recipes["lora"].model_copy(update={"split": "dev"})
    bench.study = bench.study.model_copy(update={"recipes": {**bench.study.recipes, "twin": twin}})
    costs = plan.forecast(bench, RATES)
    tokens = costs.pop("learning rates, on dev").train_tokens
    examples = build_examples(bench.corpus, twin, bench.language_model("base", 0).tokenizer, None)
    once = sum(len(tokenize(bench.language_model("base", 0).tokenizer, example)["input_ids"]) for example in examples)
    assert tokens == 2 * 2 * once  # seeds and epochs
    assert sum(cost.train_tokens for cost in costs.values()) == costs["both"].train_tokens


def test_answers_of_an_earlier_notebook_are_not_paid_twice(bench):
    costs = plan.forecast(bench, RATES)
    asked = len(bench.corpus.ask("trained")) + len(bench.corpus.ask("paraphrase"))
    dev = len(bench.corpus.ask("paraphrase", "dev"))
    assert costs["both"].answers == (1 + 1 + 2) * asked + 2 * dev  # base, rag, and lora with two seeds
    assert costs["twice"].answers == 0


def test_seconds_fall_when_the_machine_is_faster_and_never_below_the_fixed_cost(bench):
    slow, fast = plan.forecast(bench, RATES), plan.forecast(bench, RATES._replace(train_tokens_per_s=1e9))
    assert fast["both"].seconds < slow["both"].seconds
    assert all(cost.seconds >= plan.SECONDS_PER_NOTEBOOK for cost in fast.values())
