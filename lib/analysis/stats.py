"""Honest numbers from rows: intervals, paired differences and exact tests. Nothing is rounded here.

The unit is the fact. Seeds, and several questions about one fact, are averaged within the fact before anything is
resampled, because they are not independent of each other.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, rankdata
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

RESAMPLES = 10_000
SEED = 20_261_121


class Estimate(NamedTuple):
    """A value with its 95 % interval and the number of independent units; low and high are NaN where none applies."""

    value: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """A paired difference a - b over facts: its 95 % interval, the 90 % one for equivalence, and discordant counts.

    p is the exact McNemar p-value of seed 0 (first seed of each side); a_only and b_only are its discordant facts.
    """

    value: float
    low: float
    high: float
    low90: float
    high90: float
    n: int
    a_only: int
    b_only: int
    p: float


def wilson(successes: int, n: int) -> Estimate:
    """A proportion with its Wilson score interval. Raises ValueError when n is 0: no data is not a rate of 0."""
    if n <= 0:
        raise ValueError("a proportion needs at least one observation; the selection is empty")
    return Estimate(successes / n, *_wilson_interval(successes, n, 0.95), n)


def _wilson_interval(successes: int, n: int, level: float) -> tuple[float, float]:
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    # Rounding may put a bound a last digit inside a share of 0 or 1.
    return min(float(low), successes / n), max(float(high), successes / n)


def mcnemar_p(a_only: int, b_only: int) -> float:
    """Two-sided exact McNemar p-value: the binomial test of a_only among all discordant pairs; 1 when there are none."""
    discordant = a_only + b_only
    return 1.0 if discordant == 0 else float(binomtest(a_only, discordant, 0.5).pvalue)


def bootstrap_mean(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over units. Raises ValueError on no units.

    Percentile, not BCa: BCa is undefined when all units are equal, which small models make common.
    """
    if len(values) == 0:
        raise ValueError("a mean needs at least one unit; the selection is empty")
    means, tail = _resampled_means(tuple(values), RESAMPLES), (1 - level) / 2
    return float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))


@lru_cache(maxsize=16)
def _resampled_means(values: tuple[float, ...], resamples: int) -> np.ndarray:
    """The means of bootstrap samples, in ascending order; kept, since a p-value asks for many levels of one."""
    array = np.asarray(values, dtype=float)
    rng = np.random.default_rng(SEED)
    return np.sort(array[rng.integers(0, array.size, (resamples, array.size))].mean(axis=1))


def per_fact(rows: pd.DataFrame, column: str = "correct") -> pd.Series:
    """The mean of `column` for each fact (for each question where it asks for none), seeds and wordings averaged."""
    return rows.groupby("unit")[column].mean()


def estimate(rows: pd.DataFrame, column: str = "correct") -> Estimate:
    """The mean over facts with its interval: Wilson when each fact is one yes or no, bootstrap over facts otherwise."""
    units = per_fact(rows, column)
    return Estimate(float(units.mean()), *share_interval(units), len(units))


def share_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The interval of a mean over facts: Wilson's when every value is 0 or 1, the bootstrap's otherwise."""
    if set(values) <= {0.0, 1.0} and len(values):
        return _wilson_interval(int(sum(values)), len(values), level)
    return bootstrap_mean(values, level)


def differences(a: pd.DataFrame, b: pd.DataFrame, column: str = "correct") -> np.ndarray:
    """a - b for every fact, in the order of fact ids.

    Raises ValueError when the two sides were not asked the same facts: a difference over other questions is no effect.
    """
    left, right = per_fact(a, column), per_fact(b, column)
    if set(left.index) != set(right.index):
        missing = sorted(set(left.index) ^ set(right.index))[:3]
        raise ValueError(f"the two sides were asked different facts, for example {missing}")
    return (left - right).to_numpy()


def paired_difference(a: pd.DataFrame, b: pd.DataFrame, column: str = "correct") -> Difference:
    """a - b over the facts that both were asked about; raises as `differences` does."""
    difference = differences(a, b, column)
    low, high = difference_interval(difference, level=0.95)
    low90, high90 = difference_interval(difference, level=0.90)
    first_a = per_fact(a[a.seed == a.seed.min()], column) > 0.5
    first_b = (per_fact(b[b.seed == b.seed.min()], column) > 0.5).reindex(first_a.index)
    a_only, b_only = int((first_a & ~first_b).sum()), int((~first_a & first_b).sum())
    return Difference(
        float(difference.mean()), low, high, low90, high90, len(difference), a_only, b_only, mcnemar_p(a_only, b_only)
    )


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """The mean of `a` minus that of `b`, two independent samples of facts; n is the smaller one's size.

    Newcombe's interval when every value is 0 or 1, a bootstrap that resamples each side otherwise. Raises ValueError when a
    side is empty.
    """
    if len(a) == 0 or len(b) == 0:
        raise ValueError("a difference needs facts on both sides; one selection is empty")
    value, n = float(np.mean(a) - np.mean(b)), min(len(a), len(b))
    if {*a, *b} <= {0.0, 1.0}:
        counts = int(sum(a)), len(a), int(sum(b)), len(b)
        low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        return Estimate(value, min(float(low), value), max(float(high), value), n)
    # Each side's means come sorted; shuffled, they are independent draws again.
    rng = np.random.default_rng(SEED)
    means = [rng.permutation(_resampled_means(tuple(side), RESAMPLES)) for side in (a, b)]
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Spearman's correlation of two columns over the same facts, in [-1, 1], with its bootstrap interval over facts.

    0 when one column is constant: no order is no association. Raises ValueError on fewer than 3 facts.
    """
    pairs = np.column_stack([x, y])
    if len(pairs) < 3:
        raise ValueError(f"a rank correlation needs at least 3 facts, got {len(pairs)}")
    return Estimate(float(_spearman(pairs[None])[0]), *rank_correlation_interval(pairs), len(pairs))


