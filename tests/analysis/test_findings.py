"""The claims as a reader meets them: what is told of each verdict, and that the answers shown are those named."""

from collections import namedtuple

import pandas as pd

from lib.analysis import findings
from lib.studies import Claim

CLAIM = Claim(
    text="Rank helps.", notebook="04_rank_sweep", missing="x", margin_reason="5 points pay.", otherwise="Too few facts."
)
Asked = namedtuple("Asked", "text expected")


def decided(verdict: str) -> dict:
    return {"claim": CLAIM.text, "verdict": verdict, "evidence": "one effect | another effect", "rows": []}


def test_the_overview_leads_to_every_claim():
    lines = findings.overview({"C1": decided("held"), "C2": decided("not_held")}).splitlines()
    assert lines[2:] == ["| [C1](#C1) | held | Rank helps. |", "| [C2](#C2) | not held | Rank helps. |"]


def test_claims_that_held_come_first_and_numbers_ascend_among_equals():
    verdicts = {"C10": "undecided", "C2": "undecided", "C3": "not_held", "C11": "held", "C9": "held", "C1": "not_held"}
    claims = {name: decided(verdict) for name, verdict in verdicts.items()}
    order = ["C9", "C11", "C1", "C3", "C2", "C10"]
    assert list(findings.by_verdict(claims)) == order
    assert findings.by_verdict(claims) == claims
    lines = findings.overview(claims).splitlines()[2:]
    assert [line.split("[")[1].split("]")[0] for line in lines] == order


def test_the_brief_keeps_each_contrast_up_to_its_interval():
    evidence = "accuracy, a - b: +1 (n = 3); p = 0.2; McNemar | loss, a - b: -1; no interval"
    assert findings.brief(evidence) == ["accuracy, a - b: +1 (n = 3)", "loss, a - b: -1"]
    assert findings.brief("not decided yet: not run") == ["not decided yet: not run"]


def test_what_else_it_could_mean_is_told_only_of_a_claim_that_does_not_hold():
    held, failed, undecided = (findings.section("C7", CLAIM, decided(v)) for v in ("held", "not_held", "undecided"))
    assert held.startswith("### C7\n") and "**Held.** Rank helps." in held
    assert "- one effect\n- another effect" in held
    assert CLAIM.margin_reason in held
    assert CLAIM.otherwise not in held
    assert CLAIM.otherwise in failed and CLAIM.otherwise in undecided
    bare = Claim(text="Rank helps.", notebook="04_rank_sweep", missing="x")
    assert "*" not in findings.section("C7", bare, decided("undecided")).replace("**", "")


def test_the_answers_shown_are_those_named_each_once_and_no_more_than_asked_for():
    table = pd.DataFrame(
        {
            "condition": ["rag", "rag", "base", "rag"],
            "seed": [0, 1, 0, 0],
            "question_id": ["f/paraphrase", "f/paraphrase", "g/paraphrase", "f/paraphrase"],
            "answer": ["30 days", "60 days", "no", "30 days"],
            "verdict": ["CORRECT", "INCORRECT", "INCORRECT", "CORRECT"],
            "notebook": ["05", "05", "01", "05"],
        }
    )
    corpus = namedtuple("Few", "question")(
        {"f/paraphrase": Asked("How long?", "30 days"), "g/paraphrase": Asked("Which?", "ITR-2")}
    )
    rows = [
        "base/0/g/paraphrase",
        "rag/0/f/paraphrase",
        "rag/0/f/paraphrase",
        "lora/0/f/paraphrase",
        "rag/1/f/paraphrase",
    ]
    shown = findings.answers(table, corpus, rows)
    assert list(shown.answer) == ["no", "30 days", "60 days"]
    assert list(shown.question) == ["Which?", "How long?", "How long?"]
    assert list(findings.answers(table, corpus, rows, n=1).answer) == ["no"]
    assert findings.answers(table, corpus, []).empty
