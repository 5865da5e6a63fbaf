"""Intervals and tests against their definitions, and what no change of form may move."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap, spearmanr, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from lib.analysis import stats
from lib.analysis.pvalues import interval_p


def answers(verdicts: dict[str, list[float]], first_seed: int = 0) -> pd.DataFrame:
    """One row a fact and seed: verdicts[fact] lists the result of seed 0, 1, ..."""
    return pd.DataFrame(
        [
            {"unit": fact, "seed": first_seed + seed, "correct": float(result)}
            for fact, results in verdicts.items()
            for seed, result in enumerate(results)
        ]
    )


def side(values) -> pd.DataFrame:
    return answers({f"f{place:03}": [value] for place, value in enumerate(values)})


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 7), (12, 12), (3, 10), (160, 317), (1, 221)])
def test_wilson_is_the_score_interval_by_its_formula(right, n):
    z, share = 1.959963984540054, right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    found = stats.wilson(right, n)
    assert found == pytest.approx((share, centre - half, centre + half, n), abs=1e-12)


def test_wilson_of_five_in_ten_by_hand():
    # z^2 = 3.8415; centre 0.5; half = 1.96 / 1.38415 * sqrt(0.025 + 0.0096037) = 1.41601 * 0.186021 = 0.26341
    found = stats.wilson(5, 10)
    assert found.low == pytest.approx(0.23659, abs=2e-5)
    assert found.high == pytest.approx(0.76341, abs=2e-5)


def test_wilson_contains_its_share_even_when_all_or_none_are_right():
    for n in range(1, 120):
        for right in range(n + 1):
            found = stats.wilson(right, n)
            assert 0 <= found.low <= found.value <= found.high <= 1, (right, n)


@pytest.mark.parametrize("n", [0, -1])
def test_no_observations_are_not_a_rate_of_zero(n):
    with pytest.raises(ValueError, match="at least one observation"):
        stats.wilson(0, n)


def test_wilson_of_wrong_is_one_minus_wilson_of_right():
    right, wrong = stats.wilson(3, 20), stats.wilson(17, 20)
    assert (1 - wrong.high, 1 - wrong.low) == pytest.approx((right.low, right.high))


def test_mcnemar_is_the_sum_of_all_splits_no_likelier_than_the_one_seen():
    for n in range(1, 25):
        chances = [binom.pmf(k, n, 0.5) for k in range(n + 1)]
        for k in range(n + 1):
            wanted = sum(chance for chance in chances if chance <= chances[k] * (1 + 1e-9))
            assert stats.mcnemar_p(k, n - k) == pytest.approx(min(1, wanted)), (k, n)


def test_mcnemar_by_hand():
    # five of five discordant facts one way: 2 * (1/2)^5 = 0.0625
    assert stats.mcnemar_p(5, 0) == pytest.approx(0.0625)
    # 7 against 1: 2 * (1 + 8) / 2^8 = 0.0703125
    assert stats.mcnemar_p(7, 1) == pytest.approx(0.0703125)
    assert stats.mcnemar_p(0, 0) == 1
    assert stats.mcnemar_p(4, 4) == 1


def test_a_bootstrap_of_equal_units_is_a_point():
    assert stats.bootstrap_mean([0.25] * 9) == pytest.approx((0.25, 0.25))


def test_the_bootstrap_agrees_with_all_resamples_enumerated():
    # Three units 0, 1, 5: all 27 resamples give the exact distribution of the mean.
    units = [0.0, 1.0, 5.0]
    every = np.sort([(a + b + c) / 3 for a in units for b in units for c in units])
    low, high = stats.bootstrap_mean(units)
    # 1/27 = 3.7 % of all means are 0 and as many are 5, more than 2.5 %: the ends are the extremes
    assert (low, high) == pytest.approx((every[0], every[-1]))
    # At 80 % a tail of 10 % is 2.7 of 27: the 3rd smallest, (0+0+1)/3, and the 3rd largest, (5+5+1)/3
    assert stats.bootstrap_mean(units, level=0.8) == pytest.approx((1 / 3, 11 / 3))


def test_a_mean_of_no_units_raises():
    with pytest.raises(ValueError, match="at least one unit"):
        stats.bootstrap_mean([])


def test_seeds_are_averaged_within_a_fact():
    rows = answers({"a": [1, 0], "b": [1, 1]})
    assert stats.per_fact(rows).to_dict() == {"a": 0.5, "b": 1.0}
    found = stats.estimate(rows)
    assert (found.value, found.n) == (0.75, 2)  # (0.5 + 1) / 2 over two facts, not 3 of 4 rows


def test_a_fact_asked_more_often_weighs_no_more():
    rows = answers({"a": [1, 1, 1, 1], "b": [0, 0]})
    assert stats.estimate(rows) == stats.wilson(1, 2)


def test_more_seeds_with_the_same_results_narrow_nothing():
    once, thrice = answers({"a": [1], "b": [0], "c": [0]}), answers({"a": [1] * 3, "b": [0] * 3, "c": [0] * 3})
    assert stats.estimate(once) == stats.estimate(thrice)


def test_identical_sides_differ_by_nothing():
    rows = side([0, 1, 1, 0, 1])
    found = stats.paired_difference(rows, rows)
    # no discordant fact: b' = c' = 1/2, n' = 7, so the interval is +- 1.96 * sqrt(1) / 7 and never of width 0
    assert (found.value, found.n, found.a_only, found.b_only, found.p) == (0, 5, 0, 0, 1)
    assert (found.low, found.high) == pytest.approx((-0.27999, 0.27999), abs=1e-5)
    assert (found.low90, found.high90) == pytest.approx((-0.23498, 0.23498), abs=1e-5)


def test_a_paired_difference_by_hand():
    found = stats.paired_difference(side([1, 1, 1, 0, 0]), side([0, 0, 1, 1, 0]))
    # differences 1, 1, 0, -1, 0: mean 1/5; two facts one way and one the other: p = 2 * (1 + 3) / 8 = 1
    assert found.value == pytest.approx(0.2)
    assert (found.n, found.a_only, found.b_only, found.p) == (5, 2, 1, 1)
    assert found.low <= found.low90 <= found.value <= found.high90 <= found.high


def test_opposite_seeds_cancel_within_their_fact():
    found = stats.paired_difference(answers({"a": [1, 0], "b": [0, 1]}), answers({"a": [0], "b": [0]}))
    # sum 1, squares 1/2 + 1, n' = 4: 1/4 +- 1.96 * sqrt(3/2 - 1/4) / 4 = -0.298 .. 0.798; the bootstrap alone has width 0
    assert (found.value, found.low, found.high) == pytest.approx((0.5, -0.2978, 0.7978), abs=1e-4)
    assert (found.a_only, found.b_only) == (1, 0)  # of the first seed, only fact a


def test_the_first_seed_need_not_be_zero():
    found = stats.paired_difference(answers({"a": [1], "b": [1]}, first_seed=3), side_of("a", "b"))
    assert (found.a_only, found.b_only) == (2, 0)


def side_of(*facts: str) -> pd.DataFrame:
    return answers({fact: [0] for fact in facts})


def test_different_facts_raise_and_are_named():
    with pytest.raises(ValueError, match=r"different facts, for example \['b', 'c'\]"):
        stats.paired_difference(side_of("a", "b"), side_of("a", "c"))


def test_one_fact_too_few_is_as_bad_as_another_fact():
    with pytest.raises(ValueError, match="different facts"):
        stats.paired_difference(side_of("a", "b"), side_of("a"))


RESULTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=30)


@settings(max_examples=40, deadline=None)
@given(RESULTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(pairs, random):
    a, b = side([x for x, _ in pairs]), side([y for _, y in pairs])
    order = list(range(len(a)))
    random.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stats, "RESAMPLES", 200)
        assert stats.paired_difference(a, b) == stats.paired_difference(a.iloc[order], b.iloc[order[::-1]])


@settings(max_examples=40, deadline=None)
@given(RESULTS)
def test_swapping_the_sides_swaps_the_sign(pairs):
    a, b = side([x for x, _ in pairs]), side([y for _, y in pairs])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stats, "RESAMPLES", 200)
        one, other = stats.paired_difference(a, b), stats.paired_difference(b, a)
    assert one.value == pytest.approx(-other.value)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (one.a_only, one.b_only, one.p) == (other.b_only, other.a_only, other.p)


def test_a_shift_of_one_side_shifts_the_whole_interval():
    latency_a, latency_b = (side(values).assign(ms=values) for values in ([10, 14, 9, 30], [8, 15, 7, 21]))
    before = stats.paired_difference(latency_a, latency_b, "ms")
    after = stats.paired_difference(latency_a.assign(ms=latency_a.ms + 100), latency_b, "ms")
    for name in ("value", "low", "high", "low90", "high90"):
        assert getattr(after, name) == pytest.approx(getattr(before, name) + 100)


def test_many_facts_that_agree_leave_a_narrow_interval_and_few_a_wide_one():
    widths = [stats.paired_difference(side([0] * n), side([0] * n)).high for n in (8, 58, 317)]
    assert widths == pytest.approx([1.96 / 10, 1.96 / 60, 1.96 / 319], rel=1e-3)


def test_a_shift_of_both_sides_changes_nothing():
    a, b = (side(values).assign(ms=values) for values in ([10, 14, 9, 30], [8, 15, 7, 21]))
    moved = stats.paired_difference(a.assign(ms=a.ms + 4), b.assign(ms=b.ms + 4), "ms")
    assert moved[:6] == pytest.approx(stats.paired_difference(a, b, "ms")[:6])


def test_a_higher_level_is_wider():
    values = np.random.default_rng(1).normal(size=50)
    intervals = [stats.bootstrap_mean(values, level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    for (low, high), (wider_low, wider_high) in zip(intervals, intervals[1:], strict=False):
        assert wider_low < low < high < wider_high


def test_four_times_the_facts_halve_the_width():
    values = np.random.default_rng(2).normal(size=60)
    low, high = stats.bootstrap_mean(values)
    low4, high4 = stats.bootstrap_mean(np.tile(values, 4))
    assert (high - low) / (high4 - low4) == pytest.approx(2, rel=0.05)


def test_an_estimate_contains_its_value_whatever_the_seeds_say():
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 40):
        rows = answers({f"f{i}": list(rng.integers(0, 2, 3)) for i in range(n)})
        found = stats.estimate(rows)
        assert found.low <= found.value + 1e-12
        assert found.value <= found.high + 1e-12


def test_the_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch):
    """300 made-up studies of 60 facts in which a is right on 50 % and b on 35 %, independently: the truth is 0.15."""
    monkeypatch.setattr(stats, "RESAMPLES", 400)
    rng, covered, covered90 = np.random.default_rng(4), 0, 0
    for _ in range(300):
        a, b = side(rng.random(60) < 0.5), side(rng.random(60) < 0.35)
        found = stats.paired_difference(a, b)
        covered += found.low <= 0.15 <= found.high
        covered90 += found.low90 <= 0.15 <= found.high90
    # sd of a share of 95 % over 300 studies is 1.3 points, of 90 % 1.7
    assert 0.90 <= covered / 300 <= 0.99
    assert 0.84 <= covered90 / 300 <= 0.95


def test_where_nothing_differs_the_exact_test_seldom_says_so():
    """Null simulation: both sides right on half of the facts; at most 5 % of studies may have p < 0.05."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(2000):
        a, b = rng.random(80) < 0.5, rng.random(80) < 0.5
        found.append(stats.mcnemar_p(int((a & ~b).sum()), int((~a & b).sum())))
    assert np.mean(np.array(found) < 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_the_detectable_difference_of_the_study_is_nine_points():
    # (1.95996 + 0.84162) * sqrt(0.3 / 317) = 2.80158 * 0.0307630 = 0.0861854
    assert stats.detectable_difference(317, 0.3) == pytest.approx(0.0861854, abs=1e-6)


def test_four_times_the_facts_show_half_the_difference():
    assert stats.detectable_difference(400, 0.2) == pytest.approx(stats.detectable_difference(100, 0.2) / 2)
    assert stats.detectable_difference(100, 0.2, power=0.9) > stats.detectable_difference(100, 0.2)


# --- several seeds


def test_shares_of_several_seeds_by_hand():
    # 1, 1/2, 0, 1/2 of four facts: m = (2 + 1) / 6 = 1/2, v = (1.5 + 1) / 6 - 1/4 = 1/6, so 4 * (1/4) / (1/6) = 6 facts
    assert stats.effective_n(2.0, 1.5, 4) == pytest.approx(6)
    assert stats.share_interval([1, 0.5, 0, 0.5]) == pytest.approx(stats.wilson(3, 6)[1:3])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_one_seed_counts_every_fact_once(results):
    assert stats.effective_n(sum(results), sum(results), len(results)) == pytest.approx(len(results))
    assert stats.share_interval(results) == pytest.approx(stats.wilson(sum(results), len(results))[1:3])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_three_seeds_tell_no_less_than_one(rights):
    shares = np.array(rights) / 3
    assert stats.effective_n(shares.sum(), (shares**2).sum(), len(shares)) >= len(shares) - 1e-9


def test_one_right_answer_of_three_seeds_leaves_room_above():
    low, high = stats.share_interval([1 / 3] + [0.0] * 85)
    # a bootstrap ends at 1.2 %; no right answer at all ends at 4.3 %, one whole fact at 6.3 %
    assert 0 <= low < 1 / 258 < 0.03 < high < 0.063


@pytest.mark.parametrize("seed", range(4))
def test_a_rank_correlation_is_spearman_s_ties_included(seed):
    x, y = np.random.default_rng(seed).integers(0, 6, (2, 15)).astype(float)
    found = stats.rank_correlation(x, y)
    assert found.value == pytest.approx(spearmanr(x, y).statistic)
    assert -1 <= found.low <= found.high <= 1
    assert found.n == 15


def test_a_rank_correlation_keeps_to_order_alone_and_turns_with_it():
    x = np.random.default_rng(0).normal(size=20)
    y = x + np.random.default_rng(1).normal(size=20)
    found = stats.rank_correlation(x, y)
    assert stats.rank_correlation(np.exp(3 * x), y) == pytest.approx(found)
    assert stats.rank_correlation(y, x).value == pytest.approx(found.value)
    turned = stats.rank_correlation(x, -y)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-9)


