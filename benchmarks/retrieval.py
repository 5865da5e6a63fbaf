"""Milliseconds a search, seconds and MiB an index, and what an approximate index misses, from a thousand passages up.

python -m benchmarks.retrieval [passages ...]        (default 1000 10000 100000; 1000000 takes about 6 GB of disk and memory)

The texts are the default study's own passages, repeated with a number, so that BM25 has real words to weigh. The vectors are
the embeddings of those passages, drawn with replacement and each moved by noise of half its length, so that no two are equal;
the questions' are their own.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import lancedb
import numpy as np
from lancedb.index import IvfSq

from benchmarks.record import record
from lib import runs
from lib.answering.shelf import Shelf
from lib.corpus.load import load_corpus
from lib.retrieval.index import as_rows, query, write_table
from lib.study_file import load_study

SIZES = [10**3, 10**4, 10**5]
QUERIES, K, SEED, NOISE = 50, 10, 7, 0.5
# Partitions that the approximate search reads, of the square root of the passages, and how many candidates for a result it
# weighs again by their whole vectors: for dev questions among 10^5 passages that finds 99 %, without weighing again 95 (LOG.md).
PROBES, REFINE = 20, 2


def sampled_near(rng: np.random.Generator, embeddings: np.ndarray, n: int) -> np.ndarray:
    """`n` float32 unit vectors near `embeddings`, which are unit vectors, drawn with replacement."""
    vectors = rng.standard_normal((n, embeddings.shape[1]), dtype=np.float32)
    vectors *= NOISE / embeddings.shape[1] ** 0.5
    vectors += embeddings[rng.integers(0, len(embeddings), n)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def search(
    folder: str, questions: list[str], vectors: np.ndarray, method: str, probes: int | None
) -> tuple[list[float], list[set[str]], float]:
    """Milliseconds of every search, one at a time after one that warms up, the ids that it found, and the process's peak GiB.

    probes: how many partitions of an approximate index are read; None: the table has none.
    """
    table = lancedb.connect(folder).open_table("passages")
    times, found = [], []
    for question, vector in zip([questions[0], *questions], [vectors[0], *vectors], strict=True):
        started = time.perf_counter()
        asked = query(table, question, vector, method).limit(K)
        rows = (asked.nprobes(probes).refine_factor(REFINE) if probes else asked).to_list()
        times.append((time.perf_counter() - started) * 1000)
        found.append({row["id"] for row in rows})
    return times[1:], found[1:], runs.peak_memory_gib()


def build(folder: str, texts: list[str], embeddings: np.ndarray, n: int) -> float:
    """Seconds to write `n` passages and to index their words; the vectors are made before the clock starts."""
    vectors = sampled_near(np.random.default_rng(SEED), embeddings, n)
    rows = as_rows([f"p{number}" for number in range(n)], [f"{texts[i % len(texts)]} {i}" for i in range(n)], vectors)
    started = time.perf_counter()
    write_table(folder, rows)
    return time.perf_counter() - started


def approximate(folder: str) -> float:
    """Seconds to build the approximate index of the table's vectors."""
    table = lancedb.connect(folder).open_table("passages")
    started = time.perf_counter()
    partitions = math.isqrt(table.count_rows())
    table.create_index("vector", config=IvfSq(distance_type="cosine", num_partitions=partitions))
    return time.perf_counter() - started


def alone(work: Callable, *arguments):
    """What `work` returns in a process of its own, so that its peak memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure(n: int, texts: list[str], embeddings: np.ndarray, questions: list[str], vectors: np.ndarray) -> dict:
    """The rows of one size: search by words and vectors, exact as in the workbook, then with an approximate index."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        rows[f"index_seconds/{n}"] = (alone(build, folder, texts, embeddings, n), "s")
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20
        rows[f"index_mib/{n}"] = (size, "MiB")
        found = {}
        for kind, probes in (("", None), ("approximate_", PROBES)):
            if probes:
                rows[f"approximate_index_seconds/{n}"] = (alone(approximate, folder), "s")
            for method in ("hybrid", "dense"):
                name = f"retrieve_{kind}{'dense_' if method == 'dense' else ''}"
                times, found[kind, method], memory = alone(search, folder, questions, vectors, method, probes)
                rows[f"{name}ms_p50/{n}"] = (np.quantile(times, 0.5), "ms")
                rows[f"{name}ms_p95/{n}"] = (np.quantile(times, 0.95), "ms")
                rows[f"{name}memory_gib/{n}"] = (memory, "GiB")
    for method in ("dense", "hybrid"):
        pairs = zip(found["", method], found["approximate_", method], strict=True)
        recall = np.mean([len(right & ids) / len(right) for right, ids in pairs])
        rows[f"approximate_recall@10/{method}/{n}"] = (float(recall), "share of exact")
    return rows


def main(sizes: list[int]) -> None:
    """Measure every size and write its rows."""
    study = load_study("itr")
    corpus = load_corpus(study.corpus.folder, **study.corpus.limits)
    questions = [question.text for question in corpus.ask("paraphrase")][:QUERIES]
    index = Shelf(study, corpus).index
    texts = [passage.titled for passage in index.passages.values()]
    embeddings, vectors = index.encoder.encode(texts), index.encoder.encode(questions)
    for n in sizes:
        record(measure(n, texts, embeddings, questions, vectors))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
