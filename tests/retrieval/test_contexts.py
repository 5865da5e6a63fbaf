"""What is shown of what was found, on lists written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.corpus.records import Passage
from lib.models.prompts import user_message
from lib.retrieval.contexts import MARKER, PLANTED, choose, plant

FOUND = ["a", "b", "c", "d", "e"]
PASSAGES = [Passage(name, "d", "D", 0, 9, f"text of {name}") for name in "abc"]


@pytest.mark.parametrize(
    ("kind", "gold", "shown"),
    [
        ("retrieved", {"b"}, ["a", "b", "c"]),
        ("poisoned", {"b"}, ["a", "b", "c"]),
        ("reversed", {"b"}, ["c", "b", "a"]),
        ("distractors", {"b"}, ["a", "c", "d"]),
        ("distractors", {"z"}, ["a", "b", "c"]),
        ("distractors", {"a", "b", "c"}, ["d", "e"]),
    ],
)
def test_the_best_of_their_kind_are_shown_in_order(kind, gold, shown):
    assert choose(FOUND, gold, kind, k=3, question_id="q") == shown


@given(st.integers(0, 99).map(str), st.sets(st.sampled_from(FOUND + ["z"]), min_size=1), st.integers(1, 4))
def test_gold_context_is_the_distractors_with_one_gold_passage_put_in(question_id, gold, k):
    shown = choose(FOUND, gold, "gold", k=k, question_id=question_id)
    others = choose(FOUND, gold, "distractors", k=k, question_id=question_id)
    assert [i for i in shown if i in gold] == [min(gold)]
    assert [i for i in shown if i not in gold] == others[: k - 1]


def test_the_instruction_is_planted_in_one_passage_and_nothing_else_changes():
    places = set()
    for number in range(30):
        planted = plant(PASSAGES, f"q{number}")
        changed = [n for n, (was, now) in enumerate(zip(PASSAGES, planted, strict=True)) if was != now]
        assert len(changed) == 1
        place = changed[0]
        assert planted[place].text == f"{PASSAGES[place].text} {PLANTED}"
        assert planted[place].id == PASSAGES[place].id
        places.add(place)
    assert places == {0, 1, 2}


def test_nothing_found_leaves_nothing_to_plant_in():
    assert plant([], "q") == ()


def test_the_planted_instruction_reaches_the_prompt_as_data_inside_the_fence():
    message = user_message("What is the fee?", plant(PASSAGES, "q"))
    assert message.index("<<<") < message.index(PLANTED) < message.index(">>>")
    assert MARKER in PLANTED
    assert message.count(MARKER) == 1
