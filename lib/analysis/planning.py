"""What a comparison can show, said before its own rows are looked at."""

import pandas as pd

from lib.analysis.stats import detectable_difference, differences
from lib.analysis.tables import primary
from lib.studies import Contrast

# The discordance assumed where dev rows do not tell: written down before the first run.
PLANNED_DISCORDANCE = 0.3


def planned_discordance(contrast: Contrast, dev: pd.DataFrame | None, column: str) -> float:
    """The mean squared difference of a fact, from the dev rows of both sides; PLANNED_DISCORDANCE where one has none.

    One fact that differs wholly is added to those seen: none among a few dozen does not make the next one impossible.
    Test rows are no substitute: the discordance of the very facts compared gives the p-value again, not what the study
    could have shown.
    """
    if dev is None or dev.empty or contrast.b is None:
        return PLANNED_DISCORDANCE
    asked = primary(dev) if contrast.metric == "accuracy" else dev
    asked = asked[asked.probe == contrast.probe]
    a, b = (asked[asked.condition == side] for side in (contrast.a, contrast.b))
    if a.empty or set(a.unit) != set(b.unit):
        return PLANNED_DISCORDANCE
    squares = differences(a, b, column) ** 2
    return float((squares.sum() + 1) / (len(squares) + 1))


def detectable(contrast: Contrast, dev: pd.DataFrame | None, column: str, n: int) -> float:
    """The smallest difference that n facts show with 80 % power, at the planned discordance."""
    return detectable_difference(n, planned_discordance(contrast, dev, column))
