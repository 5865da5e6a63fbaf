"""Routing by confidence: of two answers to each question, the one of which its own model is surer."""

from collections.abc import Sequence
from dataclasses import replace

import lib.models.likelihood
from lib import runs
from lib.corpus.records import Answer
from lib.models.generate import Layout
from lib.models.likelihood import choice_scores
from lib.models.registry import LanguageModel


def confidence(lm: LanguageModel, prompts: Sequence[str], texts: Sequence[str], layout: Layout) -> list[float]:
    """For each prompt, log p(text | prompt) / len(text): how likely the model finds its own answer, by the character.

    At most 0; minus infinity for an empty answer, which says nothing to be sure of.
    """
    parts = [
        lm.fingerprint,
        list(prompts),
        list(texts),
        layout,
        runs.versions(),
        runs.code_version(lib.models.likelihood),
    ]
    said = [(text,) if text else () for text in texts]
    scores = choice_scores(lm, list(prompts), said, layout=layout, key=runs.content_hash(parts))
    return [row[0] if row else float("-inf") for row in scores]


def surer(
    own: Sequence[Answer], other: Sequence[Answer], own_confidence: Sequence[float], other_confidence: Sequence[float]
) -> list[Answer]:
    """The answers of a condition that gives way: to each question the other answer if its confidence is higher, else its own.

    No threshold is fitted: no arm was trained on a dev fact, so that dev could only teach never to trust a closed book.

    Args:
        own: answers of the condition itself; `other`: of the condition that it gives way to, to the same questions in the
            same order.
        own_confidence, other_confidence: how sure each side is of its answers, as `confidence` returns it.

    Returns:
        One answer a question: text and passages of the side that was chosen, tokens of both sides together, since both
        answers were written before one was chosen, and as run the hash of both runs. Raises ValueError where the four
        sequences differ in length.
    """
    return [
        replace(
            b if sure_of_b > sure_of_a else a,
            prompt_tokens=a.prompt_tokens + b.prompt_tokens,
            answer_tokens=a.answer_tokens + b.answer_tokens,
            run=runs.content_hash([a.run, b.run]),
        )
        for a, b, sure_of_a, sure_of_b in zip(own, other, own_confidence, other_confidence, strict=True)
    ]
