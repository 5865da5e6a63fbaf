"""What a comparison could show, from dev rows or the plan and never from its own rows."""

import pytest

from lib.analysis.planning import PLANNED_DISCORDANCE, detectable, planned_discordance
from lib.analysis.tables import frame
from lib.studies import Contrast

CONTRAST = Contrast(a="tuned", b="base", probe="paraphrase", metric="accuracy", direction="greater", margin=0.0)


def dev(tuned, base, **changes):
    return frame(
        [
            {
                "question_id": f"q{fact}",
                "fact_ids": [f"f{fact}"],
                "probe": "paraphrase",
                "value_type": "amount",
                "condition": condition,
                "seed": seed,
                "verdict": "CORRECT" if right else "INCORRECT",
                "verdict_relaxed": "CORRECT" if right else "INCORRECT",
                "style": False,
                "json_valid": False,
                **changes,
            }
            for condition, results in (("tuned", tuned), ("base", base))
            for fact, seeds in enumerate(results)
            for seed, right in enumerate(seeds)
        ]
    )


def test_the_mean_squared_difference_on_dev_with_one_fact_more_by_hand():
    # differences 1, 0, -1 and 1/2: (1 + 0 + 1 + 1/4 + 1) / (4 + 1)
    rows = dev([[1, 1], [1, 1], [0, 0], [1, 0]], [[0], [1], [1], [0]])
    assert planned_discordance(CONTRAST, rows, "correct") == pytest.approx(3.25 / 5)
    assert detectable(CONTRAST, rows, "correct", 100) == pytest.approx(2.80158 * (0.65 / 100) ** 0.5, rel=1e-5)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        dev([[1]], [[0]]).iloc[:0],
        dev([[1], [0]], [[0]]),  # not the same facts
        dev([[1]], [[0]]).query("condition == 'base'"),
        dev([[1]], [[0]], probe="trained"),
        dev([[1]], [[0]], value_type="yesno"),
    ],
)
def test_without_dev_rows_of_both_sides_the_plan_holds(rows):
    assert planned_discordance(CONTRAST, rows, "correct") == PLANNED_DISCORDANCE
