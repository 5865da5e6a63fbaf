"""Sanity gates: what must be true before a notebook's numbers may be read. Each raises and says why when it is not."""

from collections.abc import Sequence

import pandas as pd

from lib.analysis.stats import Estimate, wilson
from lib.analysis.tables import pick, primary
from lib.corpus import values
from lib.corpus.load import Corpus
from lib.corpus.records import Fact, Verdict
from lib.judging.keyfacts import grade


class GateFailed(RuntimeError):
    """A sanity gate did not hold; the notebook must not go on."""


def judge_anchors(corpus: Corpus) -> dict[str, Estimate]:
    """How the key-fact judge grades answers whose truth is known: every gold answer, and every answer of another fact.

    gold: the uniform answers themselves. shuffled: each question answered with the gold answer of the next fact of the
    same value type that has another value. Raises GateFailed unless gold scores 1 and shuffled at most 0.05.
    """
    items = [(item, corpus.fact[item.fact_ids[0]]) for item in corpus.faq]
    gold = [_correct(item.uniform_answer, fact, item.question) for item, fact in items]
    shuffled = []
    for place, (item, fact) in enumerate(items):
        other = _next_other(items[place + 1 :] + items[:place], fact)
        if other is not None:
            shuffled.append(_correct(other.uniform_answer, fact, item.question))
    anchors = {"gold": wilson(sum(gold), len(gold)), "shuffled": wilson(sum(shuffled), len(shuffled))}
    if anchors["gold"].value < 1 or anchors["shuffled"].value > 0.05:
        wrong = [item.id for (item, _), right in zip(items, gold, strict=True) if not right]
        raise GateFailed(
            f"judge anchors: gold {anchors['gold']}, shuffled {anchors['shuffled']}; gold missed: {wrong[:5]}"
        )
    return anchors


def _correct(answer: str, fact: Fact, question: str) -> bool:
    found = grade(answer, expected=fact.value, value_type=fact.value_type, accept=fact.accept, question=question)
    return found.strict is Verdict.CORRECT


def _next_other(items: Sequence, fact: Fact):
    """The first FAQ item whose fact has the same value type and another value; None when there is none."""
    wanted = values.parse_value(fact.value, fact.value_type)
    for item, other in items:
        if other.value_type == fact.value_type and values.parse_value(other.value, other.value_type) != wanted:
            return item
    return None


def answers_changed(table: pd.DataFrame, tuned: str, base: str) -> None:
    """Raises GateFailed when tuned weights answer every question word for word as the base does: nothing was trained."""
    words = table[table.judge != "likelihood"]  # a choice has no text
    a, b = words[words.condition == tuned], words[words.condition == base]
    both = a.merge(b, on="question_id")
    if both.empty or (both.answer_x == both.answer_y).all():
        raise GateFailed(f"{tuned} answers all {len(both)} shared questions exactly as {base} does")


def gold_context_helps(table: pd.DataFrame, gold: str, none: str) -> None:
    """Raises GateFailed unless the model reads at least some answers out of a passage that states them."""
    with_gold = pick(primary(table), gold, "paraphrase").correct.mean()
    without = pick(primary(table), none, "paraphrase").correct.mean()
    if not with_gold > without:
        raise GateFailed(f"accuracy with the gold passage ({with_gold:.3f}) is not above that without ({without:.3f})")
