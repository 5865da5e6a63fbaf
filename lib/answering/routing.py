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


def surer(first: Sequence[Answer], second: Sequence[Answer], sure_first, sure_second) -> list[Answer]:
    """For each question the second answer where it is the surer one, else the first.

    Each counts the tokens of both, since both were written before one was chosen, and hashes both runs. No threshold is
    fitted: no arm was trained on a dev fact, so that dev could only teach never to trust a closed book.

    Args: four sequences of equal length; the last two as `confidence` returns them.
    """
    return [
        replace(
            b if surer_of_b > sure_of_a else a,
            prompt_tokens=a.prompt_tokens + b.prompt_tokens,
            answer_tokens=a.answer_tokens + b.answer_tokens,
            run=runs.content_hash([a.run, b.run]),
        )
        for a, b, sure_of_a, surer_of_b in zip(first, second, sure_first, sure_second, strict=True)
    ]
