"""Two studies side by side: paired where both asked the same questions, else as two independent samples."""

import pandas as pd

from lib.analysis.failures import bounded_difference, bounded_estimate, bounded_unpaired
from lib.analysis.tables import primary

HEADER = ["probe", "condition", "first study", "second study", "first - second (95 % interval)", "compared"]


def compare(first: pd.DataFrame, second: pd.DataFrame) -> list[list[str]]:
    """One row of HEADER for every probe and condition that both tables of test rows hold, yes/no facts left out.

    Questions are the same when their ids are; what only one study asked is left out wherever they share any. An arm of
    one name may have been trained differently in the two studies: the study files say how.
    """
    first, second = (primary(table[table.split == "test"]) for table in (first, second))
    rows = []
    for (probe, condition), a in first.groupby(["probe", "condition"], sort=False):
        b = second[(second.probe == probe) & (second.condition == condition)]
        if b.empty or probe == "unanswerable":
            continue
        shared = set(a.question_id) & set(b.question_id)
        if shared:
            a, b = a[a.question_id.isin(shared)], b[b.question_id.isin(shared)]
            difference, how = bounded_difference(a, b), f"paired on {a.unit.nunique()} facts"
        else:
            difference = bounded_unpaired(a, b)
            how = f"unpaired, {a.unit.nunique()} and {b.unit.nunique()} facts"
        shown = f"{100 * difference.value:+.1f} points ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
        rows.append([probe, condition, _share(a), _share(b), shown, how])
    return rows


def _share(rows: pd.DataFrame) -> str:
    return f"{100 * bounded_estimate(rows).value:.1f} %"
