"""Forgetting on numbers that can be worked out by hand, and on a tiny study."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from lib.analysis import forgetting, stats
from lib.analysis.tables import frame
from lib.answering.conditions import Bench
from lib.corpus.load import Corpus, load_corpus
from lib.corpus.records import Fact, FaqItem, Question
from lib.models.perplexity import TextLoss
from lib.studies import Recipe, Study


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 500)


def read(*pairs):
    """The losses of texts, each given as (nats, tokens)."""
    return [TextLoss(total, tokens, 0.0) for total, tokens in pairs]


def test_perplexity_counts_tokens_not_paragraphs():
    table = forgetting.perplexity_table({"base": [read((10 * math.log(2), 10), (30 * math.log(8), 30))]})
    (row,) = table.to_dict("records")
    # (10 log 2 + 30 log 8) / 40 = 2.5 log 2; the mean of the two paragraphs would be 2 log 2
    assert row["perplexity"] == pytest.approx(2**2.5)
    assert (row["ratio"], row["ratio low"], row["ratio high"]) == (1, 1, 1)
    assert (row["paragraphs"], row["seeds"]) == (2, 1)
    assert row["low"] < row["perplexity"] < row["high"]


def test_a_ratio_is_tuned_over_base_and_paragraphs_that_rise_alike_leave_no_doubt():
    base = [(10.0, 5), (90.0, 30), (20.0, 11)]
    tuned = [(total + tokens * math.log(3), tokens) for total, tokens in base]
    table = forgetting.perplexity_table({"base": [read(*base)], "tuned": [read(*tuned)]}).set_index("condition")
    assert table.ratio["tuned"] == pytest.approx(3)
    assert table.perplexity["tuned"] == pytest.approx(3 * table.perplexity["base"])
    # However much the paragraphs differ in length and in loss, the ratio is paired.
    assert table["ratio low"]["tuned"] == pytest.approx(3)
    assert table["ratio high"]["tuned"] == pytest.approx(3)
    assert table.low["tuned"] < table.high["tuned"]


def test_at_equal_lengths_the_interval_is_the_bootstrap_of_the_paragraphs_own_differences():
    base, change = [(20.0, 10), (30.0, 10), (25.0, 10), (10.0, 10)], [0.1, 0.3, -0.2, 0.4]
    tuned = [(total + 10 * more, tokens) for (total, tokens), more in zip(base, change, strict=True)]
    table = forgetting.perplexity_table({"base": [read(*base)], "tuned": [read(*tuned)]}).set_index("condition")
    low, high = stats.bootstrap_mean(change)
    assert table.ratio["tuned"] == pytest.approx(math.exp(0.15))
    assert table["ratio low"]["tuned"] == pytest.approx(math.exp(low))
    assert table["ratio high"]["tuned"] == pytest.approx(math.exp(high))


def test_seeds_are_averaged_as_losses_before_anything_is_resampled():
    one, other = [(10.0, 10), (20.0, 10)], [(14.0, 10), (16.0, 10)]
    both = forgetting.perplexity_table({"base": [read(*one)], "tuned": [read(*one), read(*other)]})
    mean = forgetting.perplexity_table({"base": [read(*one)], "tuned": [read((12.0, 10), (18.0, 10))]})
    assert list(both.seeds) == [1, 2]
    pd.testing.assert_frame_equal(both.drop(columns="seeds"), mean.drop(columns="seeds"))


def test_conditions_that_read_other_tokens_are_not_compared():
    with pytest.raises(ValueError, match="tuned and base did not read the same texts"):
        forgetting.perplexity_table({"base": [read((9.0, 4))], "tuned": [read((9.0, 4)), read((9.0, 5))]})


def preferences(**margins):
    """Rows of `margins`: for each condition, each seed's margins of the items a, b, c, of which c was not known."""
    return pd.DataFrame(
        [
            {"condition": name, "seed": seed, "unit": unit, "margin": margin, "known": unit != "c"}
            for name, seeds in margins.items()
            for seed, row in enumerate(seeds)
            for unit, margin in zip("abc", row, strict=True)
        ]
    )


