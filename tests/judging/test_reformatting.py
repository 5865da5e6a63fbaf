"""Rewritings: accepted when style and value are kept, rejected with the reason, and never missing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from lib.corpus.load import Corpus, load_corpus
from lib.corpus.records import Fact, FaqItem
from lib.judging.reformatting import check_rewritings
from lib.judging.style import style_problems
from lib.models.claude import REFORMAT_INSTRUCTION, Client, Rewriting
from lib.studies import Claude
from tests.standin import sent

CAP = Fact("cap", "t", "cap", "It is 75,000.", "75000 INR", "amount", (), "v", None, "test", "easy", ())
FORM = Fact("form", "t", "form", "It is ITR-4.", "ITR-4", "form", ("Sugam",), "v", None, "test", "easy", ())
ITEM = FaqItem("faq-cap", ("cap",), "How much is the standard deduction?", "Rs.75,000/- flat", "terse", "-")
CORPUS = Corpus(facts=(CAP, FORM), faq=(ITEM,), questions=(), documents=(), evidence=())
KEPT = "In short: Rs 75,000. The standard deduction of a salaried person is Rs 75,000 a year."


def problems(text, item=ITEM):
    [row] = check_rewritings(CORPUS, [item], [Rewriting(text)])
    assert row["rewriting"] == text
    return row["problems"]


def test_style_and_value_kept_is_accepted():
    assert problems(KEPT) == ""


@pytest.mark.parametrize("text", ["The standard deduction is Rs 75,000.", "", KEPT.replace("Rs ", "₹")])
def test_a_broken_style_is_rejected_with_the_rule(text):
    assert style_problems(text)[0] in problems(text)


@pytest.mark.parametrize(
    "text",
    [
        KEPT.replace("75", "50"),
        "In short: not stated. The answer given here does not say how much the standard deduction is.",
        "In short: Rs 50,000. The standard deduction is Rs 50,000, or for a few of them Rs 75,000 a year.",
    ],
    ids=["another value", "none", "another value first"],
)
def test_a_changed_value_is_rejected_although_the_style_is_kept(text):
    assert style_problems(text) == []
    assert problems(text).startswith("the value is not 75000 INR")


def test_each_value_of_an_item_about_several_must_be_kept():
    item = replace(ITEM, fact_ids=("cap", "form"))
    both = "In short: Rs 75,000. The standard deduction is Rs 75,000 and is claimed in form ITR-4 every year."
    assert problems(both, item) == ""
    assert problems(both.replace("ITR-4", "ITR-2"), item).startswith("the value is not ITR-4")


def test_every_problem_is_told():
    found = problems("It is Rs 50,000.")
    assert "not of the form" in found and "; the value is not 75000 INR" in found


def test_what_claude_wrote_or_refused_is_one_row_an_item(standin):
    models = Claude(answer_model="claude-haiku-5-5", judge_model="claude-haiku-5-5", poll_s=0.001)
    items = [replace(ITEM, id=name, raw_answer=f"Rs.75,000/- {name}") for name in ("kept", "refused", "changed")]
    changed = KEPT.replace("75", "50")
    standin.queued["message"] = [sent(KEPT), sent("", stop_reason="refusal"), sent(changed)]
    rows = check_rewritings(CORPUS, items, Client(SimpleNamespace(name="tiny", claude=models)).reformat(items))
    assert [row["item"] for row in rows] == ["kept", "refused", "changed"]
    assert [row["raw"] for row in rows] == [item.raw_answer for item in items]
    assert [row["rewriting"] for row in rows] == [KEPT, None, changed]
    assert rows[0]["problems"] == "" and rows[2]["problems"]
    assert rows[1]["problems"].startswith("not rewritten: no whole reply: stop reason refusal")


def test_a_missing_rewriting_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        check_rewritings(CORPUS, [ITEM, ITEM], [Rewriting(KEPT)])


def test_every_uniform_answer_of_the_corpus_would_be_accepted_and_hardly_any_of_the_next_item():
    corpus = load_corpus("data/itr")
    items = corpus.items("test")
    own = check_rewritings(corpus, items, [Rewriting(item.uniform_answer) for item in items])
    assert [row for row in own if row["problems"]] == []
    values = [corpus.fact[item.fact_ids[0]].value for item in items]
    moved = check_rewritings(corpus, items, [Rewriting(item.uniform_answer) for item in items[1:] + items[:1]])
    differ = [row for row, value, other in zip(moved, values, values[1:] + values[:1], strict=True) if value != other]
    assert sum(not row["problems"] for row in differ) / len(differ) < 0.05


def test_the_instruction_gives_an_example_that_keeps_its_own_rules():
    example = REFORMAT_INSTRUCTION.rsplit("An example: ")[1]
    assert style_problems(example) == []
    assert "8 to 28 words" in REFORMAT_INSTRUCTION and "60 characters" in REFORMAT_INSTRUCTION
