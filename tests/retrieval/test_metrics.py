"""Retrieval metrics against their definitions, written out by brute force."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.retrieval.metrics import retrieval_scores


def by_definition(found, gold, k):
    """recall@k, reciprocal rank within k and nDCG@k of one question with equally relevant gold passages."""
    hits = [rank for rank, passage in enumerate(found[:k], 1) if passage in gold]
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(len(gold), k) + 1))
    return {
        "recall": len(hits) / len(gold),
        "mrr": 1 / hits[0] if hits else 0.0,
        "ndcg": sum(1 / log2(rank + 1) for rank in hits) / ideal,
    }


# Lopsided on purpose: one passage or five, first hit early or late, more gold than k, lists of unequal length.
FOUND = {
    "first": ["a", "b", "c"],
    "third": ["b", "c", "a"],
    "late": ["b", "c", "d", "a"],
    "nothing": ["x", "y", "z"],
    "many": ["g1", "x", "g2", "g3", "g4"],
    "short": ["x"],
    "empty": [],
}
GOLD = {
    "first": {"a"},
    "third": {"a"},
    "late": {"a"},
    "nothing": {"a"},
    "many": {"g1", "g2", "g3", "g4", "g5"},
    "short": {"x", "y"},
    "empty": {"a"},
    "not asked": {"a"},
}


def test_the_values_worked_out_by_hand():
    scores = retrieval_scores(FOUND, GOLD, 3)
    assert scores.recall.to_dict() == pytest.approx(
        {"first": 1, "third": 1, "late": 0, "nothing": 0, "many": 2 / 5, "short": 1 / 2, "empty": 0}
    )
    assert scores.mrr.to_dict() == pytest.approx(
        {"first": 1, "third": 1 / 3, "late": 0, "nothing": 0, "many": 1, "short": 1, "empty": 0}
    )
    # ndcg: rank 3 counts 1 / log2(4) = 1/2; the ideal of two passages is 1 + 1 / log2(3)
    assert scores.ndcg["third"] == pytest.approx(0.5)
    assert scores.ndcg["many"] == pytest.approx(1.5 / (1 + 1 / log2(3) + 0.5))
    assert scores.ndcg["short"] == pytest.approx(1 / (1 + 1 / log2(3)))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 20])
def test_every_value_is_that_of_the_definition(k):
    scores = retrieval_scores(FOUND, GOLD, k)
    for question, ids in FOUND.items():
        assert scores.loc[question].to_dict() == pytest.approx(by_definition(ids, GOLD[question], k)), question


IDS = st.sampled_from([f"p{number}" for number in range(12)])
QUESTION = st.tuples(st.lists(IDS, unique=True), st.sets(IDS, min_size=1))


@settings(max_examples=40, deadline=None)
@given(st.lists(QUESTION, min_size=1, max_size=5), st.integers(1, 20))
def test_any_ranking_scores_as_defined_and_from_0_to_1(questions, k):
    found = {f"q{number}": ids for number, (ids, _) in enumerate(questions)}
    gold = {f"q{number}": right for number, (_, right) in enumerate(questions)}
    scores = retrieval_scores(found, gold, k)
    assert list(scores.index) == list(found)
    assert ((scores >= 0) & (scores <= 1 + 1e-9)).all(axis=None)
    for question in found:
        assert scores.loc[question].to_dict() == pytest.approx(by_definition(found[question], gold[question], k))


def test_only_the_questions_asked_are_scored_in_their_order():
    asked = {"third": FOUND["third"], "first": FOUND["first"]}
    assert list(retrieval_scores(asked, GOLD, 3).index) == ["third", "first"]


@pytest.mark.parametrize("gold", [{}, {"q": set()}], ids=["absent", "empty"])
def test_a_question_without_gold_is_refused(gold):
    with pytest.raises(ValueError, match=r"no gold passage for \['q'\]"):
        retrieval_scores({"q": ["a"]}, gold, 3)