def test_a_column_without_order_has_no_rank_correlation():
    found = stats.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])
    assert (found.value, found.low, found.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="at least 3 facts, got 2"):
        stats.rank_correlation([1, 2], [1, 2])


def test_the_interval_of_a_rank_correlation_holds_the_truth_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 400)
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        found = stats.rank_correlation(*rng.normal(size=(2, 24)))
        held += found.low <= 0 <= found.high
    assert held >= 88


def test_mcnemar_of_each_seed_by_hand():
    a = answers({"w": [1, 1, 0], "x": [1, 1, 0], "y": [1, 0, 0], "z": [0, 0, 1]})
    b = answers({"w": [0], "x": [0], "y": [0], "z": [0]})
    # 3 of 3 discordant one way: 2 / 8; 2 of 2: 2 / 4; 1 of 1: 1
    assert stats.mcnemar_by_seed(a, b) == {0: (3, 0, 0.25), 1: (2, 0, 0.5), 2: (1, 0, 1.0)}
    assert stats.mcnemar_by_seed(b, a) == {0: (0, 3, 0.25), 1: (0, 2, 0.5), 2: (0, 1, 1.0)}
    assert stats.mcnemar_by_seed(a, a) == {0: (0, 0, 1.0), 1: (0, 0, 1.0), 2: (0, 0, 1.0)}


