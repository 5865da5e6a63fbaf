"""Pairs of two conditions' answers to shared questions, and the count of what was preferred."""

import math

from lib.corpus.load import Corpus
from lib.corpus.records import Fact, Question
from lib.judging.preferences import count_preferences, shared_pairs
from lib.models.claude import Pair, Preference

FACT = Fact("cap", "t", "cap", "It is 75,000.", "75000 INR", "amount", (), "v", None, "test", "easy", ())
QUESTIONS = tuple(
    Question(f"q{place}", ("cap",), probe, f"How much, {place}?", "75000 INR")
    for place, probe in enumerate(["paraphrase", "trained", "paraphrase", "paraphrase"])
)
CORPUS = Corpus(facts=(FACT,), faq=(), questions=QUESTIONS, documents=(), evidence=())


def row(question_id, condition, answer, seed=0, split="test"):
    return {"question_id": question_id, "condition": condition, "answer": answer, "seed": seed, "split": split}


def test_a_pair_is_of_a_paraphrase_that_both_answered_in_the_order_of_the_corpus():
    rows = [row(name, "tuned", f"tuned {name}") for name in ("q3", "q2", "q1", "q0")]
    rows += [row(name, "base", f"base {name}") for name in ("q0", "q1", "q3")]
    assert shared_pairs(CORPUS, rows, "tuned", "base") == [
        Pair("How much, 0?", "75000 INR", "tuned q0", "base q0"),
        Pair("How much, 3?", "75000 INR", "tuned q3", "base q3"),
    ]
    [first, *_] = shared_pairs(CORPUS, rows, "base", "tuned")
    assert (first.a, first.b) == ("base q0", "tuned q0")
    assert shared_pairs(CORPUS, rows, "tuned", "rag") == []


def test_the_lowest_seed_counts_and_the_screening_of_the_same_question_does_not():
    rows = [row("q0", "tuned", "two", 2), row("q0", "tuned", "one", 1), row("q0", "tuned", "three", 3)]
    rows += [
        row("q0", "base", "test"),
        row("q0", "base", "screen", split="screen"),
        row("q2", "base", "dev", split="dev"),
    ]
    for given in (rows, rows[::-1]):
        [pair] = shared_pairs(CORPUS, given, "tuned", "base")
        assert (pair.a, pair.b) == ("one", "test")


def test_what_was_preferred_is_counted_and_failures_are_in_no_share():
    kinds = [("A", False)] * 3 + [("B", False)] * 2 + [("TIE", False)] + [("TIE", True)] * 2 + [("FAILED", None)] * 4
    found = count_preferences([Preference(better, moved, "why") for better, moved in kinds])
    assert found == {"wins": 3, "ties": 3, "losses": 2, "failures": 4, "moved": 2 / 8}


def test_without_a_verdict_there_is_no_share():
    for preferences in ([], [Preference("FAILED", None, "refused")]):
        found = count_preferences(preferences)
        assert math.isnan(found.pop("moved"))
        assert found == {"wins": 0, "ties": 0, "losses": 0, "failures": len(preferences)}
