"""Thresholds and risk-coverage curves small enough to count by hand."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis.abstention import at_threshold, choose_threshold, risk_coverage

SCORES = st.lists(st.integers(0, 5).map(lambda n: n / 5), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("answerable", "unanswerable", "threshold"),
    [
        ([0.6, 0.8], [0.1, 0.3], 0.6),  # separable: the lowest score that keeps all and refuses all
        ([0.2, 0.6, 0.8], [0.1, 0.3], 0.6),  # 1 - 1/2 at 0.2 against 2/3 - 0 at 0.6
        ([0.5], [0.5], 0.5),  # nothing to tell them apart: answer
        ([0.1], [0.9], 0.1),  # worse than nothing: answer everything
    ],
)
def test_the_threshold_with_the_greatest_difference_is_chosen(answerable, unanswerable, threshold):
    assert choose_threshold(answerable, unanswerable) == threshold


@given(SCORES, SCORES)
def test_no_other_score_separates_better_and_none_as_good_is_lower(answerable, unanswerable):
    def difference(t):
        kept, given_anyway = (sum(s >= t for s in side) for side in (answerable, unanswerable))
        return Fraction(kept, len(answerable)) - Fraction(given_anyway, len(unanswerable))

    chosen = choose_threshold(answerable, unanswerable)
    tried = {*answerable, *unanswerable}
    assert chosen in tried
    assert all(difference(t) <= difference(chosen) for t in tried)
    assert all(difference(t) < difference(chosen) for t in tried if t < chosen)


def test_a_side_without_questions_is_refused():
    for sides in (([], [0.5]), ([0.5], [])):
        with pytest.raises(ValueError, match="one side is empty"):
            choose_threshold(*sides)


def test_the_curve_counted_by_hand():
    curve = risk_coverage([0.9, 0.2, 0.7, 0.7], [1.0, 0.0, 0.0, 1.0])
    assert curve.threshold.tolist() == [0.9, 0.7, 0.2]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]  # the two at 0.7 are answered together
    assert curve.risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.9]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1))
def test_every_point_is_what_answering_from_that_score_on_gives(questions):
    for row in risk_coverage(*zip(*questions, strict=True)).itertuples():
        answered = [right for score, right in questions if score >= row.threshold]
        assert row.coverage == pytest.approx(len(answered) / len(questions))
        assert row.risk == pytest.approx(1 - sum(answered) / len(answered))


def test_a_threshold_between_two_scores_answers_what_the_next_higher_one_does():
    curve = risk_coverage([0.9, 0.2, 0.7], [1.0, 0.0, 0.0])
    assert at_threshold(curve, 0.5).coverage == at_threshold(curve, 0.7).coverage == pytest.approx(2 / 3)
    assert at_threshold(curve, 0.1).coverage == 1
    assert at_threshold(curve, 0.95).coverage == 0


def test_a_curve_needs_questions():
    with pytest.raises(ValueError, match="selection is empty"):
        risk_coverage([], [])
