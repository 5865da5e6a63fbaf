"""What a failed judgement leaves open: every result as if the failures had been right, and as if they had been wrong.

A failure is neither (Horowitz and Manski, 2000): the interval spans both readings, the value lies half-way between, and
a verdict must hold under both. Without failures everything is as `lib.analysis.stats` computes it.
"""

from itertools import product

import pandas as pd

from lib.analysis.stats import Difference, Estimate, estimate, paired_difference, per_fact, unpaired_difference

# Columns that follow from a verdict; style, JSON and tokens are measured on the answer itself.
JUDGED = {"correct": "verdict", "relaxed": "verdict_relaxed", "answered": "verdict"}


def readings(rows: pd.DataFrame, column: str) -> list[pd.DataFrame]:
    """The rows with every failed judgement read as 0 in `column` and as 1; the rows alone when none bears on it."""
    if column not in JUDGED:
        return [rows]
    failed = rows[JUDGED[column]] == "JUDGE_FAILED"
    return [rows.assign(**{column: rows[column].mask(failed, read)}) for read in (0.0, 1.0)] if failed.any() else [rows]


def bounded_estimate(rows: pd.DataFrame, column: str = "correct") -> Estimate:
    """The mean over facts; low is that of the worst reading, high that of the best."""
    found = [estimate(reading, column) for reading in readings(rows, column)]
    value = (found[0].value + found[-1].value) / 2
    return Estimate(value, min(one.low for one in found), max(one.high for one in found), found[0].n)


def bounded_difference(a: pd.DataFrame, b: pd.DataFrame, column: str = "correct") -> Difference:
    """a - b over the facts; both intervals span all four readings, McNemar's p and counts are the least telling one's."""
    found = [paired_difference(*pair, column) for pair in product(readings(a, column), readings(b, column))]
    values = [one.value for one in found]
    weakest = max(found, key=lambda one: one.p)
    return weakest._replace(
        value=(min(values) + max(values)) / 2,
        low=min(one.low for one in found),
        high=max(one.high for one in found),
        low90=min(one.low90 for one in found),
        high90=max(one.high90 for one in found),
    )


def bounded_unpaired(a: pd.DataFrame, b: pd.DataFrame, column: str = "correct") -> Estimate:
    """a - b of two independent samples of facts; the interval spans all four readings."""
    pairs = product(readings(a, column), readings(b, column))
    found = [unpaired_difference(per_fact(one, column), per_fact(other, column)) for one, other in pairs]
    values = [one.value for one in found]
    value = (min(values) + max(values)) / 2
    return Estimate(value, min(one.low for one in found), max(one.high for one in found), found[0].n)
