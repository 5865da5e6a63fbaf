"""Two studies compared: paired on what both asked, unpaired where they share nothing."""

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from lib import paths
from lib.analysis import stats
from lib.analysis.comparison import compare
from lib.analysis.tables import frame
from lib.workbook.compare import write_comparison


def rows(results, *, prefix="f", condition="base", probe="paraphrase", value_type="amount", split="test"):
    return [
        {
            "question_id": f"{prefix}{n}/{probe}",
            "fact_ids": [f"{prefix}{n}"],
            "probe": probe,
            "value_type": value_type,
            "condition": condition,
            "seed": 0,
            "verdict": "CORRECT" if right else "INCORRECT",
            "verdict_relaxed": "CORRECT" if right else "INCORRECT",
            "style": False,
            "json_valid": False,
            "split": split,
        }
        for n, right in enumerate(results)
    ]


def test_the_same_questions_are_paired_and_only_the_shared_ones_count():
    (line,) = compare(frame(rows([1, 1, 1, 0, 1, 1])), frame(rows([0, 1, 0, 0])))
    assert line[:4] == ["paraphrase", "base", "75.0 %", "25.0 %"]
    assert line[4].startswith("+50.0 points (")
    assert line[5] == "paired on 4 facts"


def test_different_questions_are_two_samples():
    (line,) = compare(frame(rows([1, 1, 0])), frame(rows([0, 1, 0, 0], prefix="g")))
    assert line[5] == "unpaired, 3 and 4 facts"
    assert line[4].startswith("+41.7 points (")


def test_a_failed_judgement_is_read_both_ways_between_two_samples_too():
    first = rows([1, 1, 0, 0])
    first[3] |= {"verdict": "JUDGE_FAILED", "verdict_relaxed": "JUDGE_FAILED"}
    (line,) = compare(frame(first), frame(rows([0, 0], prefix="g")))
    worst, best = (stats.unpaired_difference(side, [0.0, 0.0]) for side in ([1, 1, 0, 0], [1, 1, 0, 1]))
    assert line[4] == f"+62.5 points ({100 * worst.low:+.1f} to {100 * best.high:+.1f})"


def test_a_study_against_itself_differs_nowhere():
    table = frame([*rows([1, 0, 1]), *rows([0, 1, 0], condition="rag")])
    assert [line[4].split(" (")[0] for line in compare(table, table)] == ["+0.0 points", "+0.0 points"]


def test_yes_or_no_dev_rows_and_arms_of_one_study_alone_are_left_out():
    first = frame([*rows([1, 0], value_type="yesno"), *rows([1, 1], split="dev"), *rows([1, 0], condition="rag")])
    assert compare(first, frame(rows([1, 0]))) == []


def test_the_unpaired_interval_is_newcombes_for_shares_and_holds_its_value():
    a, b = [1.0] * 7 + [0.0] * 3, [1.0] * 2 + [0.0] * 18
    found = stats.unpaired_difference(a, b)
    low, high = confint_proportions_2indep(7, 10, 2, 20, method="newcomb", compare="diff")
    assert found == pytest.approx((0.6, low, high, 10))
    assert stats.unpaired_difference(b, a)[:3] == pytest.approx((-0.6, -high, -low))


def test_the_unpaired_bootstrap_is_about_the_normal_interval_of_many_facts():
    a, b = [0.0, 1 / 3, 2 / 3, 1.0] * 50, [0.0, 1 / 3] * 100
    found = stats.unpaired_difference(a, b)
    half = 1.96 * ((5 / 36) / 200 + (1 / 36) / 200) ** 0.5
    assert found.value == pytest.approx(1 / 3)
    assert (found.low, found.high) == pytest.approx((1 / 3 - half, 1 / 3 + half), abs=0.01)


def test_an_empty_side_is_refused():
    with pytest.raises(ValueError, match="facts on both sides"):
        stats.unpaired_difference([], [1.0])


def test_a_study_that_never_ran_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="no rows of study itr; run `make reproduce STUDY=studies/itr.yaml`"):
        write_comparison("itr", "quick")


@pytest.mark.skipif(not (paths.RESULTS / "itr").exists(), reason="nothing is published yet")
def test_the_published_study_against_itself_makes_a_page(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    text = write_comparison("itr", "itr").read_text()
    assert "paired on" in text
    assert "+0.0 points" in text
    assert "<script" not in text
