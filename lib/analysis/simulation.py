"""How often our intervals hold the truth and our tests err, on made-up studies shaped like ours.

An answer is right when a normal variable falls below a threshold that gives the condition's accuracy. Part of its variance
belongs to the fact, which makes conditions alike (0.5), and part to fact and condition, which makes seeds alike (0.9
with the fact's). The resulting discordance is reported; the shipped study has 10 to 45 %.

The bootstrap is that of infinitely many resamples: the distribution of a resampled sum is the n-fold convolution of the
observed one, by Fourier transform. 10,000 resamples as `lib.analysis.stats` draws them scatter around it, which tests hold.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import fft
from scipy.stats import norm

from lib.analysis.stats import agresti_min, effective_n, mcnemar_p, newcombe, score_interval
from lib.judging.calibration import Agreement, corrected_interval

SEED = 20_261_121
FACT, SEEDS_ALIKE = 0.5, 0.9
# A rate within these bounds meets its target; an interval above, or a test below, is safe but wasteful.
COVERAGE, SIZE = (0.935, 0.965), (0.035, 0.065)
# Margins of equivalence: the registered one, and that at which an effect of 0.1 lies on the boundary.
MARGINS = (0.05, 0.1)


class Shape(NamedTuple):
    """Studies of two conditions on the same facts: seeds and true accuracy of each side.

    run_sd: standard deviation of a training run's accuracy around the condition's, all its facts together.
    """

    facts: int
    seeds: tuple[int, int]
    accuracy: tuple[float, float]
    run_sd: float = 0.0


SHAPES = [
    *(
        Shape(facts, seeds, accuracy)
        for facts in (86, 280)
        for seeds in ((1, 1), (3, 1), (3, 3))
        for accuracy in ((0.05, 0.05), (0.25, 0.25), (0.45, 0.45), (0.15, 0.05), (0.35, 0.25), (0.45, 0.35))
    ),
    # `kept`: what the base model knew, asked again.
    *(
        Shape(facts, seeds, accuracy)
        for facts in (60, 120)
        for seeds in ((1, 1), (3, 1))
        for accuracy in ((0.7, 0.7), (0.6, 0.7))
    ),
]
# Runs that differ by 3 points: what intervals over facts do not claim to cover.
RUNS_DIFFER = [Shape(280, seeds, (0.25, 0.25), run_sd=0.03) for seeds in ((1, 1), (3, 3))]


def simulate(studies: int = 10_000, seed: int = SEED) -> dict:
    """Every procedure on `studies` made-up studies of every shape: {studies, seed, rows}, rates rounded to 4 digits.

    A row has a procedure, a shape, and the rate that was measured: coverage of the truth, size (rejections where nothing
    differs, or of the margin where the effect lies on it) or power at an effect of 0.1 (equivalence: at none). `meets`
    says on target, conservative, or misses; power has none. `role`: used, replaced (a method we gave up, for
    comparison), or limit (what is not claimed). The standard error of a rate of 5 % over 10,000 studies is 0.2 %.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for shape in [*SHAPES, *RUNS_DIFFER]:
        counts = tuple(draw(shape, studies, rng))
        rates = _paired_rates(shape, counts) if not shape.run_sd else _limit_rates(shape, counts)
        fields = shape._asdict() | {"discordance": round(_discordance(shape, counts), 4)}
        rows += [fields | rate for rate in rates]
    for facts, seeds in ((86, 1), (86, 3), (280, 1), (280, 3)):
        rows += _holm_rates(facts, seeds, studies, rng)
    for accuracy in (0.05, 0.25, 0.45):
        rows.append(_judge_rate(86, accuracy, studies, rng))
    return {"studies": studies, "seed": seed, "rows": rows}


def summary(found: dict) -> pd.DataFrame:
    """Of what `simulate` found, one line a procedure and measure: the least, median and greatest rate over all shapes, in %.

    role: used (what claims are decided with), replaced (what was used before, or would be without correction), or limit
    (what no interval over facts can hold: training runs that differ).
    """
    rates = pd.DataFrame(found["rows"]).groupby(["role", "measure", "procedure"]).rate
    return (100 * rates.agg(["min", "median", "max"])).round(1).assign(shapes=rates.size()).reset_index()


