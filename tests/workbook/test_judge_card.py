"""The judge's card renders what was measured, says what was not, and shows no answer as anything but text."""

import json
from functools import cache
from types import SimpleNamespace

import pytest

from lib.corpus.records import Fact
from lib.judging import calibration
from lib.judging.calibration import corrected, half, judge_card, load_labels
from lib.workbook.judge_card import judge_pages
from tests.parsed_page import HOSTILE, Page, assert_inert

C, W = "CORRECT", "INCORRECT"
STUDY = SimpleNamespace(judge="keyfacts")
FACT = Fact("late-fee", "fees", "s", "The fee.", "5000 INR", "amount", (), "AY 2025-26", None, "test", "normal", ())
CORPUS = SimpleNamespace(facts=(FACT,))
DEV, TEST = (next(f"fact-{n}" for n in range(99) if half(f"fact-{n}") == side) for side in ("dev", "test"))


def label(number, answer, read, fact, **others):
    common = {"question": "How much is it?", "reference": "50000 INR", "condition": "rag", "seed": 0, "accept": []}
    return {
        **common,
        **{"answer": answer, "label": read, "pass": 1, "question_id": f"q{number}", "fact_id": fact},
        **{"value_type": "amount", "probability": 0.5},
        **others,
    }


# Test half: two read as right, one of them accepted; four others, all rejected. Dev half: one disagreement.
LABELS = [
    label(0, "It is Rs 50,000.", C, TEST),
    label(1, "Not what the test half shall show.", C, TEST),
    *(label(n, "It is Rs 70,000.", W, TEST) for n in range(2, 6)),
    label(6, "It is Rs 50,000.", C, DEV),
    label(7, f"It is Rs 50,000. {HOSTILE}", W, DEV),
    label(0, "It is Rs 50,000.", C, TEST, **{"pass": 2}),
    label(2, "It is Rs 70,000.", W, TEST, **{"pass": 2}),
]


@pytest.fixture(autouse=True)
def labels(tmp_path, monkeypatch):
    """Few labels and few resamples, so that figures can be had by hand and at once."""
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in LABELS), encoding="utf-8")
    monkeypatch.setattr(calibration, "LABELS", path)
    monkeypatch.setattr(calibration, "RESAMPLES", 20)


def line(name, value, unit="share", n=40):
    return {"id": name, "value": value, "low": value / 2, "high": min(1, value + 0.125), "n": n, "unit": unit}


def row(judge="keyfacts", verdict=W, condition="rag", probe="paraphrase"):
    return {"judge": judge, "verdict": verdict, "condition": condition, "probe": probe}


LINES = [
    line("judge/gold/keyfacts", 1.0),
    line("judge/kappa/keyfacts", 0.5, "kappa"),
    line("judge/kappa/base", 0.25, "kappa", 11),
    line("accuracy/paraphrase/rag", 0.25),
    line("accuracy/paraphrase/base", 0.0),
    line("accuracy/trained/rag", 0.75),
]
ROWS = [
    row(),
    row(),
    row(),
    row("likelihood", probe="choice"),
    row("none", "JUDGE_FAILED"),
    row("none", "JUDGE_FAILED", "base", "trained"),
]


def card(lines=LINES, rows=ROWS, study=STUDY):
    ((path, (_, body)),) = judge_pages(study, CORPUS, lines, rows).items()
    assert path == "judge_card.html"
    return body


usual = cache(card)


def table(body, heading):
    """The cells of the first table below a heading."""
    part = body[body.index(heading) :]
    part = part[part.index("<tbody>") : part.index("</tbody>")]
    return [[Page(cell).text for cell in one.split("<td>")[1:]] for one in part.split("<tr")[1:]]


def test_each_judge_has_a_line_and_what_was_not_measured_is_said():
    lines = table(usual(), "<h2>The judges</h2>")
    assert [one[0].split(":")[0].split(",")[0] for one in lines] == [
        "key facts",
        "the base model",
        "likelihood among given choices (no text is judged)",
        "no answer to judge",
    ]
    assert lines[0][1:] == ["3", "100.0 % (50.0 to 100.0, n = 40)", "0.50 (0.25 to 0.62, n = 40)"]
    assert lines[1][1:] == ["0", "not measured", "0.25 (0.12 to 0.38, n = 11)"]
    assert lines[2][1:] == ["1", "not measured", "not measured"]


def test_a_measure_and_a_judge_that_nobody_foresaw_are_shown_too():
    body = card([*LINES, line("judge/moved/stranger", 0.125)])
    assert '<th scope="col">moved</th>' in body
    assert ["stranger", "0", "not measured", "not measured", "12.5 % (6.2 to 25.0, n = 40)"] in table(
        body, "The judges"
    )


