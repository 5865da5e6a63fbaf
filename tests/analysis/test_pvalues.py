"""p-values against the tests whose intervals they come from, and Holm by hand."""

import numpy as np
import pytest
from scipy.stats import norm, t
from statsmodels.stats.weightstats import ttost_paired

from lib.analysis import pvalues


def z_interval(values, level):
    half = norm.ppf((1 + level) / 2) * np.std(values) / np.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


@pytest.mark.parametrize("threshold", [-0.4, 0.0, 0.3, 0.5])
def test_a_p_value_from_a_normal_interval_is_the_z_tests(threshold):
    values = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    z = abs(values.mean() - threshold) / (np.std(values) / np.sqrt(10))
    assert pvalues.interval_p(values, threshold, z_interval) == pytest.approx(max(1e-5, 2 * norm.sf(z)), rel=2e-3)


@pytest.mark.parametrize("margin", [0.05, 0.2, 0.5])
def test_an_equivalence_p_from_a_normal_interval_is_the_larger_one_sided(margin):
    values = np.array([0.0, 1.0, 0.0, -1.0, 0.2, 0.0, 0.0, 0.0, 0.1, 0.0])
    se = np.std(values) / np.sqrt(10)
    larger = max(norm.sf((margin - values.mean()) / se), norm.sf((margin + values.mean()) / se))
    assert pvalues.equivalence_p(values, margin, z_interval) == pytest.approx(min(0.5, larger), rel=2e-3)


def test_a_mean_at_the_threshold_has_p_one_and_a_mean_outside_is_never_equivalent():
    assert pvalues.interval_p([0.2, 0.4], 0.3, z_interval) == 1
    assert pvalues.equivalence_p([0.9, 1.0, 0.8], 0.05, z_interval) == 0.5


def test_holm_by_hand():
    assert pvalues.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert pvalues.holm([0.9]) == [0.9]
    assert pvalues.holm([]) == []


def t_interval(values, level):
    half = t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


@pytest.mark.parametrize("margin", [0.1, 0.2, 0.4])
def test_equivalence_from_a_t_interval_is_statsmodels_two_one_sided_tests(margin):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 4, (2, 90)) / 3
    theirs = ttost_paired(a, b, -margin, margin)[0]
    assert pvalues.equivalence_p(a - b, margin, t_interval) == pytest.approx(np.clip(theirs, 1e-5, 0.5), rel=2e-3)