# --- beside other packages


def test_mcnemar_is_statsmodels():
    for a_only, b_only in [(0, 0), (1, 0), (9, 2), (3, 30), (12, 12)]:
        assert stats.mcnemar_p(a_only, b_only) == pytest.approx(mcnemar([[5, a_only], [b_only, 5]], exact=True).pvalue)


def test_the_bootstrap_is_scipys():
    values = np.random.default_rng(8).integers(0, 4, 120) / 3
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(9))
    assert stats.bootstrap_mean(values) == pytest.approx(theirs.confidence_interval, abs=0.004)


@pytest.mark.parametrize(("a", "n_a", "b", "n_b"), [(56, 70, 48, 80), (0, 10, 0, 20), (3, 86, 21, 86), (20, 20, 1, 30)])
def test_the_unpaired_interval_is_statsmodels_newcombe(a, n_a, b, n_b):
    sides = [[1.0] * right + [0.0] * (n - right) for right, n in ((a, n_a), (b, n_b))]
    theirs = confint_proportions_2indep(a, n_a, b, n_b, method="newcomb", compare="diff")
    assert stats.unpaired_difference(*sides)[1:3] == pytest.approx(theirs)


def test_newcombes_published_example():
    # Newcombe (1998), method 10, 56/70 - 48/80: 0.0524 to 0.3339
    found = stats.unpaired_difference([1.0] * 56 + [0.0] * 14, [1.0] * 48 + [0.0] * 32)
    assert found[:3] == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def seeds_that_agree(rng, facts, shares, seeds):
    """Each side's rows: two of three times a seed repeats the fact's own answer, so that rows of a fact are alike."""
    sides = []
    for share in shares:
        own = rng.random((facts, 1)) < share
        fresh = rng.random((facts, seeds)) < share
        result = np.where(rng.random((facts, seeds)) < 2 / 3, own, fresh)
        sides.append(answers({f"f{fact:03}": list(row) for fact, row in enumerate(result)}))
    return sides


