"""The answer in words, against scoreboards written by hand."""

import pytest

from lib.study_file import load_study
from lib.workbook.answer import BOTH, RETRIEVE, hybrid, measured, short_answer, verdicts


def line(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 100}


LINES = {
    **{
        f"accuracy/paraphrase/{name}": line(0.01, 0.0, 0.02)
        for name in ("base", "lora_raw", "lora_raw_20ep", "lora_reformatted")
    },
    "accuracy/paraphrase/rag": line(0.27, 0.19, 0.37),
    "accuracy/paraphrase/hybrid": line(0.34, 0.25, 0.43),
    "accuracy/trained/lora_raw": line(0.05, 0.02, 0.11),
    "accuracy/trained/lora_raw_20ep": line(0.78, 0.63, 0.88),
    "delta/paraphrase/hybrid-vs-rag": line(0.07, -0.038, 0.176),
}


READS = "tuned on other facts to read passages and fed by retrieval"


@pytest.fixture(scope="module")
def study():
    return load_study("itr")


def decided(**verdict):
    return {name: {"verdict": one} for name, one in verdict.items()}


@pytest.mark.parametrize("c9", RETRIEVE)
@pytest.mark.parametrize("c16", BOTH)
def test_the_short_answer_says_what_the_verdicts_say_and_no_more(study, c9, c16):
    lead, rest = short_answer(study, LINES, decided(C9=c9, C16=c16), "hybrid_raft")
    text = f"{lead} {rest}"
    assert [verdict for verdict, words in RETRIEVE.items() if f"Short answer: {words}" in text] == [c9]
    assert [verdict for verdict, words in BOTH.items() if f"{words.format(READS)} (" in text] == [c16]
    assert "Fine-tuning here is lora_raw and lora_raw_20ep, and no other arm." in rest
    assert "+7 points, -4 to +18" in text
    assert "34 % of the facts" in text
    assert study.models["base"] in text


WHAT_IT_IS = {
    "hybrid_raft": READS,
    "hybrid_closed": "tuned on the facts themselves and fed by retrieval",
    "hybrid_style": "tuned on other facts to keep one style and fed by retrieval",
    "hybrid_routed": "not tuned and fed by retrieval, unless a model tuned on the facts themselves is surer",
}


def test_every_candidate_of_the_default_study_has_words(study):
    assert set(WHAT_IT_IS) == set(study.hybrid_candidates)


@pytest.mark.parametrize("chosen", WHAT_IT_IS)
def test_the_words_for_the_hybrid_are_those_of_the_candidate_that_was_chosen(study, chosen):
    told = [
        hybrid(study, chosen),
        short_answer(study, LINES, decided(C9="held", C16="held"), chosen)[1],
        measured(study, LINES, chosen),
    ]
    for text in told:
        assert [name for name, words in WHAT_IT_IS.items() if words in text] == [chosen]


def test_a_hybrid_that_nobody_chose_is_not_described(study):
    with pytest.raises(ValueError, match="run notebook 06_hybrid"):
        measured(study, LINES, None)


def test_what_may_be_good_enough_is_not_called_too_little(study):
    least = study.decision.model_copy(update={"least_accuracy": 0.43})
    claims = decided(C9="held", C16="held")
    assert "good enough" in short_answer(study, LINES, claims, "hybrid_raft")[1]
    lower = study.model_copy(update={"decision": least})
    assert "good enough" not in short_answer(lower, LINES, claims, "hybrid_raft")[1]


def test_a_study_without_these_claims_has_no_short_answer(study):
    assert short_answer(study, LINES, decided(C9="held"), None) == ("", "")


@pytest.mark.parametrize("missing", ["accuracy/paraphrase/lora_raw_20ep", "accuracy/trained/lora_raw"])
def test_nothing_is_told_where_a_headline_condition_was_not_asked(study, missing):
    assert measured(study, {name: line for name, line in LINES.items() if name != missing}, None) == ""


def test_shares_stand_beside_what_they_are_shares_of(study):
    text = measured(study, LINES, "hybrid_raft")
    for words in (
        "the model alone is right on 1 % (0 to 2)",
        "For 3 epochs it is right on 1 % (0 to 2), and on 5 % (2 to 11) when asked in the trained wording".replace(
            "For", "for"
        ),
        "the trained wording on 78 % (63 to 88), and other wordings of the same facts on 1 %",
        "the untouched model is right on 27 % (19 to 37)",
        "fed by retrieval, on 34 % (25 to 43)",
    ):
        assert words in text


def test_every_claim_is_counted_once():
    assert verdicts(decided(C1="held", C2="undecided", C3="held")) == (
        "Of 3 registered claims, held: 2 (C1, C3); not held: 0 (none); undecided: 1 (C2)."
    )