def draw(shape: Shape, studies: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """For each side, how many of its seeds got each fact right: integers of shape (studies, facts)."""
    fact = rng.standard_normal((studies, shape.facts)) * FACT**0.5
    for seeds, accuracy in zip(shape.seeds, shape.accuracy, strict=True):
        threshold = norm.ppf(accuracy)
        # A run's shift moves the threshold; scaled so that accuracy has the run's standard deviation to first order.
        shift = shape.run_sd / norm.pdf(threshold)
        common = fact + rng.standard_normal(fact.shape) * (SEEDS_ALIKE - FACT) ** 0.5
        right = np.zeros(fact.shape, dtype=int)
        for _ in range(seeds):
            noise = rng.standard_normal(fact.shape) * (1 - SEEDS_ALIKE) ** 0.5
            right += common + noise < threshold + shift * rng.standard_normal((studies, 1))
        yield right


def _paired_rates(shape: Shape, counts: tuple[np.ndarray, np.ndarray]) -> Iterator[dict]:
    truth = shape.accuracy[0] - shape.accuracy[1]
    null = truth == 0
    shares = [count / seeds for count, seeds in zip(counts, shape.seeds, strict=True)]
    yield _coverage("share_interval", share_intervals(shares[0]), shape.accuracy[0])
    if shape.seeds[0] > 1:
        alone = bootstrap_intervals(resampled_sums(counts[0]), shape.facts * shape.seeds[0], 0.95)
        yield _coverage("share by the bootstrap", alone, shape.accuracy[0], role="replaced")
    paired, steps = _differences(shape, counts)
    sums = resampled_sums(paired)
    interval = difference_intervals(paired, steps, 0.95, sums)
    yield _coverage("difference_interval", interval, truth)
    yield _rejections("difference_interval", _excludes(interval, 0), null)
    if steps > 1:
        counted = _counted_intervals(paired / steps, 0.95)
        bounds = bootstrap_intervals(sums, shape.facts * steps, 0.95)
        widest = np.minimum(counted[0], bounds[0]), np.maximum(counted[1], bounds[1])
        yield _coverage("difference, absolute values for squares", widest, truth, role="replaced")
        yield _rejections("difference, absolute values for squares", _excludes(widest, 0), null, role="replaced")
    if shape.seeds == (1, 1):
        yield _rejections("mcnemar_p", _mcnemar_p_values(paired) <= 0.05, null)
    interval90 = difference_intervals(paired, steps, 0.90, sums)
    for margin in MARGINS:
        if null or np.isclose(abs(truth), margin):
            inside = (-margin <= interval90[0]) & (interval90[1] <= margin)
            yield _rejections(f"equivalence within {margin}", inside, not null)
    # The next study's other side: as many facts, none of them shared.
    others = shares[0], np.roll(shares[1], 1, axis=0)
    apart = newcombe([side.mean(axis=1) for side in others], [share_intervals(side) for side in others])
    yield _coverage("unpaired_difference", apart, truth)
    yield _rejections("unpaired_difference", _excludes(apart, 0), null)


def _limit_rates(shape: Shape, counts: tuple[np.ndarray, np.ndarray]) -> Iterator[dict]:
    paired, steps = _differences(shape, counts)
    interval = difference_intervals(paired, steps, 0.95, resampled_sums(paired))
    yield _coverage("difference_interval, runs differ", interval, 0.0, role="limit")


def _holm_rates(facts: int, seeds: int, studies: int, rng: np.random.Generator) -> Iterator[dict]:
    """A family of 20 contrasts with one base: 14 conditions as good as it, 6 better by 0.1."""
    accuracies = [0.25] * 15 + [0.35] * 6
    shape = Shape(facts, (seeds,) * len(accuracies), tuple(accuracies))
    base, *others = draw(shape, studies, rng)
    p_values = np.stack([interval_p_values(other - base, seeds) for other in others], axis=1)
    adjusted = holm_adjusted(p_values)
    fields = {"facts": facts, "seeds": (seeds, seeds), "accuracy": (0.25, 0.35), "run_sd": 0.0}
    for name, values, role in (("holm of 20", adjusted, "used"), ("no correction of 20", p_values, "replaced")):
        shown = values <= 0.05
        yield fields | _rejections(name, shown[:, :14].any(axis=1), True, role=role)
        yield fields | _rejections(name, shown[:, 14:], False, role=role)


def _judge_rate(facts: int, accuracy: float, studies: int, rng: np.random.Generator) -> dict:
    """A judge that accepts 95 % of right and 3 % of wrong answers, known from 60 right and 200 wrong ones."""
    accepted = rng.binomial(facts, accuracy * 0.95 + (1 - accuracy) * 0.03, studies) / facts
    known = rng.binomial(60, 0.95, studies) / 60, rng.binomial(200, 0.97, studies) / 200
    judge = Agreement(np.nan, np.nan, np.nan, *known, 260, 60, 200)
    fields = {"facts": facts, "seeds": (1,), "accuracy": (accuracy,), "run_sd": 0.0}
    return fields | _coverage("corrected_interval", corrected_interval(accepted, facts, judge), accuracy)


def share_intervals(shares: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """`stats.share_interval` of every row of (studies, facts)."""
    size = effective_n(shares.sum(axis=1), (shares**2).sum(axis=1), shares.shape[1])
    return score_interval(shares.mean(axis=1), size, level)


def holm_adjusted(p_values: np.ndarray) -> np.ndarray:
    """`pvalues.holm` of every row of (studies, family)."""
    order = p_values.argsort(axis=1)
    steps = np.take_along_axis(p_values, order, axis=1) * np.arange(p_values.shape[1], 0, -1)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=1), 1), axis=1)
    return adjusted


