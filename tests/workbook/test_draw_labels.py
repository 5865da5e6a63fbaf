"""What readers get to label: enough of every kind of answer, in no telling order, and nothing that gives the verdict away."""

import pytest

from lib import paths, runs
from lib.corpus.load import load_corpus
from lib.study_file import load_study
from lib.workbook import draw_labels

STUDY = load_study("itr")
CORPUS = load_corpus(STUDY.corpus.folder, **STUDY.corpus.limits)
ASKED = CORPUS.ask("paraphrase")[:40]


def row(question, condition, verdict, **changes) -> dict:
    names = ("question_id", "fact_ids", "probe", "value_type")
    asked = dict(zip(names, (question.id, list(question.fact_ids), question.probe, "amount"), strict=True))
    judged = {"verdict": verdict, "verdict_relaxed": verdict, "reason": "because", "judge": "keyfacts"}
    said = {"answer": f"{condition} says {question.id}", "style": False, "json_valid": False, "passages": []}
    return {**asked, **judged, **said, "condition": condition, "seed": 0, "split": "test", **changes}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    rows = [row(question, "rag", "INCORRECT" if place else "CORRECT") for place, question in enumerate(ASKED)]
    rows += [row(question, "base", "INCORRECT") for question in ASKED[:5]]
    rows += [row(CORPUS.ask("choice")[0], "base", "CORRECT", judge="likelihood")]
    rows += [row(question, "rag", "CORRECT", split="dev") for question in CORPUS.ask("paraphrase", "dev")[:3]]
    runs.write_jsonl(tmp_path / "itr" / "01_baseline_assessment" / "records.jsonl", rows)
    path = draw_labels.main("itr")
    return runs.read_jsonl(path), runs.read_jsonl(path.with_name("labels_key.jsonl"))


def test_readers_see_question_reference_and_answer_alone(drawn):
    read, key = drawn
    assert {tuple(shown) for shown in read} == {("number", "question", "reference", "answer")}
    for shown, hidden in zip(read, key, strict=True):
        question = CORPUS.question[hidden["question_id"]]
        assert (shown["number"], shown["question"], shown["reference"]) == (
            hidden["number"],
            question.text,
            question.expected,
        )


def test_every_kind_of_answer_is_drawn_up_to_the_same_number_and_the_chance_is_kept(drawn):
    _, key = drawn
    count = {(row["condition"], row["probability"]): 0 for row in key}
    for found in key:
        count[found["condition"], found["probability"]] += 1
    # 1 right and 39 wrong answers of rag, 5 wrong ones of base; choices are no words, and dev rows are not asked about
    assert count == {("rag", 1.0): 1, ("rag", draw_labels.PER_CELL / 39): draw_labels.PER_CELL, ("base", 1.0): 5}
    assert [found["number"] for found in key] == list(range(1, len(key) + 1))
    assert [found["condition"] for found in key] != sorted(found["condition"] for found in key)


def test_a_study_that_has_not_run_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    with pytest.raises(FileNotFoundError, match="make reproduce"):
        draw_labels.main("itr")
