"""The p-value that belongs to an interval, and Holm's correction of many.

Held against: the z test and statsmodels' ttost_paired (interval_p, equivalence_p); hand-derived values (holm).
"""

from collections.abc import Callable, Sequence

from statsmodels.stats.multitest import multipletests


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
