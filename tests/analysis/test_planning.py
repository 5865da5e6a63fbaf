"""What a comparison could show, from dev rows or the plan and never from its own rows."""

import pytest

from lib.analysis.planning import PLANNED_DISCORDANCE, detectable, planned_discordance
from lib.analysis.tables import frame
from lib.studies import Contrast
from tests.analysis.rows import rows

CONTRAST = Contrast(a="tuned", b="base", probe="paraphrase", metric="accuracy", direction="greater", margin=0.0)


def dev(tuned, base, **changes):
    """A table of two conditions; tuned[i][seed] and base[i][seed] say whether fact i is right."""
    sides = [
        (name, seed, right)
        for name, facts in (("tuned", tuned), ("base", base))
        for seed, right in enumerate(zip(*facts, strict=True))
    ]
    return frame([row for name, seed, right in sides for row in rows(name, right, seed=seed, **changes)])


def test_the_mean_squared_difference_on_dev_with_one_fact_more_by_hand():
    # differences 1, 0, -1 and 1/2: (1 + 0 + 1 + 1/4 + 1) / (4 + 1)
    table = dev([[1, 1], [1, 1], [0, 0], [1, 0]], [[0], [1], [1], [0]])
    assert planned_discordance(CONTRAST, table, "correct") == pytest.approx(3.25 / 5)
    assert detectable(CONTRAST, table, "correct", 100) == pytest.approx(2.80158 * (0.65 / 100) ** 0.5, rel=1e-5)


@pytest.mark.parametrize(
    "table",
    [
        None,
        dev([[1]], [[0]]).iloc[:0],
        dev([[1], [0]], [[0]]),  # not the same facts
        dev([[1]], [[0]]).query("condition == 'base'"),
        dev([[1]], [[0]], probe="trained"),
        dev([[1]], [[0]], value_type="yesno"),
    ],
)
def test_without_dev_rows_of_both_sides_the_plan_holds(table):
    assert planned_discordance(CONTRAST, table, "correct") == PLANNED_DISCORDANCE
