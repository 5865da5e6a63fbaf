"""The sentence encoder: texts as unit vectors, the same for passages, questions and wordings."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from sentence_transformers import SentenceTransformer

from lib.models import registry


@cache  # the indexes of a study share one
def load_encoder(embedder: str) -> SentenceTransformer:
    """An embedder, on the device that models use."""
    return SentenceTransformer(str(registry.embedder_path(embedder)), device=str(registry.device()))


def encode(encoder: SentenceTransformer, texts: Sequence[str]) -> np.ndarray:
    """Unit vectors, shape (len(texts), dimension)."""
    return encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64)
