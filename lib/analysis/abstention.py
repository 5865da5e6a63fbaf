"""When to say nothing: a threshold on how near the nearest passage is, and what answering less often buys."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def choose_threshold(answerable: Sequence[float], unanswerable: Sequence[float]) -> float:
    """The score from which on to answer: where the share of answerable questions answered, minus that of unanswerable ones,
    is greatest (Youden's J, 1950); of several such scores the lowest, which answers most.

    Args: the scores of both kinds of questions, higher meaning surer. Only scores that occur are tried.
    Raises ValueError when a side is empty: nothing can be chosen between.
    """
    if len(answerable) == 0 or len(unanswerable) == 0:
        raise ValueError("a threshold needs scores of answerable and of unanswerable questions; one side is empty")
    a, u = np.asarray(answerable), np.asarray(unanswerable)
    tried = np.unique([*a, *u])
    # In whole numbers, so that two scores which are as good do not differ by rounding.
    gained = [(a >= t).sum() * len(u) - (u >= t).sum() * len(a) for t in tried]
    return float(tried[int(np.argmax(gained))])


def risk_coverage(scores: Sequence[float], right: Sequence[float]) -> pd.DataFrame:
    """What is wrong among what is answered when only the surest questions are (El-Yaniv and Wiener, 2010).

    One row a score that occurs, surest first: threshold, coverage (share of questions that score at least that) and risk
    (1 - the mean of `right` among them). Questions of equal score are answered together. Raises ValueError on no questions.
    """
    if len(scores) == 0:
        raise ValueError("a risk-coverage curve needs at least one question; the selection is empty")
    table = pd.DataFrame({"threshold": scores, "right": right}).sort_values("threshold", ascending=False)
    counted = table.assign(answered=range(1, len(table) + 1), risk=1 - table.right.expanding().mean())
    last = counted.drop_duplicates("threshold", keep="last")
    curve = last.assign(coverage=last.answered / len(table))
    return curve[["threshold", "coverage", "risk"]].reset_index(drop=True)


def at_threshold(curve: pd.DataFrame, threshold: float) -> pd.Series:
    """The curve's row that answers every question of at least this score; coverage 0 and no risk when none reaches it."""
    reached = curve[curve.threshold >= threshold]
    return reached.iloc[-1] if len(reached) else pd.Series({"threshold": threshold, "coverage": 0.0, "risk": np.nan})
