"""Untrained questions as choices: the right value among others of its kind, for a measure that needs no format."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import takewhile

from lib.corpus.load import Corpus
from lib.corpus.matching import same_value
from lib.corpus.records import Fact, Question


def with_distractors(corpus: Corpus, questions: Sequence[Question], n: int = 3) -> list[Question]:
    """The questions, each about one fact, with `choices`: its value and the values of `n` other facts of its split.

    Distractors have the fact's value type and are no form of its value. Facts whose subject begins with the same words come
    first ("the capital of ..." beside "the capital of ..."), so that the kind of thing asked for gives nothing away; a hash
    of both ids breaks ties, the same in every run. Ids, probes and wordings stay. A question for which the corpus, as it is
    cut, has fewer such values is left out.
    """
    offered = [(question, _choices(corpus, corpus.fact[question.fact_ids[0]], n)) for question in questions]
    return [replace(question, choices=choices) for question, choices in offered if len(choices) == n + 1]


def _choices(corpus: Corpus, fact: Fact, n: int) -> tuple[str, ...]:
    others = [f for f in corpus.facts if f.split == fact.split and f.value_type == fact.value_type]
    ranked = sorted(others, key=lambda other: (-_shared_words(fact, other), _tie(fact, other)))
    values = dict.fromkeys(other.value for other in ranked if not same_value(fact, other))
    return (fact.value, *list(values)[:n])


def _shared_words(fact: Fact, other: Fact) -> int:
    """With how many equal words the two subjects begin."""
    pairs = zip(fact.subject.split(), other.subject.split(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _tie(fact: Fact, other: Fact) -> str:
    return sha256(f"{fact.id} {other.id}".encode()).hexdigest()
