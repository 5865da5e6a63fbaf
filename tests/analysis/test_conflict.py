"""Cosines, conflicts and their intervals where every number is known or can be counted by brute force."""

import numpy as np
import pandas as pd
import pytest

from lib.analysis import conflict, stats
from lib.training.gradients import Measured


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 2000)


def measured(value, style=None, facts=None) -> Measured:
    """From gradients as rows: of value and style tokens."""
    value = np.asarray(value, dtype=float)
    rows = np.vstack([value, np.zeros_like(value) if style is None else style])
    facts = facts or [f"f{place}" for place in range(len(value))]
    return Measured(facts, (rows @ rows.T).tolist(), (rows @ rows.T).tolist(), 1.0)


def cosines(found, tokens="value"):
    return conflict.cosines(conflict.inner_products(found, tokens))


def symmetric(n, seed=0):
    pairs = np.random.default_rng(seed).normal(size=(n, n))
    return pairs + pairs.T


def names(n):
    return [f"f{place}" for place in range(n)]


def mean_of_pairs(pairs):
    return pairs[np.triu_indices(len(pairs), 1)].mean()


def test_cosines_by_hand():
    found = cosines(measured([[1, 0], [2, 2], [-3, 0]]))
    half = 2**-0.5
    assert found == pytest.approx(np.array([[1, half, -1], [half, 1, -half], [-1, -half, 1]]))


def test_value_and_style_add_up_to_the_answer():
    found = measured([[1, 0], [0, 1]], style=[[0, 1], [1, 0]])
    assert cosines(found, "value")[0, 1] == 0
    assert cosines(found, "style")[0, 1] == 0
    assert cosines(found, "answer")[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([[1, 2], [1, 2], [1, 2]], 1), (np.eye(4), 1 / 4), ([[1, 0], [-1, 0]], 0), ([[3, 0], [1, 0]], 0.8)],
)
def test_alignment(rows, expected):
    assert conflict.alignment(conflict.inner_products(measured(rows), "value")) == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 4, 9])
def test_the_values_by_fact_average_to_the_mean_over_pairs(n):
    pairs = symmetric(n)
    assert conflict.by_fact(pairs, names(n)).mean() == pytest.approx(mean_of_pairs(pairs))


def test_a_value_is_the_jackknife_s_and_the_diagonal_is_no_pair():
    n, pairs = 6, symmetric(6)
    without = [mean_of_pairs(np.delete(np.delete(pairs, i, 0), i, 1)) for i in range(n)]
    expected = [n * mean_of_pairs(pairs) - (n - 1) * one for one in without]
    np.fill_diagonal(pairs, 1e9)
    assert list(conflict.by_fact(pairs, names(n))) == pytest.approx(expected)


def test_facts_rank_as_their_own_mean_cosines_do():
    pairs = symmetric(8)
    own = (pairs.sum(1) - np.diag(pairs)) / 7
    assert list(conflict.by_fact(pairs, names(8)).argsort()) == list(own.argsort())


def test_with_several_examples_a_fact_only_its_own_pairs_count():
    pairs = np.array([[1, 0.2, 9, 9, 9], [0.2, 1, 9, 9, 9], [9, 9, 1, 0.4, 9], [9, 9, 0.4, 1, 9], [9, 9, 9, 9, 1]])
    found = conflict.by_fact(pairs, ["a", "a", "b", "b", "lone"])
    assert found["a"] == pytest.approx(0.2)
    assert found["b"] == pytest.approx(0.4)
    assert np.isnan(found["lone"])
    assert conflict.over_facts(found).n == 2


