"""Our statistics on paired verdicts of other people's studies, beside the figures that those published."""

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from lib.analysis import stats

STUDIES = json.loads((Path(__file__).parent / "published.json").read_text())


def having(figure):
    return pytest.mark.parametrize("study", [one for one in STUDIES if figure in one], ids=lambda one: one["name"])


def values(study):
    """One difference a question: won, lost, or neither."""
    same = study["n"] - study["a_only"] - study["b_only"]
    return [1.0] * study["a_only"] + [-1.0] * study["b_only"] + [0.0] * same


@having("sign_test_p")
def test_the_p_value_that_was_published_to_three_digits(study):
    assert stats.mcnemar_p(study["a_only"], study["b_only"]) == pytest.approx(study["sign_test_p"], abs=5e-4)


@having("wins_low")
def test_the_share_of_wins_and_its_published_interval(study):
    found = stats.wilson(study["a_only"], study["a_only"] + study["b_only"])
    published = study["wins_share"], study["wins_low"], study["wins_high"]
    assert found[:3] == pytest.approx(published, abs=5.1e-4)


@having("agresti_min_low")
def test_agresti_and_mins_interval_as_published(study):
    difference = values(study)
    squares = sum(value**2 for value in difference)
    found = stats.agresti_min(sum(difference), squares, study["n"], 0.95)
    assert found == pytest.approx((study["agresti_min_low"], study["agresti_min_high"]), abs=5e-5)
    assert sum(difference) / study["n"] == pytest.approx(study["difference"], abs=5e-5)


@having("mcnemar_chi2")
def test_the_textbooks_statistic_is_statsmodels_and_ours_is_the_exact_test_beside_it(study):
    both = (study["n"] - study["a_only"] - study["b_only"]) // 2
    table = [[both, study["a_only"]], [study["b_only"], both]]
    textbook = mcnemar(table, exact=False, correction=False)
    assert textbook.statistic == pytest.approx(study["mcnemar_chi2"], abs=5e-5)
    assert textbook.pvalue == pytest.approx(study["mcnemar_chi2_p"], rel=2e-4)
    # 236 people changed their mind: the exact p-value is within a factor of two of the approximate one
    assert 0.5 < stats.mcnemar_p(study["a_only"], study["b_only"]) / textbook.pvalue < 2


@pytest.mark.parametrize("study", STUDIES, ids=lambda one: one["name"])
def test_two_other_packages_give_the_same_exact_p_value(study):
    a, b = study["a_only"], study["b_only"]
    found = stats.mcnemar_p(a, b)
    assert found == pytest.approx(mcnemar([[0, a], [b, 0]], exact=True).pvalue)
    assert found == pytest.approx(2 * binomtest(min(a, b), a + b, 0.5, alternative="less").pvalue)


@pytest.mark.parametrize("study", STUDIES, ids=lambda one: one["name"])
def test_interval_and_exact_test_agree_on_whether_the_sides_differ(study):
    low, high = stats.difference_interval(values(study), level=0.95)
    clear = stats.mcnemar_p(study["a_only"], study["b_only"])
    if clear < 0.04 or clear > 0.06:
        assert (low > 0 or high < 0) == (clear < 0.05)
