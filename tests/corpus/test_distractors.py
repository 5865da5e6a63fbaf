"""What stands beside the right value: other values of its kind, never a form of it."""

from dataclasses import replace

import pytest

from lib.corpus.distractors import with_distractors
from lib.corpus.load import Corpus, load_corpus
from lib.corpus.matching import states
from lib.corpus.records import Fact, Question


def fact(name, subject, value, *, value_type="entity", accept=(), split="general"):
    return Fact(name, "general", subject, "", value, value_type, accept, "", None, split, "easy", ())


FACTS = (
    fact("paris", "the capital of France", "Paris"),
    fact("rome", "the capital of Italy", "Rome", accept=("Roma",)),
    fact("oslo", "the capital of Norway", "Oslo"),
    fact("roma", "the capital of the old empire", "Roma"),
    fact("austen", "the author of Emma", "Jane Austen"),
    fact("tolstoy", "the author of War and Peace", "Tolstoy"),
    fact("dante", "the poet of the Inferno", "Dante"),
    fact("homer", "the poet of the Iliad", "Homer"),
    fact("seven", "the number of days in a week", "7", value_type="count"),
    fact("yen", "the capital of nothing", "yen", split="easy"),
)
OTHERS = ("Jane Austen", "Tolstoy", "Dante", "Homer")


def question(name):
    return Question(f"{name}/general", (name,), "general", "What is it?", None, screen_text="Which one?")


def offered(name, n):
    corpus = Corpus(facts=FACTS, faq=(), questions=(), documents=(), evidence=())
    return [q.choices for q in with_distractors(corpus, [question(name)], n)]


def test_the_right_value_comes_first_and_facts_alike_in_subject_before_others():
    ((first, *others),) = offered("paris", 3)
    assert first == "Paris"
    assert set(others) <= {"Rome", "Oslo", "Roma"}
    ((_, *four),) = offered("paris", 4)
    assert four[:3] == others
    assert four[3] in OTHERS
    # Of what is left only the nearest in subject is certain; the rest is the hash's choice, the same each time.
    ((_, nearest, *rest),) = offered("austen", 5)
    assert nearest == "Tolstoy"
    assert offered("austen", 5) == [("Jane Austen", nearest, *rest)]


def test_forms_of_the_right_value_other_types_and_other_splits_are_no_distractors():
    ((first, *others),) = offered("rome", 3)
    assert first == "Rome"
    assert set(others[:2]) == {"Paris", "Oslo"}
    assert others[2] in OTHERS


def test_a_question_with_too_few_values_beside_it_is_left_out():
    assert len(offered("rome", 6)) == 1
    assert offered("rome", 7) == offered("seven", 1) == []


def test_all_but_the_choices_stays():
    corpus = Corpus(facts=FACTS, faq=(), questions=(), documents=(), evidence=())
    (one,) = with_distractors(corpus, [question("oslo")])
    assert replace(one, choices=()) == question("oslo")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("data/itr", general=100, easy=100)


def test_both_wordings_of_the_studys_items_get_the_same_choices(corpus):
    for probe in ("general", "easy"):
        asked, screened = (with_distractors(corpus, ask(probe)) for ask in (corpus.ask, corpus.screen))
        assert len(asked) == 100
        assert [(q.id, q.choices) for q in asked] == [(q.id, q.choices) for q in screened]
        assert all(a.text != b.text for a, b in zip(asked, screened, strict=True))


def test_no_distractor_of_the_studys_items_is_right(corpus):
    for probe in ("general", "easy"):
        for one in with_distractors(corpus, corpus.ask(probe)):
            right = corpus.fact[one.fact_ids[0]]
            assert one.choices[0] == right.value
            assert len(set(one.choices)) == 4
            assert not any(states(wrong, right) for wrong in one.choices[1:])