def test_the_interval_is_as_wide_as_that_of_resampled_pairs_and_not_half_as_wide():
    # Facts differ in how well they agree with all others: the case in which pairs depend on each other most.
    rng = np.random.default_rng(1)
    n, own = 30, rng.normal(size=30)
    pairs = own[:, None] + own[None, :] + 0.1 * symmetric(n, 2)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=4000).astype(float)
    zero = pairs - np.diag(np.diag(pairs))
    means = ((weights @ zero) * weights).sum(1) / (n**2 - (weights**2).sum(1))
    spread = np.quantile(means, 0.975) - np.quantile(means, 0.025)
    found = conflict.over_facts(conflict.by_fact(pairs, names(n)))
    assert found.high - found.low == pytest.approx(spread, rel=0.15)


def test_the_table_has_one_line_for_everything_measured_and_counts_conflicts():
    found = conflict.table({("raw", 0): measured([[1, 0, 0], [0, 1, 0], [-1, 0.1, 0]], np.ones((3, 3)))})
    assert len(found) == 2 * 3
    line = found[(found.tokens == "value") & (found["update"] == "plain")].iloc[0]
    assert line.conflict_share == pytest.approx(1 / 3)
    assert line.facts == 3
    assert line.orthogonal == pytest.approx(1 / 3)
    assert 0 <= line.conflict_low <= line.conflict_share <= line.conflict_high <= 1


def test_the_scoreboard_has_plain_gradients_before_training_alone():
    rows = np.random.default_rng(0).normal(size=(5, 7))
    shown = conflict.table({(data, epochs): measured(rows, rows) for data in ("raw", "uniform") for epochs in (0, 2)})
    lines = conflict.scores(shown, "02")
    assert {line["id"] for line in lines} == {
        f"gradient/{kind}/{data}/{tokens}"
        for kind in ("cosine", "conflict_share")
        for data in ("raw", "uniform")
        for tokens in ("value", "style")
    }
    assert len(lines) == 8
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines)


def losses(values):
    return [
        {"fact": f"f{place}", "value_loss": value, "style_loss": 2.0, "value_sure": 0.5, "style_sure": 1}
        for place, value in enumerate(values)
    ]


def test_what_a_fact_has_learned_is_the_share_of_its_loss_that_is_gone():
    found = conflict.columns(measured(np.eye(4)), losses([4, 2, 1, 8]), losses([1, 2, 0, 10])[::-1])
    assert found["unit"] == names(4)
    assert found["learned"] == pytest.approx([0.75, 0, 1, -0.25])
    assert found["cosine"] == pytest.approx([0] * 4)


def test_losses_of_other_facts_raise():
    with pytest.raises(ValueError, match="different facts, for example .'f3'"):
        conflict.columns(measured(np.eye(4)), losses([1, 1, 1]), losses([1, 1, 1, 1]))


def test_links_are_rank_correlations_over_the_facts_that_both_know():
    rows = np.array([[1.0, 0, 0], [1, 0.1, 0], [1, 0.5, 0], [0, 0, 1]])
    own = conflict.by_fact(cosines(measured(rows)), names(4))
    found = conflict.links({0: measured(rows)}, {"same": own, "opposite": -own[:3]})
    value = found[found.tokens == "value"].set_index("outcome")
    assert value.value["same"] == pytest.approx(1)
    assert value.value["opposite"] == pytest.approx(-1)
    assert list(value.n) == [4, 3]


def test_curves_are_means_over_facts_each_kind_of_token_on_its_own_line():
    found = conflict.curves({("trained", 0): losses([4, 2, 3])}).set_index("tokens")
    assert found.value["value"] == pytest.approx(3)
    assert found.value["style"] == pytest.approx(2)
    assert found.low["value"] < 3 < found.high["value"]
    assert found.sure["value"] == 0.5
    assert found.sure["style"] == 1


def test_the_order_of_examples_changes_nothing():
    rows = np.random.default_rng(3).normal(size=(6, 4))
    turned = [3, 1, 5, 0, 2, 4]
    facts = names(6)
    one = conflict.by_fact(cosines(measured(rows)), facts)
    other = conflict.by_fact(cosines(measured(rows[turned])), [facts[i] for i in turned])
    pd.testing.assert_series_equal(one, other.reindex(facts))
