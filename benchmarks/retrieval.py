"""Milliseconds a search, seconds and MiB an index, and what an approximate index misses, from a thousand passages up.

python -m benchmarks.retrieval [passages ...]        (default 1000 10000 100000; 1000000 takes about 6 GB of disk and memory)

The texts are the default study's own passages, repeated with a number, so that BM25 has real words to weigh. The vectors are
the embeddings of those passages, drawn with replacement and each moved by noise of half its length, so that no two are equal;
the questions' are their own.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lancedb.index import HnswSq
from lancedb.table import LanceTable

from benchmarks.record import record
from lib.answering.shelf import Shelf
from lib.corpus.load import load_corpus
from lib.retrieval.index import Index, as_rows, query, write_table
from lib.study_file import load_study

SIZES = [10**3, 10**4, 10**5]
QUERIES, K, SEED, NOISE = 100, 10, 7, 0.5


def sampled_near(rng: np.random.Generator, embeddings: np.ndarray, n: int) -> np.ndarray:
    """`n` float32 unit vectors near `embeddings`, which are unit vectors, drawn with replacement."""
    vectors = rng.standard_normal((n, embeddings.shape[1]), dtype=np.float32)
    vectors *= NOISE / embeddings.shape[1] ** 0.5
    vectors += embeddings[rng.integers(0, len(embeddings), n)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(table: LanceTable, questions: list[str], vectors: np.ndarray, method: str) -> tuple[list[float], list[set]]:
    """Milliseconds of every search, one at a time after one that warms up, and the ids that it found."""
    query(table, questions[0], vectors[0], method).limit(K).to_list()
    times, found = [], []
    for question, vector in zip(questions, vectors, strict=True):
        started = time.perf_counter()
        rows = query(table, question, vector, method).limit(K).to_list()
        times.append((time.perf_counter() - started) * 1000)
        found.append({row["id"] for row in rows})
    return times, found


def measure(n: int, index: Index, questions: list[str]) -> dict[str, tuple[float, str]]:
    """The rows of one size: the workbook's own hybrid search, which is exact, and dense search exact and approximate."""
    texts = [passage.titled for passage in index.passages.values()]
    vectors, asked = sampled_near(np.random.default_rng(SEED), index.encode(texts), n), index.encode(questions)
    ids = [f"p{number}" for number in range(n)]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        table = write_table(Path(folder), as_rows(ids, [f"{texts[i % len(texts)]} {i}" for i in range(n)], vectors))
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20
        hybrid, _ = timed(table, questions, asked, "hybrid")
        dense, exact = timed(table, questions, asked, "dense")
        started = time.perf_counter()
        table.create_index("vector", config=HnswSq(distance_type="cosine"))
        approximate_seconds = time.perf_counter() - started
        near, found = timed(table, questions, asked, "dense")
    recall = np.mean([len(right & ids) / K for right, ids in zip(exact, found, strict=True)])
    return {
        f"retrieve_ms_p50/{n}": (np.quantile(hybrid, 0.5), "ms"),
        f"retrieve_ms_p95/{n}": (np.quantile(hybrid, 0.95), "ms"),
        f"retrieve_dense_ms_p50/{n}": (np.quantile(dense, 0.5), "ms"),
        f"retrieve_dense_ms_p95/{n}": (np.quantile(dense, 0.95), "ms"),
        f"retrieve_approximate_ms_p50/{n}": (np.quantile(near, 0.5), "ms"),
        f"retrieve_approximate_ms_p95/{n}": (np.quantile(near, 0.95), "ms"),
        f"approximate_recall@10/{n}": (float(recall), "share"),
        f"index_seconds/{n}": (seconds, "s"),
        f"approximate_index_seconds/{n}": (approximate_seconds, "s"),
        f"index_mib/{n}": (size, "MiB"),
    }


def main(sizes: list[int]) -> None:
    """Measure every size and write its rows."""
    study = load_study("itr")
    corpus = load_corpus(study.corpus.folder, **study.corpus.limits)
    questions = [question.text for question in corpus.ask("paraphrase")][:QUERIES]
    for n in sizes:
        record(measure(n, Shelf(study, corpus).index, questions))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
