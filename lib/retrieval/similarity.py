"""How close two sets of wordings are, by characters and by meaning."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

from lib.retrieval.encoder import load_encoder


class Closest(NamedTuple):
    """For one text, its closest other: that text's index, and both similarities to it, each from 0 to 1."""

    other: int
    words: float
    meaning: float


def closest(
    texts: Sequence[str], others: Sequence[str], *, among: Sequence[Sequence[int]], embedder: str
) -> list[Closest]:
    """For each text, the one of `others` that shares most with it.

    words is rapidfuzz's token_sort_ratio / 100 (the order of words does not count), meaning the cosine of the embedder's
    vectors. The closest is the one with the greatest mean of the two. `among` says for each text which of `others`, by
    index, are compared with it: at least one.
    """
    encoder = load_encoder(embedder)
    vectors, known = encoder.encode(texts), encoder.encode(others)
    found = []
    for text, vector, indices in zip(texts, vectors, among, strict=True):
        meaning = known[list(indices)] @ vector
        words = [fuzz.token_sort_ratio(text, others[i], processor=default_process) / 100 for i in indices]
        best = int(np.argmax(meaning + words))
        found.append(Closest(indices[best], words[best], float(meaning[best])))
    return found
