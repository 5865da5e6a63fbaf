"""The sentence encoder: texts as unit vectors, the same for passages, questions and wordings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
from sentence_transformers import SentenceTransformer

from lib.models import registry


class Encoder:
    """An embedder, on the device that models use, and the vectors of the questions it has read."""

    def __init__(self, embedder: str):
        self._model = SentenceTransformer(str(registry.embedder_path(embedder)), device=str(registry.device()))
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, shape (len(texts), dimension). Their last bits depend on what else is in the batch."""
        return self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64)

    def encode_questions(self, questions: Sequence[str]) -> list[np.ndarray]:
        """Unit vectors, shape (dimension,) each. A question is read once and alone, so that who else asks changes nothing."""
        for question in questions:
            if question not in self._known:
                self._known[question] = self.encode([question])[0]
        return [self._known[question] for question in questions]

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Within it no question has been read yet, as where one is timed; after it, those that had been."""
        known, self._known = self._known, {}
        try:
            yield
        finally:
            self._known = known


@cache  # the indexes of a study share one
def load_encoder(embedder: str) -> Encoder:
    """The encoder of an embedder's name."""
    return Encoder(embedder)