def test_clustered_errors_agree_with_the_bootstrap_over_facts_and_not_with_independent_rows():
    a, b = seeds_that_agree(np.random.default_rng(10), 200, (0.45, 0.3), 3)
    ours, theirs = stats.paired_difference(a, b), stats.clustered_difference(a, b)
    assert theirs.value == pytest.approx(ours.value)
    assert theirs.n == ours.n == 200
    assert theirs.high - theirs.low == pytest.approx(ours.high - ours.low, rel=0.05)
    rows = 2 * 1.96 * math.sqrt(sum(side.correct.var() / len(side) for side in (a, b)))
    assert theirs.high - theirs.low > 1.2 * rows


def test_the_clustered_error_by_hand():
    # differences 1, 0, 0, -1, 1 of five facts: variance of the mean sum (d - 1/5)^2 / 25 = 2.8 / 25, times the
    # correction 5/4 * (10 - 1)/(10 - 2)
    found = stats.clustered_difference(side([1, 1, 0, 0, 1]), side([0, 1, 0, 1, 0]))
    error = math.sqrt(2.8 / 25 * 5 / 4 * 9 / 8)
    assert found[:3] == pytest.approx((0.2, 0.2 - 1.959964 * error, 0.2 + 1.959964 * error))


@pytest.mark.parametrize("values", [[1.0] * 22, [-1.0] * 3, [1.0] * 9 + [0.0]])
def test_a_difference_of_shares_never_leaves_minus_one_to_one(values):
    low, high = stats.difference_interval(values, level=0.95)
    assert -1 <= low < np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 < high <= 1 or high == 1


