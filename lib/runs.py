"""The artefact store: the only writer of out/ and .cache/.

A value is stored under a hash of everything it depends on, so a finished piece of work is never done twice and a changed
input never meets a stale result. Files appear whole or not at all; a journal that a crash cut short keeps every line
that was complete.
"""

import ast
import hashlib
import inspect
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from lib import paths

PACKAGES = ("torch", "transformers", "peft", "trl", "lancedb", "sentence-transformers", "numpy")


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys; dataclasses become objects. Equal values give equal text."""

    def encode(item: Any) -> Any:
        if is_dataclass(item) and not isinstance(item, type):
            return asdict(item)
        if isinstance(item, Path):
            raise TypeError(f"a path must not enter a hash: {item}")
        raise TypeError(f"cannot put {type(item).__name__} into canonical JSON: {item!r}")

    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=encode, separators=(",", ":"))


def content_hash(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def code_version(*modules: ModuleType) -> str:
    """A hash of what the modules do: their syntax trees without docstrings, so that a reworded comment costs nothing."""
    trees = []
    for module in modules:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        trees.append(ast.dump(tree))
    return content_hash(trees)


def versions() -> dict[str, str]:
    """Versions of the packages whose arithmetic reaches a result, and of Python."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def write_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line, atomically."""
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict]:
    """The rows of a JSONL file that this store wrote."""
    # Only a newline ends a row: str.splitlines would also cut at U+0085 or U+2028 inside a string.
    return [json.loads(line) for line in StringIO(path.read_text(encoding="utf-8"))]


def cache_dir(kind: str, key: str) -> Path:
    """The folder of one cached artefact (made if absent)."""
    folder = paths.CACHE / kind / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(folder: Path):
    """Hold the folder's lock, so that two processes never make the same artefact at once."""
    with FileLock(str(folder) + ".lock"):
        yield folder


class Journal:
    """An append-only JSONL file of finished steps; `entries` are those that survived the last run.

    A line cut short by a crash, and anything after it, is discarded when the journal is opened.
    """

    def __init__(self, kind: str, key: str):
        self.path = cache_dir(kind, key) / "journal.jsonl"
        self.entries = self._recover()

    def _recover(self) -> list[dict]:
        if not self.path.exists():
            return []
        entries, whole = [], 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                entries.append(json.loads(line))
            except ValueError:
                break
            whole += len(line)
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)
        return entries

    def append(self, entry: dict) -> None:
        """Add one finished step; it is on disk when this returns."""
        with self.path.open("ab") as handle:
            handle.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        self.entries.append(entry)


def peak_memory_gib() -> float:
    """The largest resident set of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def git_commit() -> str:
    """The commit of the working tree, with `+changes` when files differ from it; `unknown` outside git."""
    try:
        commit = subprocess.run(
            ["git", "-C", paths.ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        status = ["git", "-C", paths.ROOT, "status", "--porcelain", "--", "lib", "data", "studies", "notebooks"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


class NotebookRun:
    """What one notebook of one study leaves behind: records.jsonl and summary.json in out/<study>/<notebook>/."""

    def __init__(self, study: str, notebook: str):
        self.study, self.notebook = study, notebook
        self.folder = paths.OUT / study / notebook
        self.started = time.time()

    def save(self, *, records: list[dict], parameters: dict, metrics: dict, ledger: list[dict], device: str) -> None:
        """Write the two files.

        `ledger` holds what each condition cost when it was computed, now or in an earlier run that the cache replays;
        computed_seconds is its sum, wall_seconds what this run took.
        """
        write_jsonl(self.folder / "records.jsonl", records)
        summary = {
            "study": self.study,
            "notebook": self.notebook,
            "parameters": parameters,
            "git_commit": git_commit(),
            "versions": versions(),
            "device": device,
            "wall_seconds": round(time.time() - self.started, 1),
            "peak_memory_gib": round(peak_memory_gib(), 2),
            "n": len(records),
            "seeds": sorted({row["seed"] for row in records}),
            "computed_seconds": round(sum(line["seconds"] for line in ledger), 1),
            "metrics": metrics,
            "ledger": ledger,
        }
        write_json(self.folder / "summary.json", summary)
