"""The simulation simulates our procedures, and its published result keeps within its own bounds."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from lib import paths
from lib.analysis import pvalues, simulation, stats
from lib.analysis.simulation import Shape

PUBLISHED = json.loads((paths.RESULTS / "simulation.json").read_text())
ROWS = pd.DataFrame(PUBLISHED["rows"])


def some_studies(seeds, accuracy=(0.35, 0.2), facts=40):
    shape = Shape(facts, seeds, accuracy)
    counts = tuple(simulation.draw(shape, 6, np.random.default_rng(1)))
    return shape, counts, *simulation._differences(shape, counts)


@pytest.mark.parametrize("seeds", [(1, 1), (3, 1), (3, 3)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_simulated_interval_is_ours_up_to_the_scatter_of_resampling(seeds, level):
    _, _, paired, steps = some_studies(seeds)
    lows, highs = simulation.difference_intervals(paired, steps, level, simulation.resampled_sums(paired))
    for study, low, high in zip(paired / steps, lows, highs, strict=True):
        # one step of the sum at most, which a quantile of finitely many resamples may be off
        assert stats.difference_interval(study, level=level) == pytest.approx((low, high), abs=1.01 / 40 / steps)


@pytest.mark.parametrize("seeds", [(1, 1), (3, 3)])
def test_the_simulated_share_and_p_value_are_ours(seeds):
    shape, counts, paired, steps = some_studies(seeds)
    shares = counts[0] / shape.seeds[0]
    lows, highs = simulation.share_intervals(shares)
    for study, low, high in zip(shares, lows, highs, strict=True):
        assert stats.share_interval(study) == pytest.approx((low, high))
    for study, p in zip(paired / steps, simulation.interval_p_values(paired, steps), strict=True):
        ours = pvalues.interval_p(study, 0.0, stats.difference_interval)
        assert ours == pytest.approx(p, rel=0.15, abs=2e-3)


def test_the_simulated_correction_is_ours():
    p_values = np.random.default_rng(3).random((5, 20)) ** 4
    for family, adjusted in zip(p_values, simulation.holm_adjusted(p_values), strict=True):
        assert pvalues.holm(list(family)) == pytest.approx(adjusted)


def test_resampled_sums_are_all_resamples_enumerated():
    sums = simulation.resampled_sums(np.array([[-1, 0, 1], [1, 1, 1]]))
    # 27 resamples of -1, 0, 1: 1, 3, 6, 7, 6, 3, 1 of them sum to -3 .. 3; of 1, 1, 1 every one to 3
    assert sums.least == -3
    assert sums.below[0] * 27 == pytest.approx(np.cumsum([1, 3, 6, 7, 6, 3, 1]))
    assert sums.below[1] == pytest.approx([0, 0, 0, 0, 0, 0, 1])


def test_made_up_studies_have_the_accuracy_and_likeness_that_they_are_made_with():
    a, b = simulation.draw(Shape(200, (3, 1), (0.35, 0.25)), 400, np.random.default_rng(2))
    assert (a.mean() / 3, b.mean()) == pytest.approx((0.35, 0.25), abs=0.01)
    unanimous = np.isin(a, [0, 3]).mean()
    independent = 0.35**3 + 0.65**3
    assert unanimous > independent + 0.3  # the seeds of a fact mostly agree
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.2


def test_the_same_seed_gives_the_same_result_and_another_does_not(monkeypatch):
    monkeypatch.setattr(simulation, "SHAPES", [Shape(30, (1, 1), (0.3, 0.3)), Shape(30, (3, 3), (0.35, 0.25))])
    once = simulation.simulate(40, seed=1)
    assert once == simulation.simulate(40, seed=1)
    assert once["rows"] != simulation.simulate(40, seed=2)["rows"]


def test_enough_studies_of_every_shape_and_procedure():
    assert PUBLISHED["studies"] >= 2000
    paired = ROWS[ROWS.procedure == "difference_interval"]
    shapes = {(row.facts, tuple(row.seeds), tuple(row.accuracy)) for row in paired.itertuples()}
    assert shapes == {shape[:3] for shape in simulation.SHAPES}
    assert set(ROWS[ROWS.role == "used"].procedure) == {
        "share_interval",
        "difference_interval",
        "mcnemar_p",
        "equivalence within 0.05",
        "equivalence within 0.1",
        "unpaired_difference",
        "holm of 20",
        "corrected_interval",
    }


# What misses its target, by a quarter of a point at most. Wilson's interval is right on average over shares and dips where
# the counts happen to fall so: at 60 facts and 70 % its exact coverage is 93.4 %. Equivalence errs where differences are
# skewed and so many facts are needed that a margin of 10 points can be shown at all; the registered margin is 5.
MISSES = {("share_interval", 60, (1, 1), (0.7, 0.7)), ("equivalence within 0.1", 86, (3, 3), (0.15, 0.05))}


def test_the_procedures_that_are_used_meet_their_targets_but_for_two_known_shapes():
    used = ROWS[ROWS.role == "used"]
    missed = used[used.meets == "misses"]
    assert {(row.procedure, row.facts, tuple(row.seeds), tuple(row.accuracy)) for row in missed.itertuples()} == MISSES
    assert used[used.measure == "coverage"].rate.min() >= simulation.COVERAGE[0] - 0.0025
    assert used[used.measure == "size"].rate.max() <= simulation.SIZE[1] + 0.0025


def test_the_coverage_of_one_share_is_the_exact_binomial_sum():
    rows = ROWS[(ROWS.procedure == "share_interval") & ROWS.seeds.map(lambda seeds: seeds == [1, 1])]
    for row in rows.itertuples():
        right, truth = np.arange(row.facts + 1), row.accuracy[0]
        low, high = stats.score_interval(right / row.facts, row.facts, 0.95)
        exact = binom.pmf(right, row.facts, truth)[(low <= truth) & (truth <= high)].sum()
        # four standard errors of a share of 95 % over as many studies
        assert row.rate == pytest.approx(exact, abs=4 * (0.05 * 0.95 / PUBLISHED["studies"]) ** 0.5)


def test_what_is_conservative_is_so_on_the_safe_side():
    exact = ROWS[(ROWS.procedure == "mcnemar_p") & (ROWS.measure == "size")]
    assert exact.rate.max() < 0.05
    family = ROWS[(ROWS.procedure == "holm of 20") & (ROWS.measure == "size")]
    assert family.rate.max() < 0.05


def test_what_was_replaced_was_replaced_for_a_reason():
    rate = ROWS.set_index(["procedure", "measure"]).rate.sort_index()
    assert rate["share by the bootstrap", "coverage"].min() < simulation.COVERAGE[0]
    assert rate["difference, absolute values for squares", "coverage"].max() > simulation.COVERAGE[1]
    kept, lost = (
        ROWS[(ROWS.procedure == name) & (ROWS.measure == "power") & ROWS.seeds.map(lambda seeds: seeds == [3, 3])]
        for name in ("difference_interval", "difference, absolute values for squares")
    )
    assert (kept.rate.to_numpy() >= lost.rate.to_numpy()).all() and kept.rate.mean() > lost.rate.mean() + 0.04
    assert rate["no correction of 20", "size"].min() > 0.2


def test_the_summary_spans_all_shapes_of_a_procedure():
    found = {
        "rows": [{"role": "used", "measure": "size", "procedure": "p", "rate": rate} for rate in (0.01, 0.02, 0.06)]
    }
    (line,) = simulation.summary(found).to_dict("records")
    assert (line["min"], line["median"], line["max"], line["shapes"]) == (1.0, 2.0, 6.0, 3)
    assert set(simulation.summary(PUBLISHED).role) == {"used", "replaced", "limit"}
