"""Two answers to a question, and which of them is given."""

import math

import pytest
import torch

from lib.answering.conditions import Bench
from lib.answering.routing import confidence, surer
from lib.corpus.records import Answer
from lib.models.generate import Layout
from lib.studies import Condition

LAYOUT = Layout(4, 8, 16384)


def answer(text, run, passages=()):
    return Answer("q", "routed", 0, text, passages, 10, 3, None, run)


def test_the_surer_answer_is_given_its_own_on_a_tie_and_both_are_paid_for():
    own, other = [answer(f"a{n}", "a", ("p",)) for n in range(3)], [answer(f"b{n}", "b") for n in range(3)]
    given = surer(
        own=own, other=other, own_confidence=[-1.0, -2.0, -math.inf], other_confidence=[-1.5, -1.0, -math.inf]
    )
    assert [a.text for a in given] == ["a0", "b1", "a2"]
    assert [a.passages for a in given] == [("p",), (), ("p",)]
    assert {(a.prompt_tokens, a.answer_tokens) for a in given} == {(20, 6)}
    assert len({a.run for a in given}) == 1
    assert given[0].run not in ("a", "b")


def test_a_question_without_an_answer_of_both_sides_is_not_dropped():
    with pytest.raises(ValueError, match="shorter"):
        surer([answer("a", "a")] * 2, [answer("b", "b")], [-1.0, -1.0], [-1.0])


def test_confidence_is_the_log_likelihood_of_the_answer_by_the_character(tiny, empty_store):
    prompt, text = "system\n", "one form"
    head = tiny.tokenizer(prompt, add_special_tokens=False).input_ids
    tail = tiny.tokenizer(text, add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = tiny.model(torch.tensor([head + tail])).logits[0, len(head) - 1 : -1].log_softmax(-1)
    by_hand = sum(float(row[token]) for row, token in zip(logits, tail, strict=True)) / len(text)
    assert confidence(tiny, [prompt], [text], LAYOUT) == [pytest.approx(by_hand, rel=1e-4)]


def test_an_empty_answer_is_never_the_surer_one(tiny, empty_store):
    empty, said = confidence(tiny, ["system\n", "system\n"], ["", "form"], LAYOUT)
    assert empty == -math.inf
    assert -math.inf < said < 0


@pytest.fixture(scope="module")
def routed(tiny_study, small_corpus):
    conditions = {
        "base": Condition(weights="base"),
        "rag": Condition(weights="base", context="retrieved"),
        "lora": Condition(weights="lora"),
        "route": Condition(weights="base", context="retrieved", unless_surer="lora"),
    }
    return Bench(tiny_study.model_copy(update={"conditions": conditions}), small_corpus)


def test_a_routed_condition_gives_one_of_both_answers_with_the_seeds_of_the_closed_book(routed):
    questions = routed.corpus.ask("paraphrase")
    assert routed.seeds("route") == routed.seeds("lora") == (0, 1)
    for seed in (0, 1):
        given = routed.answer("route", questions, seed=seed)
        retrieved, closed = routed.answer("rag", questions, seed=0), routed.answer("lora", questions, seed=seed)
        for one, a, b in zip(given, retrieved, closed, strict=True):
            assert (one.condition, one.seed) == ("route", seed)
            assert (one.text, one.passages) in ((a.text, a.passages), (b.text, b.passages))
            assert one.prompt_tokens == a.prompt_tokens + b.prompt_tokens


def test_routing_follows_confidence_and_nothing_else(routed, monkeypatch):
    questions = routed.corpus.ask("paraphrase")
    for sure_of, context in (("retrieved", "retrieved"), ("none", "none")):
        monkeypatch.setattr(
            routed,
            "_confidence",
            lambda condition, answers, *_, s=sure_of: [float(condition.context == s)] * len(answers),
        )
        given = routed.answer("route", questions, seed=0)
        assert all(bool(one.passages) == (context == "retrieved") for one in given)


def test_the_latency_of_a_routed_condition_is_that_of_both(routed, monkeypatch):
    times = {"retrieved": [9.0, 1.0, 2.0], "none": [9.0, 10.0, 20.0]}
    monkeypatch.setattr(routed, "_times", lambda condition, *_: times[condition.context])
    assert routed.latency(["route", "rag"], routed.corpus.ask("paraphrase")[:2]) == {
        "route": [11.0, 22.0],
        "rag": [1.0, 2.0],
    }