def rank_correlation_interval(pairs: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap interval of Spearman's correlation of `pairs` (facts, 2), facts resampled."""
    found = _resampled_correlations(tuple(map(tuple, pairs)), RESAMPLES)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=16)
def _resampled_correlations(pairs: tuple[tuple[float, float], ...], resamples: int) -> np.ndarray:
    array = np.asarray(pairs, dtype=float)
    return _spearman(array[np.random.default_rng(SEED).integers(0, len(array), (resamples, len(array)))])


def _spearman(samples: np.ndarray) -> np.ndarray:
    """Pearson's correlation of midranks, for samples of shape (samples, facts, 2)."""
    ranks = rankdata(samples, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norm_product = np.sqrt((ranks**2).sum(axis=1).prod(axis=1))
    return np.divide(ranks.prod(axis=2).sum(axis=1), norm_product, out=np.zeros(len(ranks)), where=norm_product > 0)


def interval_p(values: Sequence[float], threshold: float, interval: Callable[..., tuple[float, float]]) -> float:
    """The two-sided p-value that belongs to an interval: the smallest alpha whose 1 - alpha interval leaves `threshold` out.

    interval(values, level=...) gives the interval of a mean. By bisection, to one part in a thousand; not below 1e-5, which a
    bootstrap of this size cannot tell from 0. 1 when even the narrowest interval holds the threshold.
    """

    def outside(alpha: float) -> bool:
        low, high = interval(values, level=1 - alpha)
        return not low <= threshold <= high

    return _smallest_alpha(outside, most=1.0)


def equivalence_p(values: Sequence[float], margin: float, interval: Callable[..., tuple[float, float]]) -> float:
    """The p-value of two one-sided tests: the smallest alpha whose 1 - 2 alpha interval lies within [-margin, margin].

    At most 0.5: no interval lies within when the mean does not.
    """

    def inside(alpha: float) -> bool:
        low, high = interval(values, level=1 - 2 * alpha)
        return -margin <= low and high <= margin

    return _smallest_alpha(inside, most=0.5)


def _smallest_alpha(shown: Callable[[float], bool], *, most: float) -> float:
    """The smallest alpha at which an effect is shown, between 1e-5 and `most`, by bisection of its logarithm."""
    least, high = 1e-5, most - 1e-9
    if shown(least):
        return least
    if not shown(high):
        return most
    while high - least > 1e-3 * high:
        middle = (least * high) ** 0.5
        least, high = (least, middle) if shown(middle) else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: the chance of any false verdict among them stays within 5 %."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def difference_interval(difference: Sequence[float], *, level: float) -> tuple[float, float]:
    """The interval of a mean paired difference: the wider, on each side, of the bootstrap's and Agresti and Min's.

    A bootstrap of facts that all agree has width 0, as if nothing could ever differ; with few facts that is false
    certainty. Agresti and Min (2005) add half a fact to each discordant count and keep a width of about 2 / n there:

        (b' - c') / n' +- z * sqrt(b' + c' - (b' - c')^2 / n') / n',  b' = b + 1/2, c' = c + 1/2, n' = n + 2,

    b and c the summed positive and negative differences (fractions where seeds disagree). Differences that are no shares,
    as milliseconds and tokens are not, have the bootstrap's interval alone.
    """
    values = np.asarray(difference, dtype=float)
    low, high = bootstrap_mean(values, level)
    if np.abs(values).max() > 1:
        return low, high
    b, c, n = np.clip(values, 0, None).sum() + 0.5, np.clip(-values, 0, None).sum() + 0.5, values.size + 2
    half = norm.ppf((1 + level) / 2) * np.sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
    centre = (b - c) / n
    return min(low, float(centre - half)), max(high, float(centre + half))


def detectable_difference(n: int, discordance: float, power: float = 0.8) -> float:
    """The smallest true difference that a paired comparison of n facts shows with the given power at 5 %, two-sided.

    Normal approximation of McNemar's test: (z_0.975 + z_power) * sqrt(discordance / n), discordance the share of facts
    on which the two sides differ.
    """
    return float((norm.ppf(0.975) + norm.ppf(power)) * np.sqrt(discordance / n))
