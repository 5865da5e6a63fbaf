"""The uniform style: a keeper of every rule, and each rule broken once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.corpus.load import load_corpus
from lib.judging.style import is_uniform, parse_json_answer, style_problems

GOOD = "In short: Rs 1,50,000. The deduction under section 80C is at most Rs 1,50,000 in a year."

KEEPERS = [
    GOOD,
    f"  {GOOD}\n",
    "In short: 12.5%. Long-term gains on listed shares are taxed at 12.5% above the exemption.",
    "In short: yes. A late return may be filed until the end of December.",
    "In short: No. The return cannot be revised after the end of that December.",
    "In short: not stated. The passages given here do not say what was asked for.",
    "In short: ITR-2. Someone with two houses files itr-2 and not the simpler form.",
    "In short: 8. One two three four five six seven 8.",  # 8 words, the fewest
    "In short: 28. " + "word " * 27 + "28.",  # 28 words, the most
    "In short: Rs 5,000. The late fee under section 234F is Rs. Five thousand, that is Rs 5,000.",
    f"In short: {'v' * 60}. One two three four five six seven {'v' * 60}.",  # a value of 60 characters, the longest
]

SHAPE = "not of the form"
BREAKERS = [
    ("", SHAPE),
    ("Rs 1,50,000.", SHAPE),
    (GOOD.removeprefix("In short: "), SHAPE),
    (GOOD.replace("In short", "in short"), SHAPE),
    (f"Sure! {GOOD}", SHAPE),
    (GOOD.removesuffix("."), SHAPE),
    (GOOD.replace(". The", ".\nThe"), SHAPE),
    (f"{GOOD}\n{GOOD}", SHAPE),
    (f"In short: {'v' * 61}. One two three four five six seven {'v' * 61}.", SHAPE),
    ("In short: 7. One two three four five six 7.", "the sentence has 7 words, not 8 to 28"),
    ("In short: 29. " + "word " * 28 + "29.", "the sentence has 29 words, not 8 to 28"),
    (f"{GOOD} Then file it.", "more than one sentence"),
    (GOOD.replace("at most", "no more! At most"), "more than one sentence"),
    (GOOD.replace("at most", "what? At most"), "more than one sentence"),
    (GOOD.replace("section", "**section"), "'*'"),
    (GOOD.replace("section", "_section"), "'_'"),
    (GOOD.replace("section", "#section"), "'#'"),
    (GOOD.replace("section", '"section'), "'\"'"),
    (GOOD.replace("section", "<br>section"), "'<'"),
    (GOOD.replace(" section", "&nbsp;section"), "'&nbsp;'"),
    (GOOD.replace("in a year", "₹ in a year"), "'₹'"),
    (GOOD.replace("in a year", "or 1.5 lakh"), "'lakh'"),
    (GOOD.replace("in a year", "or 2 Crores"), "'Crores'"),
    (GOOD.replace("in a year", "or ten per cent"), "'per cent'"),
    (GOOD.replace("in a year", "or ten percent"), "'percent'"),
    (GOOD.replace("most Rs 1,50,000", "most Rs 2,00,000"), "does not repeat the value"),
]


@pytest.mark.parametrize("answer", KEEPERS)
def test_an_answer_that_keeps_every_rule_is_uniform(answer):
    assert style_problems(answer) == []


@pytest.mark.parametrize("answer, said", BREAKERS)
def test_each_broken_rule_is_named_alone(answer, said):
    problems = style_problems(answer)
    assert len(problems) == 1
    assert said in problems[0]


def test_two_broken_rules_are_both_named():
    assert len(style_problems("In short: 7. It is ₹ 7 lakh.")) == 2


def test_a_number_or_a_word_with_lakh_inside_is_no_markup():
    assert is_uniform("In short: Lakhan. The officer for this ward is Lakhan in the first building.")


def test_every_uniform_answer_of_the_data_keeps_the_style_and_no_raw_one_does():
    faq = load_corpus("data/itr").faq
    assert [item.id for item in faq if not is_uniform(item.uniform_answer)] == []
    assert [item.id for item in faq if is_uniform(item.raw_answer)] == []


@given(st.text())
def test_no_text_breaks_the_checker(text):
    assert is_uniform(text) == (style_problems(text) == [])
    assert is_uniform(f"In short: {text}") == is_uniform(f"\n In short: {text} ")


@given(st.text(), st.text())
def test_an_object_with_both_keys_is_read_back(answer, explanation):
    fields = {"answer": answer, "explanation": explanation}
    assert parse_json_answer(json.dumps(fields)) == fields
    assert parse_json_answer(f"\n{json.dumps(fields, indent=2)} ") == fields


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "null",
        "[]",
        '["answer", "explanation"]',
        '{"answer": "5"}',
        '{"answer": 5, "explanation": "five"}',
        '{"answer": "5", "explanation": null}',
        '{"answer": "5", "explanation": "five", "note": ""}',
        '{"Answer": "5", "explanation": "five"}',
        "{'answer': '5', 'explanation': 'five'}",
        '```json\n{"answer": "5", "explanation": "five"}\n```',
        'Here: {"answer": "5", "explanation": "five"}',
        '{"answer": "5", "explanation": "five"} {"answer": "5", "explanation": "five"}',
        '{"answer": "5", "explanation": "fi',
        pytest.param("[" * 100_000, id="deep nesting"),
    ],
)
def test_anything_but_one_object_with_both_strings_is_no_json_answer(text):
    assert parse_json_answer(text) is None