def test_differences_that_are_no_shares_are_refused_where_shares_are_expected():
    with pytest.raises(ValueError, match="lies in -1 to 1, got 60"):
        stats.difference_interval([0.5, 60.0], level=0.95)


def test_the_interval_of_few_latencies_covers_the_truth_as_often_as_it_says(monkeypatch):
    """The bootstrap alone covers it in 87 % of these studies."""
    monkeypatch.setattr(stats, "RESAMPLES", 500)
    studies = np.random.default_rng(12).normal(size=(700, 6))
    intervals = [stats.amount_interval(study, level=0.95) for study in studies]
    assert np.mean([low <= 0 <= high for low, high in intervals]) >= 0.93


def test_six_latencies_that_differ_in_one_direction_are_not_certain():
    values = [5.0, 3000.0, 10.0, 2500.0, 2.0, 1800.0]
    p = interval_p(values, 0.0, stats.amount_interval)
    assert p >= 0.05
    assert p == pytest.approx(ttest_1samp(values, 0).pvalue, rel=2e-3), "where it is the wider one, it is Student's"
    theirs = ttest_1samp(values, 0).confidence_interval(0.95)
    assert stats.amount_interval(values, level=0.95) == pytest.approx((theirs.low, theirs.high))


def test_a_higher_level_never_narrows_the_interval_of_amounts():
    values = [5.0, 3000.0, 10.0, 2500.0, 2.0, 1800.0]
    lows, highs = zip(*(stats.amount_interval(values, level=level) for level in np.linspace(0, 0.999, 50)), strict=True)
    assert list(lows) == sorted(lows, reverse=True) and list(highs) == sorted(highs)


def test_the_interval_goes_by_what_the_column_holds_and_not_by_its_size():
    a, b = (side([0] * 96).assign(prompt_tokens=tokens) for tokens in (40, 39))
    found = stats.paired_difference(a, b, "prompt_tokens")
    assert (found.low, found.high) == (1, 1), "96 facts that all take one token more; not 1 in 96 cut at 1"
    assert stats.paired_difference(a, b).low < 0 < stats.paired_difference(a, b).high


def test_one_latency_says_nothing_of_how_they_differ():
    assert stats.amount_interval([40.0], level=0.95) == (-np.inf, np.inf)
