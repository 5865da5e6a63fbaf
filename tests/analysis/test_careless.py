"""The careless analysis finds what is not there, the right one beside it does not."""

import numpy as np
import pytest

from lib.analysis import careless
from lib.analysis.tables import frame
from lib.studies import Contrast


def rows(condition, shares, seeds=3):
    """shares[fact] of the seeds are right."""
    return [
        {
            "question_id": f"q{fact}",
            "fact_ids": [f"f{fact:03}"],
            "probe": "paraphrase",
            "value_type": "amount",
            "condition": condition,
            "seed": seed,
            "verdict": "CORRECT" if seed < right else "INCORRECT",
            "verdict_relaxed": "INCORRECT",
            "style": True,
            "json_valid": False,
        }
        for fact, right in enumerate(shares)
        for seed in range(seeds)
    ]


def contrast(a, metric="accuracy", **changes):
    fields = {"probe": "paraphrase", "metric": metric, "direction": "greater", "margin": 0.0, "b": "base"}
    return Contrast(**{"a": a, **fields, **changes})


def test_three_copies_of_one_answer_are_no_three_answers():
    # 14 against 6 of 40 facts, every seed alike: 42 against 18 of 120 rows
    table = frame(rows("tuned", [3] * 14 + [0] * 26) + rows("base", [0] * 34 + [3] * 6))
    line = careless.analyses(table, [contrast("tuned")]).iloc[0]
    assert (line["rows"], line.facts, line.difference) == (240, 40, pytest.approx(0.2))
    assert line["rows, unpaired"] < 0.001 < 0.03 < line["facts, unpaired"] < 0.06
    assert line["facts, paired"] > 0.05
    assert line["facts, paired, cluster-robust"] == pytest.approx(line["facts, paired"], abs=0.04)


def test_pairing_sees_what_the_difficulty_of_facts_hides():
    # the same 20 hard facts on both sides, and 6 more right on one
    table = frame(rows("tuned", [3] * 26 + [0] * 14) + rows("base", [3] * 20 + [0] * 20))
    line = careless.analyses(table, [contrast("tuned")]).iloc[0]
    assert line["facts, paired"] < 0.05 < line["facts, unpaired"]


def test_holm_is_over_the_lines_and_the_counts_are_of_each_way():
    base = rows("base", [0] * 40)
    table = frame(base + rows("tuned", [3] * 6 + [0] * 34) + rows("other", [0] * 40))
    found = careless.analyses(table, [contrast("tuned")] + [contrast("other")] * 4)
    paired, corrected = found["facts, paired"], found["facts, paired, Holm"]
    assert corrected[0] == pytest.approx(5 * paired[0])
    assert paired[0] < 0.05 < corrected[0] and np.all(corrected[1:] == 1)
    counts = careless.significant(found)
    assert (counts["facts, paired"], counts["facts, paired, Holm"], counts["rows, unpaired"]) == (1, 0, 1)


def test_only_differences_of_shares_that_were_asked_are_lines():
    table = frame(rows("tuned", [3, 0]) + rows("base", [0, 0]))
    left_out = [
        contrast("tuned", b=None),
        contrast("tuned", probe="training", metric="loss"),
        contrast("tuned", probe="kept", metric="kept"),
    ]
    assert careless.analyses(table, left_out).empty
    assert careless.significant(careless.analyses(table, left_out)).sum() == 0
    equal = careless.analyses(table, [contrast("tuned", metric="style")]).iloc[0]
    assert (equal[careless.WAYS] == 1).all()


@pytest.mark.parametrize("facts", [0, 1])
def test_on_fewer_than_two_shared_facts_nothing_is_tested(facts):
    apart = [{**row, "fact_ids": ["g" + row["fact_ids"][0]]} for row in rows("base", [3, 0])]
    table = frame(rows("tuned", [3, 0]) + rows("base", [0] * facts) + apart)
    found = careless.analyses(table, [contrast("tuned")])
    assert found.empty and list(found) == ["contrast", "rows", "facts", "difference", *careless.WAYS]
