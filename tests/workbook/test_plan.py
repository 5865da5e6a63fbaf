"""A forecast counts every piece of work once."""

import pytest

from lib.answering.conditions import Bench
from lib.models.claude import SAMPLE
from lib.models.claude_replies import PRICES_AS_OF, PRICES_USD_PER_MTOK, estimated_tokens
from lib.studies import Claude
from lib.training.recipes import build_examples
from lib.training.sft import tokenize
from lib.workbook import plan
from lib.workbook.plan import Rates
from tests.standin import error

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


def asking_claude(bench, judge="keyfacts"):
    models = Claude(answer_model="claude-sonnet-5-5", judge_model="claude-haiku-5-5")
    bench.study = bench.study.model_copy(update={"claude": models, "judge": judge})
    return bench


def test_claude_answers_every_paraphrase_and_judges_the_base_beside_the_key_facts(bench):
    asking_claude(bench)
    paraphrases, trained = bench.corpus.ask("paraphrase"), bench.corpus.ask("trained")
    dev = bench.corpus.ask("paraphrase", "dev")
    cost = plan.forecast_claude(bench)
    assert cost.requests == len(paraphrases) + len(paraphrases) + len(trained) + len(dev)
    assert not cost.counted
    bodies = plan._claude_requests(bench)
    tokens = {model: [estimated_tokens(b) for b in bodies if b["model"] == model] for model in PRICES_USD_PER_MTOK}
    sonnet, haiku = tokens["claude-sonnet-5-5"], tokens["claude-haiku-5-5"]
    assert len(sonnet) == len(paraphrases)
    by_hand = 2.0 * sum(sonnet) + 10.0 * 200 * len(sonnet) + 0.10 * sum(haiku) + 0.50 * 200 * len(haiku)
    assert cost.usd == pytest.approx(by_hand / 2 / 1e6)
    assert cost.tokens_in == round(sum(sonnet) + sum(haiku)) and cost.worst_usd > cost.usd


def test_a_study_judged_by_claude_pays_for_every_answer_that_has_a_reference(bench):
    asking_claude(bench, "claude")
    asked = len(bench.corpus.ask("trained")) + len(bench.corpus.ask("paraphrase"))
    grid = (1 + 1 + 2) * asked + 2 * len(bench.corpus.ask("paraphrase", "dev"))
    few = len(bench.corpus.ask("trained", "test", 2)) + len(bench.corpus.ask("paraphrase", "test", 2))
    screened = len(bench.corpus.screen("general")) + len(bench.corpus.screen("easy"))
    answers = len(bench.corpus.ask("paraphrase"))
    assert plan.forecast_claude(bench).requests == answers + grid + few + answers + screened


def test_the_rewritings_and_comparisons_of_later_notebooks_are_paid_too(bench):
    before = plan.forecast_claude(asking_claude(bench)).requests
    block = bench.study.grids["some"]
    grids = {**bench.study.grids, "03_claude_reformatting": block, "06_hybrid": block}
    bench.study = bench.study.model_copy(update={"grids": grids})
    few = len(bench.corpus.items("test")), len(bench.corpus.ask("paraphrase"))
    assert max(few) <= SAMPLE
    # two pairs of arms, each in both orders
    assert plan.forecast_claude(bench).requests == before + few[0] + 4 * few[1]


def test_with_a_key_the_api_counts_some_requests_and_answers_none(bench, standin):
    guess = plan.forecast_claude(asking_claude(bench))
    assert guess.counted and 0 < standin.count("count_tokens") <= 2 * plan.COUNTED
    assert {operation for operation, _, _ in standin.seen} == {"count_tokens"}
    # the stand-in counts four bytes a token, the estimate three
    assert guess.tokens_in == pytest.approx(0.75 * sum(map(estimated_tokens, plan._claude_requests(bench))), rel=0.05)
    standin.queued["count_tokens"] = [error(400, "invalid_request_error")]
    assert not plan.forecast_claude(bench).counted


def test_a_plan_says_whether_the_tokens_were_counted_and_what_the_limit_is(bench, capsys):
    plan.print_claude(bench)
    assert "not asked" in capsys.readouterr().out
    plan.print_claude(asking_claude(bench))
    printed = capsys.readouterr().out
    assert "an estimate from length" in printed and "the limit is 1" in printed and PRICES_AS_OF in printed
