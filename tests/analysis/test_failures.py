"""Failed judgements are read both ways, and nothing changes without them."""

import pandas as pd
import pytest

from lib.analysis import failures, stats


def side(*verdicts):
    table = pd.DataFrame({"unit": [f"f{n}" for n in range(len(verdicts))], "seed": 0, "verdict": verdicts})
    return table.assign(
        correct=(table.verdict == "CORRECT").astype(float),
        answered=(table.verdict != "NOT_ATTEMPTED").astype(float),
        style=1.0,
    )


C, W, N, F = "CORRECT", "INCORRECT", "NOT_ATTEMPTED", "JUDGE_FAILED"


def test_without_failures_nothing_changes():
    a, b = side(C, W, N, C), side(W, W, C, N)
    assert failures.bounded_estimate(a) == stats.estimate(a)
    assert failures.bounded_difference(a, b) == stats.paired_difference(a, b)


def test_an_estimate_spans_both_readings_by_hand():
    found = failures.bounded_estimate(side(C, F, W, W))
    assert found.value == pytest.approx((1 / 4 + 2 / 4) / 2)
    assert (found.low, found.high, found.n) == (stats.wilson(1, 4).low, stats.wilson(2, 4).high, 4)


def test_whether_a_failure_was_an_answer_is_open_too_and_style_is_not():
    table = side(N, F, N, N)
    found = failures.bounded_estimate(table, "answered")
    assert (found.value, found.low, found.high) == (1 / 8, stats.wilson(0, 4).low, stats.wilson(1, 4).high)
    assert failures.bounded_estimate(table, "style") == stats.estimate(table, "style")


def test_a_difference_spans_all_four_readings_and_has_the_weakest_p():
    a, b = side(F, C, C, C, C, C, C), side(W, F, W, W, W, W, W)
    found = failures.bounded_difference(a, b)
    best = stats.paired_difference(side(*[C] * 7), side(*[W] * 7))
    worst = stats.paired_difference(side(W, *[C] * 6), side(W, C, *[W] * 5))
    assert (found.low, found.high, found.low90, found.high90) == (worst.low, best.high, worst.low90, best.high90)
    assert (found.a_only, found.b_only, found.p) == (5, 0, 0.0625)
    assert found.value == pytest.approx((7 / 7 + 5 / 7) / 2)
    turned = failures.bounded_difference(b, a)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
