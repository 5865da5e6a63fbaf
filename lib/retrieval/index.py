"""The passage index: LanceDB on disk, with dense vectors and BM25 over the same rows."""

import json
import os
import re
import shutil
import time
from itertools import islice
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS
from lancedb.rerankers import RRFReranker
from lancedb.table import LanceTable

from lib import runs
from lib.corpus.records import Passage
from lib.retrieval.encoder import encode, load_encoder
from lib.studies import Retrieval

# Negation decides many tax answers, so "no" and "not" stay searchable; the rest is the usual list.
STOP_WORDS = ["a", "an", "and", "are", "as", "at", "be", "by", "for", "i", "in", "is", "it", "my", "of", "on", "or"]
STOP_WORDS += ["that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with"]

# How many passages a search finds for a reranking to order.
RERANKED = 30


class Index:
    """Passages that can be searched. Exact search: no approximate index is built at this size, so results repeat.

    `seconds` is what embedding and indexing all passages took when it was done.
    """

    def __init__(self, passages: list[Passage], *, embedder: str):
        self.passages = {passage.id: passage for passage in passages}
        self.encoder = load_encoder(embedder)
        self._sentences: dict[
            str, np.ndarray
        ] = {}  # vectors of a passage's sentences, once a reranking has needed them
        self.key = runs.content_hash([passages, embedder, STOP_WORDS, runs.versions()])
        folder = runs.cache_dir("index", self.key)
        with runs.locked(folder):
            if not (folder / "built").exists():
                self._build(folder)
            self.seconds = json.loads((folder / "built" / "seconds.json").read_text())
            self.table = lancedb.connect(folder / "built").open_table("passages")

    def _build(self, folder: Path) -> None:
        """Build beside and rename, so that an interrupted build is never opened."""
        start = time.perf_counter()
        texts = [passage.titled for passage in self.passages.values()]
        shutil.rmtree(folder / "building", ignore_errors=True)
        table = write_table(folder / "building", list(self.passages), texts, self.encode(texts))
        table.tags.create("built", table.version)
        runs.write_json(folder / "building" / "seconds.json", round(time.perf_counter() - start, 2))
        os.rename(folder / "building", folder / "built")

    def encode(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, shape (len(texts), dimension)."""
        return encode(self.encoder, texts)

    def search(self, questions: list[str], *, method: str, k: int) -> list[list[str]]:
        """The ids of the `k` best passages of each question, best first; fewer when fewer match (BM25 only).

        method: bm25, dense (cosine), or hybrid (reciprocal-rank fusion of both).
        """
        vectors = self.encode(questions) if method != "bm25" else [None] * len(questions)
        return [
            [row["id"] for row in query(self.table, question, vector, method).limit(k).to_list()]
            for question, vector in zip(questions, vectors, strict=True)
        ]

    def find(self, questions: list[str], settings: Retrieval, *, k: int) -> list[list[str]]:
        """The ids of the `k` best passages of each question, best first, as the setting searches and reranks."""
        if settings.rerank == "none":
            return self.search(questions, method=settings.search, k=k)
        return [ids[:k] for ids in self._by_sentence(questions, settings.search, max(k, RERANKED))]

    def _by_sentence(self, questions: list[str], method: str, depth: int) -> list[list[str]]:
        """What a search finds, in the order of the greatest cosine between the question and one sentence of a passage."""
        found = self.search(questions, method=method, k=depth)
        sentences = {i: sentences_of(self.passages[i]) for i in set().union(*found) - self._sentences.keys()}
        vectors = iter(self.encode([text for texts in sentences.values() for text in texts]))
        self._sentences.update({i: np.array(list(islice(vectors, len(texts)))) for i, texts in sentences.items()})
        return [
            sorted(ids, key=lambda i, question=question: -float((self._sentences[i] @ question).max()))
            for question, ids in zip(self.encode(questions), found, strict=True)
        ]

    def nearest(self, questions: list[str]) -> list[float]:
        """The cosine of each question with the passage nearest to it: how sure one may be that anything here answers it."""
        found = [query(self.table, "", vector, "dense").limit(1).to_list() for vector in self.encode(questions)]
        return [1 - rows[0]["_distance"] for rows in found]


def sentences_of(passage: Passage) -> list[str]:
    """The sentences, list items and table rows of a passage, each under the passage's heading; at least one."""
    body = "\n".join(line for line in passage.text.splitlines() if not line.startswith("#"))
    return [f"{passage.heading}: {text}" for text in re.split(r"(?<=[.!?])\s+|\n+", body) if text.strip()]


def write_table(folder: Path, ids: list[str], texts: list[str], vectors: np.ndarray) -> LanceTable:
    """A new table of passages with BM25 over their texts; vectors are unit vectors, shape (len(ids), dimension)."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), type=pa.float32()), vectors.shape[1])
    table = lancedb.connect(folder).create_table("passages", pa.table({"id": ids, "text": texts, "vector": column}))
    stop = {"remove_stop_words": True, "custom_stop_words": STOP_WORDS}
    table.create_index("text", config=FTS(with_position=False, stem=True, **stop))
    return table


def query(table: LanceTable, question: str, vector: np.ndarray | None, method: str):
    """The query of one question by bm25, dense (cosine), or hybrid: reciprocal-rank fusion of both."""
    if method == "bm25":
        return table.search(question, query_type="fts")
    if method == "dense":
        return table.search(vector).distance_type("cosine")
    hybrid = table.search(query_type="hybrid").vector(vector).text(question)
    return hybrid.distance_type("cosine").rerank(RRFReranker())


def build_index(passages: list[Passage], *, embedder: str, settings: Retrieval) -> Index:
    """The index of a study's passages; opened from the cache when it was built before."""
    if settings.k > len(passages):
        raise ValueError(f"retrieval.k is {settings.k}, but there are only {len(passages)} passages; lower k")
    return Index(passages, embedder=embedder)
