"""The passage index: LanceDB on disk, with dense vectors and BM25 over the same rows."""

import copy
import json
import re
import time
from itertools import islice
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS
from lancedb.rerankers import RRFReranker
from lancedb.table import LanceTable

from lib import paths, runs
from lib.corpus.records import Passage
from lib.models.registry import embedder_id
from lib.retrieval.encoder import load_encoder
from lib.studies import Retrieval

# Negation decides many tax answers, so "no" and "not" stay searchable; the rest is the usual list.
STOP_WORDS = ["a", "an", "and", "are", "as", "at", "be", "by", "for", "i", "in", "is", "it", "my", "of", "on", "or"]
STOP_WORDS += ["that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with"]

# How many passages a search finds for a reranking to order.
RERANKED = 30


class Index:
    """Passages that can be searched. Exact search: no approximate index is built at this size, so results repeat.

    `tag` names the version of the table that is searched. `seconds` is what embedding and indexing all passages took when
    it was done; of an index with replaced passages, what replacing them took.
    """

    def __init__(self, passages: list[Passage], *, embedder: str):
        self.passages = {passage.id: passage for passage in passages}
        self.encoder = load_encoder(embedder)
        # The vectors of a passage's sentences, once a reranking has needed them.
        self._sentences: dict[str, np.ndarray] = {}
        self.key = runs.content_hash([passages, embedder_id(embedder), STOP_WORDS, runs.versions()])
        self.folder, self.tag = runs.cache_dir("index", self.key) / "built", "built"
        self.store = f"{paths.INDEXES}/{self.key}" if paths.INDEXES else str(self.folder)
        with runs.locked(self.folder):
            if not self._is_whole():
                self._build()
            self.seconds = json.loads((self.folder / "seconds.json").read_text())
            self.table = self._open()
        self.table.checkout(self.tag)  # the newest version may hold replaced passages

    def _open(self) -> LanceTable:
        return lancedb.connect(self.store).open_table("passages")

    def _is_whole(self) -> bool:
        """The tag is written last, so that an interrupted build is never searched."""
        if "passages" not in lancedb.connect(self.store).list_tables().tables:
            return False
        return self.tag in self._open().tags.list() and (self.folder / "seconds.json").exists()

    def _build(self) -> None:
        start = time.perf_counter()
        rows = self._rows(list(self.passages.values()))
        lancedb.connect(self.store).drop_table("passages", ignore_missing=True)
        table = write_table(self.store, rows)
        runs.write_json(self.folder / "seconds.json", round(time.perf_counter() - start, 2))
        table.tags.create(self.tag, table.version)

    def _rows(self, passages: list[Passage]) -> pa.Table:
        texts = [passage.titled for passage in passages]
        return as_rows([passage.id for passage in passages], texts, self.encoder.encode(texts))

    def replaced(self, passages: list[Passage]) -> "Index":
        """The index over `passages` instead: a further tagged version of the same table. This one goes on answering as it did.

        Only passages whose words or place are new are embedded; done once, then opened from the cache.
        """
        after = copy.copy(self)
        after.passages = {passage.id: passage for passage in passages}
        after._sentences = {}
        after.tag = f"replaced-{runs.content_hash(passages)}"
        with runs.locked(self.folder):
            after.table = self._open()
            if after.tag not in after.table.tags.list():
                after._replace(self.passages)
            after.seconds = json.loads((self.folder / f"{after.tag}.json").read_text())
        after.table.checkout(after.tag)
        return after

    def _replace(self, old: dict[str, Passage]) -> None:
        """From the version as built, so that an interrupted replacement leaves nothing behind; the tag comes last."""
        start = time.perf_counter()
        self.table.checkout("built")
        self.table.restore()
        texts = {name: passage.titled for name, passage in old.items()}
        new = [passage for passage in self.passages.values() if texts.get(passage.id) != passage.titled]
        gone = (set(old) - set(self.passages)) | (set(old) & {passage.id for passage in new})
        if gone:
            quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(gone))
            self.table.delete(f"id IN ({quoted})")
        if new:
            self.table.add(self._rows(new))
        index_words(self.table)
        seconds = round(time.perf_counter() - start, 2)
        runs.write_json(self.folder / f"{self.tag}.json", seconds)
        self.table.tags.create(self.tag, self.table.version)

    def search(self, questions: list[str], *, method: str, k: int) -> list[list[str]]:
        """The ids of the `k` best passages of each question, best first; fewer when fewer match (BM25 only).

        method: bm25, dense (cosine), or hybrid (reciprocal-rank fusion of both).
        """
        vectors = self.encoder.encode_questions(questions) if method != "bm25" else [None] * len(questions)
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
        vectors = iter(self.encoder.encode([text for texts in sentences.values() for text in texts]))
        self._sentences.update({i: np.array(list(islice(vectors, len(texts)))) for i, texts in sentences.items()})
        return [
            sorted(ids, key=lambda i, question=question: -float((self._sentences[i] @ question).max()))
            for question, ids in zip(self.encoder.encode_questions(questions), found, strict=True)
        ]

    def nearest(self, questions: list[str]) -> list[float]:
        """The cosine of each question with the passage nearest to it: how sure one may be that anything here answers it."""
        vectors = self.encoder.encode_questions(questions)
        found = [query(self.table, "", vector, "dense").limit(1).to_list() for vector in vectors]
        return [1 - rows[0]["_distance"] for rows in found]


def sentences_of(passage: Passage) -> list[str]:
    """The sentences, list items and table rows of a passage, each under the passage's heading; at least one."""
    body = "\n".join(line for line in passage.text.splitlines() if not line.startswith("#"))
    return [f"{passage.heading}: {text}" for text in re.split(r"(?<=[.!?])\s+|\n+", body) if text.strip()]


def as_rows(ids: list[str], texts: list[str], vectors: np.ndarray) -> pa.Table:
    """Passages as the store keeps them; vectors are unit vectors, shape (len(ids), dimension)."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), type=pa.float32()), vectors.shape[1])
    return pa.table({"id": ids, "text": texts, "vector": column})


def write_table(store: str | Path, rows: pa.Table) -> LanceTable:
    """A new table of passages with BM25 over their texts, in a folder or under an object store's URL."""
    table = lancedb.connect(store).create_table("passages", rows)
    index_words(table)
    return table


def index_words(table: LanceTable) -> None:
    """BM25 over the texts that the table now holds."""
    stop = {"remove_stop_words": True, "custom_stop_words": STOP_WORDS}
    table.create_index("text", config=FTS(with_position=False, stem=True, **stop), replace=True)


def query(table: LanceTable, question: str, vector: np.ndarray | None, method: str):
    """The query of one question by bm25, dense (cosine), or hybrid: reciprocal-rank fusion of both."""
    if method == "bm25":
        return table.search(question, query_type="fts")
    if method == "dense":
        # Without the vectors themselves, which are most of a row.
        return table.search(vector).distance_type("cosine").select(["id", "_distance"])
    hybrid = table.search(query_type="hybrid").vector(vector).text(question)
    return hybrid.distance_type("cosine").rerank(RRFReranker())


def build_index(passages: list[Passage], *, embedder: str, settings: Retrieval) -> Index:
    """The index of a study's passages; opened from the cache when it was built before."""
    if settings.k > len(passages):
        raise ValueError(f"retrieval.k is {settings.k}, but there are only {len(passages)} passages; lower k")
    return Index(passages, embedder=embedder)
