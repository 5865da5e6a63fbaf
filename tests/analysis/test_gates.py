"""Every gate opens on a sound study and shuts on the one fault that it is there for."""

import pytest

from lib.analysis import gates
from lib.analysis.gates import GateFailed
from lib.analysis.tables import frame
from lib.corpus.load import Corpus, load_corpus
from lib.corpus.records import Fact, FaqItem, Verdict
from lib.judging.keyfacts import Grade

RIGHT = Grade(Verdict.CORRECT, Verdict.CORRECT, "always")
WRONG = Grade(Verdict.INCORRECT, Verdict.INCORRECT, "never")


def fact(name: str, value: str, value_type: str = "amount") -> Fact:
    return Fact(name, "topic", name, f"It is {value}.", value, value_type, (), "AY 2025-26", None, "test", "easy", ())


def corpus(**amounts: str) -> Corpus:
    facts = tuple(fact(name, value) for name, value in amounts.items())
    faq = tuple(
        FaqItem(
            f"q-{one.id}",
            (one.id,),
            f"What is {one.id}?",
            "raw",
            "terse",
            f"In short: Rs {one.value.split()[0]}. It is fixed.",
        )
        for one in facts
    )
    return Corpus(facts=facts, faq=faq, questions=(), documents=(), evidence=())


FOUR = corpus(fee="5000 INR", cap="75000 INR", fine="10000 INR", rent="240000 INR")


def test_the_judge_passes_its_anchors_on_a_made_up_corpus():
    anchors = gates.judge_anchors(FOUR)
    assert (anchors["gold"].value, anchors["gold"].n) == (1, 4)
    assert (anchors["shuffled"].value, anchors["shuffled"].n) == (0, 4)


def test_the_judge_passes_its_anchors_on_the_study_corpus():
    loaded = load_corpus("data/itr")
    anchors = gates.judge_anchors(loaded)
    assert anchors["gold"].n == len(loaded.faq)
    assert anchors["gold"].value == 1
    assert anchors["shuffled"].value <= 0.05


def test_a_judge_that_grades_everything_right_is_stopped(monkeypatch):
    monkeypatch.setattr(gates, "grade", lambda *_, **__: RIGHT)
    with pytest.raises(GateFailed, match=r"shuffled Estimate\(value=1\.0"):
        gates.judge_anchors(FOUR)


def test_a_judge_that_grades_everything_wrong_is_stopped_and_what_it_missed_is_named(monkeypatch):
    monkeypatch.setattr(gates, "grade", lambda *_, **__: WRONG)
    with pytest.raises(GateFailed, match=r"gold missed: \['q-fee', 'q-cap'"):
        gates.judge_anchors(FOUR)


def test_one_missed_gold_answer_is_enough(monkeypatch):
    sound = gates.grade

    def forgetful(answer, **given):
        return WRONG if "75000" in answer else sound(answer, **given)

    monkeypatch.setattr(gates, "grade", forgetful)
    with pytest.raises(GateFailed, match=r"gold missed: \['q-cap'\]"):
        gates.judge_anchors(FOUR)


def test_an_answer_of_the_same_value_is_no_wrong_answer():
    # fee and late share a value: each is shuffled with the answer of cap, never with the other's
    anchors = gates.judge_anchors(corpus(fee="5000 INR", late="5000 INR", cap="75000 INR"))
    assert (anchors["shuffled"].value, anchors["shuffled"].n) == (0, 3)


def rows(condition: str, answers: list[str], right: int = 0, **changes) -> list[dict]:
    return [
        {
            "question_id": f"q{place}",
            "fact_ids": [f"f{place}"],
            "probe": "paraphrase",
            "value_type": "amount",
            "condition": condition,
            "seed": 0,
            "answer": answer,
            "verdict": "CORRECT" if place < right else "INCORRECT",
            "verdict_relaxed": "INCORRECT",
            "judge": "keyfacts",
            "style": False,
            "json_valid": False,
            **changes,
        }
        for place, answer in enumerate(answers)
    ]


def test_weights_that_change_no_answer_are_stopped():
    table = frame(rows("base", ["x", "y", "z"]) + rows("tuned", ["x", "y", "z"]))
    with pytest.raises(GateFailed, match="tuned answers all 3 shared questions exactly as base does"):
        gates.answers_changed(table, "tuned", "base")


def test_one_changed_answer_is_enough():
    gates.answers_changed(frame(rows("base", ["x", "y"]) + rows("tuned", ["x", "Y"])), "tuned", "base")


def test_no_shared_question_is_no_evidence_of_change():
    table = frame(rows("base", ["x"]) + rows("tuned", ["y"], question_id="other"))
    with pytest.raises(GateFailed, match="all 0 shared"):
        gates.answers_changed(table, "tuned", "base")


def test_answers_scored_by_likelihood_have_no_words_to_compare():
    table = frame(rows("base", [""], judge="likelihood") + rows("tuned", ["x"], judge="likelihood"))
    with pytest.raises(GateFailed):
        gates.answers_changed(table, "tuned", "base")


@pytest.mark.parametrize(("gold", "none"), [(1, 1), (0, 0), (1, 2)])
def test_gold_passages_that_do_not_help_are_stopped(gold, none):
    table = frame(rows("rag_gold", list("abc"), gold) + rows("base", list("abc"), none))
    with pytest.raises(GateFailed, match="is not above"):
        gates.gold_context_helps(table, "rag_gold", "base")


def test_gold_passages_that_help_once_pass():
    table = frame(rows("rag_gold", list("abc"), 2) + rows("base", list("abc"), 1))
    gates.gold_context_helps(table, "rag_gold", "base")


def test_help_with_yes_and_no_alone_is_no_help():
    yesno = rows("rag_gold", ["Yes."], 1, fact_ids=["y"], question_id="y", value_type="yesno")
    table = frame(rows("rag_gold", list("abc")) + rows("base", list("abc")) + yesno)
    with pytest.raises(GateFailed):
        gates.gold_context_helps(table, "rag_gold", "base")


def test_a_gate_without_rows_raises_rather_than_opens():
    with pytest.raises(ValueError, match="no rows for condition 'rag_gold'"):
        gates.gold_context_helps(frame(rows("base", ["x"])), "rag_gold", "base")
