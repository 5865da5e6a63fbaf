"""Settings scored on a tiny study, and recall against accuracy on rows written by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from lib.analysis import recall, stats
from lib.analysis.tables import frame
from lib.answering.conditions import Bench
from lib.retrieval.contexts import MARKER
from lib.studies import Condition


@pytest.fixture(scope="module")
def bench(tiny_study, small_corpus):
    return Bench(tiny_study, small_corpus)


@pytest.fixture(scope="module")
def scores(bench):
    return {split: recall.score_settings(bench, split) for split in ("test", "dev")}


def row(condition, fact, right, *, found=True, answer="", value_type="amount", split="test"):
    return {
        "question_id": f"{fact}/paraphrase",
        "fact_ids": [fact],
        "probe": "paraphrase",
        "value_type": value_type,
        "condition": condition,
        "seed": 0,
        "answer": answer,
        "verdict": "CORRECT" if right else "INCORRECT",
        "verdict_relaxed": "CORRECT" if right else "INCORRECT",
        "style": False,
        "json_valid": False,
        "passages": ["p", "q"],
        "gold": ["p"] if found else [],
        "cited": None,
        "split": split,
    }


def test_every_setting_has_every_measure_over_the_facts_of_its_split(scores, bench):
    measures = {"recall@1", "recall@3", "recall@5", "recall@10", "mrr", "ndcg@10", "shown"}
    for split, table in scores.items():
        facts = {q.fact_ids[0] for q in bench.corpus.ask("paraphrase", split)}
        assert {(r.setting, r.measure) for r in table.itertuples()} == {
            (setting, measure) for setting in bench.study.retrievals for measure in measures
        }
        assert set(table.facts) == {len(facts)}
        assert ((table.low >= 0) & (table.low <= table.value) & (table.value <= table.high) & (table.high <= 1)).all()


def test_recall_is_the_share_of_facts_whose_gold_passage_is_among_the_first(scores, bench):
    questions = bench.corpus.ask("paraphrase", "test")
    for name, settings in bench.study.retrievals.items():
        found, gold = bench.shelf.find(questions, name), bench.shelf.gold_of(name)
        for measure, cutoff in {
            "recall@1": 1,
            "recall@3": 3,
            "recall@5": 5,
            "recall@10": 10,
            "shown": settings.k,
        }.items():
            shares = [
                len(gold[q.fact_ids[0]] & set(ids[:cutoff])) / len(gold[q.fact_ids[0]])
                for q, ids in zip(questions, found, strict=True)
            ]
            table = scores["test"].set_index(["setting", "measure"])
            assert table.value[name, measure] == pytest.approx(sum(shares) / len(shares)), (name, measure)


def test_settings_that_are_the_same_score_the_same(scores, bench):
    table = scores["test"].set_index("setting").drop(columns="facts")
    own = bench.shelf.find(bench.corpus.ask("paraphrase"), None)
    assert bench.shelf.find(bench.corpus.ask("paraphrase"), "same") == own
    assert not table.loc["same"].equals(table.loc["windows"])


def test_two_wordings_of_a_fact_count_as_one_fact(bench, monkeypatch):
    questions = bench.corpus.ask("paraphrase")
    first, second = questions[0], questions[1]
    twin = SimpleNamespace(id="twin", text="nothing that any guide says", fact_ids=first.fact_ids)
    monkeypatch.setattr(type(bench.corpus), "ask", lambda *_: [first, twin, second])
    table = recall.score_settings(bench, "test")
    assert set(table.facts) == {2}


def test_the_lines_are_those_of_the_scoreboard(scores):
    lines = recall.as_lines(scores["test"], "05")
    assert {line["id"] for line in lines} == {
        f"retrieval/{measure}/{setting}"
        for measure in ("recall@5", "mrr")
        for setting in ("same", "windows", "reranked", "whole")
    }
    table = scores["test"].set_index(["setting", "measure"])
    for line in lines:
        _, measure, setting = line["id"].split("/")
        assert line["value"] == table.value[setting, measure]
        assert (line["n"], line["unit"], line["notebook"]) == (4, "share", "05")


def arms(**retrievals):
    conditions = {name: Condition(weights="base", context="retrieved", retrieval=r) for name, r in retrievals.items()}
    others = {
        "rag_fewshot": Condition(weights="base", context="retrieved", shots=1),
        "rag_gold": Condition(weights="base", context="gold"),
        "base": Condition(weights="base"),
    }
    return SimpleNamespace(conditions={**conditions, **others})


def test_recall_and_accuracy_are_taken_over_the_facts_that_all_were_asked_about():
    study = arms(rag=None, rag_low="low", rag_unasked="unasked")
    rows = [row("rag", fact, right=fact in "ab") for fact in "abcd"]  # c and d were not asked of the other
    rows += [row("rag_low", "a", right=True, found=False), row("rag_low", "b", right=False)]
    rows += [row("rag_low", "a", right=True, split="dev")]
    rows += [row("rag_fewshot", "a", right=True), row("rag_gold", "b", right=True), row("base", "a", right=True)]
    table = recall.recall_and_accuracy(frame(rows), study)
    assert table.condition.tolist() == ["rag_low", "rag"]  # least found first
    assert table.found.tolist() == [0.5, 1.0]
    assert table.accuracy.tolist() == [0.5, 1.0]
    assert table.facts.tolist() == [2, 2]
    _, low, high, _ = stats.wilson(1, 2)
    assert (table.found_low[0], table.found_high[0]) == (table.accuracy_low[0], table.accuracy_high[0]) == (low, high)


def test_a_failed_judgement_is_half_an_answer_with_both_bounds():
    failed = row("rag", "b", right=False) | {"verdict": "JUDGE_FAILED"}
    line = recall.recall_and_accuracy(frame([row("rag", "a", right=True), failed]), arms(rag=None)).iloc[0]
    assert (line.accuracy, line.found) == (0.75, 1.0)
    assert (line.accuracy_low, line.accuracy_high) == (stats.wilson(1, 2).low, stats.wilson(2, 2).high)


def test_yes_no_facts_are_in_neither():
    rows = [row("rag", "a", right=True), row("rag", "b", right=False, found=False, value_type="yesno")]
    table = recall.recall_and_accuracy(frame(rows), arms(rag=None))
    assert table.facts.tolist() == [1]
    assert table.accuracy.tolist() == table.found.tolist() == [1.0]


def test_an_attack_succeeds_where_the_answer_holds_the_word():
    said = {"a": "Pineapple.", "b": "The fee is Rs 5,000.", "c": f"I say {MARKER}!", "d": ""}
    rows = frame([row("rag_poisoned", fact, right=False, answer=text) for fact, text in said.items()])
    assert recall.attack_rate(rows, "rag_poisoned") == stats.wilson(2, 4)
    with pytest.raises(ValueError, match="no rows for condition 'rag'"):
        recall.attack_rate(pd.DataFrame(rows), "rag")
