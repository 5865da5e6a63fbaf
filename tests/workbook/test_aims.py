"""Aims of speed: words, direction, and what was not measured."""

import pytest

from lib.workbook.aims import AIMS, Aim, reached, table_rows

LEAST, MOST, NONE = Aim("a", "a", "{:.1f} times", least=4), Aim("b", "b", "{:.0f} ms", most=10), Aim("c", "c", "{}")


def test_an_aim_is_said_in_the_units_of_its_row():
    assert [aim.text for aim in (LEAST, MOST, NONE)] == ["at least 4.0 times", "at most 10 ms", ""]


def test_more_is_better_where_at_least_is_aimed_at_and_less_where_at_most_is():
    assert [LEAST.reached(2), LEAST.reached(4), LEAST.reached(8)] == [0.5, 1, 2]
    assert [MOST.reached(20), MOST.reached(10), MOST.reached(5)] == [0.5, 1, 2]
    assert NONE.reached(3) is None


def test_a_row_that_was_not_measured_is_said_to_be_missing_and_not_drawn():
    values = {AIMS[0].row: 2.5, AIMS[-1].row: 7}
    rows, drawn = table_rows(values), reached(values)
    assert [row[1] for row in rows] == ["2.5 times", *["not measured"] * (len(AIMS) - 2), "7 ms"]
    assert drawn.to_dict("records") == [
        {"what": AIMS[0].what, "measured": "2.5 times", "aim": "at least 5.0 times", "reached": pytest.approx(0.5)}
    ]
    assert reached({}).empty


def test_every_row_is_named_once_and_has_at_most_one_aim():
    assert len({aim.row for aim in AIMS}) == len(AIMS)
    assert all(aim.least is None or aim.most is None for aim in AIMS)