def test_a_change_of_preference_is_paired_over_the_items_that_were_known():
    found = preferences(base=[(1.0, 0.5, 9.0)], tuned=[(0.5, -0.5, 0.0), (1.5, -0.3, 0.0)])
    table = forgetting.preference_table(found).set_index("condition")
    # a: mean 1.0, unchanged; b: mean -0.4, down by 0.9; c is left out
    assert table.change["tuned"] == pytest.approx(-0.45)
    assert (table.low["tuned"], table.high["tuned"]) == pytest.approx(stats.bootstrap_mean([0.0, -0.9]))
    assert (table["items"]["tuned"], table.seeds["tuned"]) == (2, 2)
    assert (table.preferred["base"], table.preferred["tuned"]) == (1.0, 0.5)
    assert tuple(table.loc["base", ["change", "low", "high"]]) == (0, 0, 0)


def test_where_the_base_prefers_nothing_there_is_nothing_to_lose():
    found = preferences(base=[(1.0, 0.5, 9.0)]).assign(known=False)
    assert forgetting.preference_table(found).empty


def test_a_corpus_without_untrained_items_has_no_preferences_to_lose(bench):
    found = forgetting.margins(bench, ["base", "lora"], [])
    assert forgetting.preference_table(found).to_dict("records") == []


@pytest.fixture(scope="module")
def bench(tiny_study):
    corpus = load_corpus("data/itr", test=4, dev=3, raft=10, neighbour=2, easy=6, general=12, unanswerable=3)
    return Bench(tiny_study, corpus)


def test_margins_are_of_the_asked_wording_and_known_by_the_other_one(bench):
    found = forgetting.margins(bench, ["base", "lora"], ["general", "easy"])
    assert set(zip(found.condition, found.seed, strict=True)) == {("base", 0), ("lora", 0), ("lora", 1)}
    items = set(found.unit)
    assert len(items) * 3 == len(found) > 0
    assert items <= {q.fact_ids[0] for probe in ("general", "easy") for q in bench.corpus.ask(probe)}
    known = found.groupby("unit").known.nunique()
    assert set(known) == {1}
    # The two wordings change places: what was margin decides what is known.
    corpus = bench.corpus
    turned = tuple(replace(q, text=q.screen_text, screen_text=q.text) if q.screen_text else q for q in corpus.questions)
    turned = forgetting.margins(Bench(bench.study, replace(corpus, questions=turned)), ["base"], ["general", "easy"])
    turned = turned.set_index("unit")
    first = found[found.condition == "base"].set_index("unit")
    assert dict(turned.known) == dict(first.margin > 0)
    assert dict(first.known) == dict(turned.margin > 0)
    assert dict(turned.margin) != dict(first.margin)


def fact(name, value, *, topic="fees", value_type="amount", split="test"):
    return Fact(name, topic, name, "", value, value_type, (), "", None, split, "normal", ())


def item(fact_id):
    return FaqItem(fact_id, (fact_id,), "", "", "terse", "")


LORA = {"rank": 4, "alpha": 4, "learning_rate": 0.001, "epochs": 1}
FACTS = (
    fact("n1", "500 INR", split="neighbour"),
    fact("n2", "12 %", value_type="percent", split="neighbour"),
    fact("n3", "700 INR", split="neighbour"),
    fact("t1", "900 INR"),
    fact("t2", "500 INR"),  # the value of n1 itself
    fact("t3", "600 INR", topic="gifts"),  # another topic
    fact("t4", "800 INR"),  # behind the recipe's limit
    fact("dev", "750 INR", split="dev"),
)
QUESTIONS = tuple(Question(f"{n}/neighbour", (n,), "neighbour", "How much?", None) for n in ("n1", "n2", "n3"))
CORPUS = Corpus(
    facts=FACTS,
    faq=tuple(item(name) for name in ("t1", "t2", "t3", "t4", "dev")),
    questions=QUESTIONS,
    documents=(),
    evidence=(),
)


@pytest.mark.parametrize(
    ("data", "facts", "near"),
    [
        ("raw", 3, {"n1": ["t1"], "n3": ["t1", "t2"]}),
        ("uniform", None, {"n1": ["t1", "t4"], "n3": ["t1", "t2", "t4"]}),
        ("raft", 3, {}),
        ("before", 3, {}),
    ],
)
def test_near_facts_are_trained_of_the_same_topic_and_kind_and_say_another_value(data, facts, near):
    found = forgetting.near_facts(CORPUS, Recipe(data=data, facts=facts, **LORA))
    assert {name: [one.id for one in facts] for name, facts in found.items()} == near


