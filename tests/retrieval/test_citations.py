"""The passage that states an answer's value, on passages written by hand."""

import pytest

from lib.corpus.records import Passage
from lib.retrieval.citations import aligned_passage

TEXTS = {
    "fee": "The late fee is Rs 5,000 for a return filed after the due date.",
    "small": "It is Rs 1,000 where the income is low.",
    "again": "Whoever files late pays a late fee of Rs. 5000/- in all.",
    "rate": "Tax is deducted at 5 % of the rent.",
    "date": "The return is due on 31 July 2025.",
}
PASSAGES = [Passage(name, "d", "Guide", 0, len(text), text) for name, text in TEXTS.items()]


def cited(answer, value_type="amount", question="What is it?", passages=PASSAGES):
    return aligned_passage(answer, question=question, value_type=value_type, passages=passages)


@pytest.mark.parametrize(
    ("answer", "value_type", "expected"),
    [
        ("It is Rs 1,000.", "amount", "small"),
        ("It is one thousand rupees.", "amount", "small"),  # the value, not its spelling
        ("It is Rs 7,000.", "amount", None),  # no passage states it
        ("I do not know.", "amount", None),
        ("", "amount", None),
        ("It is not Rs 1,000.", "amount", None),  # denied
        ("Rs 1,000, not Rs 5,000.", "amount", "small"),
        ("5 %", "percent", "rate"),
        ("5,000", "percent", None),  # a value of another type
        ("By 31.07.2025.", "date", "date"),
        ("Yes, Rs 1,000.", "yesno", None),
        ("Rs 1,000", "entity", None),
    ],
)
def test_the_passage_that_states_the_first_value_asserted(answer, value_type, expected):
    assert cited(answer, value_type) == expected


def test_of_two_passages_with_the_value_the_one_in_the_answers_words_is_cited():
    assert cited("Whoever files late pays Rs 5,000 in all.") == "again"
    assert cited("The fee for a return filed after the due date is Rs 5,000.") == "fee"


def test_of_equal_passages_the_best_found_is_cited():
    twins = [Passage(name, "d", "Guide", 0, 9, "The fee is Rs 5,000.") for name in ("first", "second")]
    assert cited("Rs 5,000", passages=twins) == "first"
    assert cited("Rs 5,000", passages=twins[::-1]) == "second"


def test_a_value_that_the_question_names_is_not_the_answers():
    question = "Who pays Rs 5,000, and who less?"
    assert cited("Not Rs 5,000 but Rs 1,000.", question=question) == "small"
    assert cited("Rs 5,000 is the fee, and Rs 1,000 the small one.", question=question) == "small"
    assert cited("Rs 5,000.", question=question) is None


def test_without_passages_nothing_is_cited():
    assert cited("Rs 5,000", passages=[]) is None


def test_a_wrong_answer_is_traced_to_the_passage_it_misread():
    """Alignment knows neither the right value nor which passage is gold."""
    assert cited("The late fee is 5 %.", "percent") == "rate"
