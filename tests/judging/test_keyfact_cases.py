"""The offline judge on answers written by hand, each with the verdicts that the guideline asks for, and its known misses."""

import json
from pathlib import Path

import pytest

from lib.judging.keyfacts import grade

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "keyfact_cases.jsonl").read_text("utf-8").split("\n") if line
]


def graded(case: dict) -> tuple[str, str]:
    keys = ("expected", "value_type", "accept", "question")
    return tuple(verdict.value for verdict in grade(case["answer"], **{key: case[key] for key in keys})[:2])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['expected']}: {case['answer'][:40]}")
def test_the_judge_grades_as_the_guideline_says_but_for_its_known_misses(case):
    right = graded(case) == (case["strict"], case["relaxed"])
    assert right != case.get("known_miss", False), (case["note"], graded(case))


def test_the_table_is_broad_and_every_miss_has_a_reason():
    assert len(CASES) >= 400 and len({(case["question"], case["answer"]) for case in CASES}) == len(CASES)
    types = {case["value_type"] for case in CASES}
    assert types == {"amount", "count", "date", "duration", "entity", "form", "percent", "section", "yesno"}
    for value_type in types:
        assert {case["strict"] for case in CASES if case["value_type"] == value_type} >= {"CORRECT", "INCORRECT"}
    assert all(("reason" in case) == case.get("known_miss", False) for case in CASES)
    assert sum(case.get("known_miss", False) for case in CASES) <= len(CASES) / 20