def row(condition, name, answer, seed=0, probe="neighbour"):
    return {
        "question_id": f"{name}/{probe}",
        "fact_ids": [name],
        "probe": probe,
        "condition": condition,
        "seed": seed,
        "answer": answer,
        "verdict": "INCORRECT",
        "verdict_relaxed": "INCORRECT",
        "style": False,
        "json_valid": False,
    }


@pytest.fixture
def study(tiny_study):
    recipes = {"lora": Recipe(data="raw", facts=3, seeds=(0, 1), **LORA), "raft": Recipe(data="raft", **LORA)}
    conditions = {**tiny_study.conditions, "raft": tiny_study.conditions["lora"].model_copy(update={"weights": "raft"})}
    return tiny_study.model_copy(update={"recipes": recipes, "conditions": conditions})


def test_answers_with_a_near_value_are_counted_against_the_untouched_models(study: Study):
    said = {
        ("base", 0): ("It is Rs 500.", "It is 12 %.", "Rs 900."),  # n1 right; n3 gives t1's value by chance
        ("lora", 0): ("It is Rs 900.", "It is Rs 900.", "Rs 500."),  # n2 has no near fact, whatever it says
        ("lora", 1): ("It is not Rs 900.", "12 %", "It is Rs 800."),  # a denied value is not given; t4 was not trained
        ("raft", 0): ("It is Rs 900.", "", ""),
    }
    rows = [
        row(name, fact, answer, seed)
        for (name, seed), answers in said.items()
        for fact, answer in zip(("n1", "n2", "n3"), answers, strict=True)
    ]
    rows.append(row("lora", "t1", "Rs 900.", probe="trained"))
    (line,) = forgetting.near_values(frame(rows), CORPUS, study).to_dict("records")
    # lora: n1 (1 + 0) / 2, n3 (1 + 0) / 2; base: n1 0, n3 1
    assert (line["condition"], line["facts"]) == ("lora", 2)
    assert (line["value"], line["base"], line["difference"]) == (0.5, 0.5, 0.0)
    assert (line["low"], line["high"]) == pytest.approx(stats.share_interval([0.5, 0.5]))
    interval = stats.difference_interval([0.5, -0.5], level=0.95)
    assert (line["difference low"], line["difference high"]) == pytest.approx(interval)


def test_without_neighbour_questions_the_table_is_empty(study: Study):
    assert forgetting.near_values(frame([row("lora", "t1", "", probe="trained")]), CORPUS, study).empty


def test_a_condition_that_was_asked_about_no_neighbour_with_a_near_fact_has_no_line(study: Study):
    rows = [row(name, "n2", "It is Rs 900.", 0) for name in ("base", "lora")]  # n2 has no near fact, n1 and n3 have
    assert forgetting.near_values(frame(rows), CORPUS, study).empty


def test_the_scoreboard_has_a_line_of_each_number_and_none_of_base_against_itself():
    near = pd.DataFrame([["lora", 2, 0.5, 0.1, 0.9, 0.4, 0.1, -0.2, 0.4]], columns=forgetting.NEAR_HEADER)
    found = forgetting.preference_table(preferences(base=[(1.0, 0.5, 9.0)], lora=[(0.5, 0.5, 0.0)]))
    texts = forgetting.perplexity_table({"base": [read((9.0, 4), (8.0, 4))], "lora": [read((9.0, 4), (9.0, 4))]})
    lines = {line["id"]: line for line in forgetting.scores(near, found, texts, "02")}
    assert list(lines) == [
        "near_value/lora",
        "delta/near_value/lora-vs-base",
        "kept_loglik/lora",
        "perplexity/base",
        "perplexity/lora",
        "perplexity_ratio/lora",
    ]
    assert {line["notebook"] for line in lines.values()} == {"02"}
    picked = {name: [line[key] for key in ("value", "low", "high", "n")] for name, line in lines.items()}
    assert picked["near_value/lora"] == [0.5, 0.1, 0.9, 2]
    assert picked["delta/near_value/lora-vs-base"] == [0.1, -0.2, 0.4, 2]
    assert picked["kept_loglik/lora"][::3] == [pytest.approx(-0.25), 2]
    assert picked["perplexity/base"][::3] == [pytest.approx(math.exp(17 / 8)), 2]
    assert picked["perplexity_ratio/lora"][::3] == [pytest.approx(math.exp(1 / 8)), 2]
    empty = forgetting.scores(near[:0], found[:0], texts[:1], "02")
    assert [line["id"] for line in empty] == ["perplexity/base"]