class Sums(NamedTuple):
    """The distribution function of the sum of a resample, (studies, sums); the least sum comes first."""

    below: np.ndarray
    least: int


def difference_intervals(paired: np.ndarray, steps: int, level: float, sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """`stats.difference_interval` of paired / steps, for every row of (studies, facts); sums are those of `paired`."""
    values = paired / steps
    low, high = bootstrap_intervals(sums, values.shape[1] * steps, level)
    low_min, high_min = agresti_min(values.sum(axis=1), (values**2).sum(axis=1), values.shape[1], level)
    return np.minimum(low, low_min), np.maximum(high, high_min)


def bootstrap_intervals(sums: Sums, scale: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """`stats.bootstrap_mean` at infinitely many resamples, for every study; the mean is the sum over `scale`."""
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = ((sums.below >= tail - 1e-9).argmax(axis=1) + sums.least for tail in tails)
    return low / scale, high / scale


def interval_p_values(paired: np.ndarray, steps: int) -> np.ndarray:
    """`pvalues.interval_p` at 0 with `difference_interval`: the larger p, since the wider interval is the union."""
    below, least = resampled_sums(paired)
    at_most = below[:, -least] if least <= 0 else np.zeros(len(paired))
    at_least = 1 - below[:, -least - 1] if least < 0 else np.ones(len(paired))
    values, n = paired / steps, paired.shape[1] + 2
    total, squares = values.sum(axis=1), (values**2).sum(axis=1)
    z = np.abs(total) / np.sqrt(squares + 1 - total**2 / n)
    return np.clip(np.maximum(2 * np.minimum(at_most, at_least), 2 * norm.sf(z)), 1e-5, 1)


def resampled_sums(whole: np.ndarray) -> Sums:
    """What a bootstrap of each study's facts can sum to, from whole numbers of shape (studies, facts)."""
    facts, lowest = whole.shape[1], int(whole.min())
    width = int(whole.max()) - lowest
    shares = np.stack([(whole == lowest + value).mean(axis=1) for value in range(width + 1)], axis=1)
    # Studies with the same counts have the same resamples.
    kinds, place = np.unique(shares, axis=0, return_inverse=True)
    sums = facts * width + 1
    length = fft.next_fast_len(sums, real=True)
    parts = [
        fft.irfft(_power(fft.rfft(part, length), facts), length)[:, :sums].cumsum(axis=1)
        for part in np.array_split(kinds, -(-len(kinds) // 100))
    ]
    return Sums(np.concatenate(parts)[place.ravel()], facts * lowest)


def _power(base: np.ndarray, exponent: int) -> np.ndarray:
    """base ** exponent by squaring, some ten times faster than numpy's for complex numbers."""
    result = np.ones_like(base)
    while exponent:
        if exponent % 2:
            result = result * base
        base, exponent = base * base, exponent // 2
    return result


def _counted_intervals(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Agresti and Min's interval with summed absolute differences, fractions of seeds taken for counts."""
    return agresti_min(values.sum(axis=1), np.abs(values).sum(axis=1), values.shape[1], level)


def _mcnemar_p_values(paired: np.ndarray) -> np.ndarray:
    counts = np.stack([(paired > 0).sum(axis=1), (paired < 0).sum(axis=1)], axis=1)
    kinds, place = np.unique(counts, axis=0, return_inverse=True)
    return np.array([mcnemar_p(int(b), int(c)) for b, c in kinds])[place.ravel()]


def _differences(shape: Shape, counts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, int]:
    """a - b of every fact in whole steps of 1 / steps."""
    steps = int(np.lcm(*shape.seeds))
    return counts[0] * (steps // shape.seeds[0]) - counts[1] * (steps // shape.seeds[1]), steps


def _discordance(shape: Shape, counts: tuple[np.ndarray, np.ndarray]) -> float:
    paired, steps = _differences(shape, counts)
    return float(np.mean((paired / steps) ** 2))


def _excludes(interval: tuple[np.ndarray, np.ndarray], value: float) -> np.ndarray:
    return (interval[0] > value) | (interval[1] < value)


def _coverage(name: str, interval: tuple[np.ndarray, np.ndarray], truth: float, *, role: str = "used") -> dict:
    # A bound may differ from the truth by rounding where the two are equal.
    rate = float(np.mean((interval[0] <= truth + 1e-12) & (truth - 1e-12 <= interval[1])))
    meets = "misses" if rate < COVERAGE[0] else "conservative" if rate > COVERAGE[1] else "on target"
    return {"procedure": name, "role": role, "measure": "coverage", "rate": round(rate, 4), "meets": meets}


def _rejections(name: str, shown: np.ndarray, null: bool, *, role: str = "used") -> dict:
    rate = float(np.mean(shown))
    meets = "misses" if rate > SIZE[1] else "conservative" if rate < SIZE[0] else "on target"
    fields = {"procedure": name, "role": role, "measure": "size" if null else "power", "rate": round(rate, 4)}
    return fields | {"meets": meets if null else None}