def test_without_a_measured_judge_there_is_no_card():
    assert judge_pages(STUDY, CORPUS, [line("accuracy/paraphrase/rag", 0.25)], ROWS) == {}


def test_the_halves_are_apart_and_the_reported_one_comes_first():
    lines = table(usual(), "beside a reader")
    names = ["judge, test half", "judge, dev half", "reader, read twice"]
    assert [one[0] for one in lines] == [*names, *(f"{name}, yes/no left out" for name in names)]
    assert lines[0][1] == "6" and lines[0][3].startswith("50 % (") and lines[0][4].startswith("100 % (")
    assert lines[1][1] == "2"
    found = judge_card(load_labels())["judge, test half"]
    assert lines[0][2] == f"{found.kappa:.2f} ({found.low:.2f} to {found.high:.2f})"


def test_where_no_answer_was_read_as_right_a_dash_stands_for_the_share_accepted(labels, tmp_path):
    others = [one for one in LABELS if one["label"] == W or one["fact_id"] == DEV]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in others), encoding="utf-8")
    reported = table(card(), "beside a reader")[0]
    assert reported[3:] == ["–", reported[4], "0, 1"]
    assert reported[4].startswith("100 % (")


def test_the_confusion_is_that_of_the_labels():
    lines = table(usual(), "Reader against judge")
    assert [one[:3] for one in lines[:2]] == [[C, "2 (25.0 %)", "1 (12.5 %)"], [W, "1 (12.5 %)", "4 (50.0 %)"]]


def test_agreement_is_given_by_length_type_and_condition_with_counts():
    body = usual()
    assert [one[0] for one in table(body, "By length")] == ["long", "middle", "short"]
    assert sum(int(one[1]) for one in table(body, "By length")) == 8
    # read as right 3 of 8, accepted 3 of 8
    assert table(body, "By condition") == [["rag", "8", *table(body, "By type")[0][2:]]]
    assert table(body, "By condition")[0][-3:] == ["37.5 %", "37.5 %", "+0.0"]


def test_anchors_and_injections_are_graded_as_the_page_is_written(monkeypatch):
    anchors = table(usual(), "Answers whose truth is certain")
    assert [one[0] for one in anchors] == list(calibration.ANCHORS)
    assert {one[3] for one in anchors} == {"100.0 % (20.7 to 100.0, n = 1)"}
    n = calibration.injection_rate().n
    assert table(usual(), "<h2>Answers written to fool it")[0][1].startswith("0.0 % (0.0 to ")
    monkeypatch.setattr(calibration, "injection_rate", lambda kind=None: calibration.Share(0.5, 0.25, 0.75, n))
    assert table(card(), "<h2>Answers written to fool it") == [["all", f"50.0 % (25.0 to 75.0, n = {n})"]]


def test_accuracy_is_corrected_by_the_test_half_beside_the_raw_one():
    lines = table(usual(), "corrected for the judge")
    # sensitivity 1/2, specificity 1: 0.25 is 0.5 of the facts
    assert corrected(0.25, 0.5, 1.0) == 0.5
    assert [one[0] for one in lines] == ["rag", "base"], "the trained wording is no part of it"
    assert lines[0][1] == "25.0 % (12.5 to 37.5, n = 40)" and lines[0][2].startswith("50.0 % (")
    assert [one[3] for one in lines] == ["1", "0"], "failures of the same wording and condition"


def test_verdicts_of_a_judge_without_labels_are_not_corrected():
    body = card(study=SimpleNamespace(judge="claude"))
    assert "Not corrected: claude judged this study" in body
    with pytest.raises(ValueError, match="substring not found"):
        table(body[: body.index("What it misses")], "corrected for the judge")


def test_a_judge_that_changed_since_the_run_is_noticed_and_one_that_did_not_is_not():
    now = judge_card(load_labels())["judge, test half"].kappa
    assert "have changed since the notebooks ran" in usual()
    assert "have changed since" not in card([line("judge/kappa/keyfacts", now, "kappa")])


def test_only_disagreements_of_the_dev_half_are_shown_and_as_text():
    body = usual()
    assert_inert(body)
    ((question, reference, answer, read, judged),) = table(body, "What it misses")
    assert (question, reference, read, judged) == ("How much is it?", "50000 INR", W, C)
    assert answer == f"It is Rs 50,000. {HOSTILE}"
    assert "Not what the test half shall show" not in body
