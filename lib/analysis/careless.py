"""The careless analysis beside the right one: what the same rows seem to show when their structure is ignored."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm, ttest_ind_from_stats

from lib.analysis.pvalues import holm, interval_p
from lib.analysis.stats import clustered_difference, difference_interval, differences, per_fact
from lib.analysis.tables import pick, primary
from lib.studies import Contrast

COLUMNS = {
    "accuracy": "correct",
    "kept": "correct",
    "style": "style",
    "json_valid": "json_valid",
    "answered": "answered",
}
WAYS = ["rows, unpaired", "facts, unpaired", "facts, paired, cluster-robust", "facts, paired", "facts, paired, Holm"]


def analyses(table: pd.DataFrame, contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """One line for each contrast of two shares, with its p-value against no difference under each of WAYS.

    rows, unpaired: a t-test in which every answer is a fact of its own, three seeds making three of one. facts, unpaired:
    the same on the means of facts, all facts of a side whether the other was asked them or not. Paired: over shared
    facts, by regression (`clustered_difference`) or as claims are decided. Holm: over the lines of this table.
    Differences from 0 are tested, not the registered margins, which no careless analysis would have. Contrasts with fewer
    than two shared facts are left out: nothing can be tested on them.
    """
    lines = []
    for contrast in contrasts:
        if contrast.b is None or contrast.metric not in COLUMNS or not (table.probe == contrast.probe).any():
            continue
        rows, column = primary(table) if contrast.metric == "accuracy" else table, COLUMNS[contrast.metric]
        a, b = (pick(rows, side, contrast.probe) for side in (contrast.a, contrast.b))
        shared = set(a.unit) & set(b.unit)
        if len(shared) < 2:
            continue
        both = [side[side.unit.isin(shared)] for side in (a, b)]
        robust = clustered_difference(*both, column)
        difference = differences(*both, column)
        p_values = (
            _t_test(a[column], b[column]),
            _t_test(per_fact(a, column), per_fact(b, column)),
            _normal_p(robust.value, (robust.high - robust.low) / (2 * norm.ppf(0.975))),
            interval_p(difference, 0.0, difference_interval),
        )
        name = f"{contrast.metric} ({contrast.probe}), {contrast.a} - {contrast.b}"
        counts = {"rows": len(a) + len(b), "facts": len(shared), "difference": difference.mean()}
        lines.append({"contrast": name} | counts | dict(zip(WAYS, p_values, strict=False)))
    found = pd.DataFrame(lines, columns=["contrast", "rows", "facts", "difference", *WAYS[:-1]])
    return found.assign(**{WAYS[-1]: holm(list(found[WAYS[-2]]))})


def significant(found: pd.DataFrame) -> pd.Series:
    """How many contrasts of `analyses` each way calls significant at 5 %."""
    return (found[WAYS] <= 0.05).sum()


def _t_test(a: pd.Series, b: pd.Series) -> float:
    if np.var(a) == np.var(b) == 0:
        return float(np.mean(a) == np.mean(b))
    sides = [moment for side in (a, b) for moment in (side.mean(), side.std(), len(side))]
    return float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)


def _normal_p(value: float, error: float) -> float:
    # Where all facts differ alike the error is 0, up to rounding, which may even leave a negative variance.
    return float(2 * norm.sf(abs(value) / error)) if error > 1e-9 else float(abs(value) < 1e-9)
