"""The artefact store under changes of order, reworded code and processes killed half-way."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import paths, runs

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=12)

# A process that appends numbered steps until it is killed.
WRITER = """
import pathlib, sys
from lib import paths, runs
paths.CACHE = pathlib.Path(sys.argv[1])
journal = runs.Journal("kill", "k")
while True:
    journal.append({"step": len(journal.entries), "text": "x" * 4000})
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Point:
    x: int
    y: str


def backwards(value):
    """The same value with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(part) for key, part in reversed(value.items())}
    return [backwards(part) for part in value] if isinstance(value, list) else value


@given(VALUES)
def test_key_order_does_not_change_the_hash(value):
    assert runs.content_hash(value) == runs.content_hash(backwards(value))


@given(VALUES)
def test_canonical_json_loses_nothing(value):
    assert json.loads(runs.canonical_json(value)) == value


def test_canonical_json_is_the_text_written_here():
    assert runs.canonical_json({"b": (1, 2.5), "a": Point(3, "₹")}) == '{"a":{"x":3,"y":"₹"},"b":[1,2.5]}'


def test_the_hash_does_not_change_between_versions_of_the_workbook():
    # printf '{"a":1}' | sha256sum
    assert runs.content_hash({"a": 1}) == "015abd7f5cc57a2d"


def test_list_order_changes_the_hash():
    assert runs.content_hash([1, 2]) != runs.content_hash([2, 1])


@pytest.mark.parametrize(
    "value", [Path("/tmp"), {1, 2}, object(), {"deep": [Path("x")]}], ids=["path", "set", "object", "deep"]
)
def test_what_differs_between_machines_never_enters_a_hash(value):
    with pytest.raises(TypeError):
        runs.content_hash(value)


CODE = '''"""Module."""

LIMIT = 3


class Thing:
    """Class."""

    def double(self, x):
        """Method."""
        return x * 2
'''


def module_of(folder, name, source):
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "old, new",
    [
        ('"""Module."""', '"""Another description."""'),
        ('"""Module."""\n', ""),
        ('"""Class."""', '"""Kind."""'),
        ('        """Method."""\n', ""),
        ("LIMIT = 3", "# how many\nLIMIT   =   3  # three"),
    ],
)
def test_words_about_code_do_not_change_its_version(tmp_path, old, new):
    assert old in CODE
    before = module_of(tmp_path, "before", CODE)
    assert runs.code_version(before) == runs.code_version(module_of(tmp_path, "after", CODE.replace(old, new)))


@pytest.mark.parametrize(
    "old, new", [("x * 2", "x * 3"), ("LIMIT = 3", "LIMIT = 4"), ("double", "twice"), ("3", "'3'")]
)
def test_code_changes_its_version(tmp_path, old, new):
    before = module_of(tmp_path, "before", CODE)
    assert runs.code_version(before) != runs.code_version(module_of(tmp_path, "after", CODE.replace(old, new)))


def test_the_order_of_modules_counts(tmp_path):
    one, two = module_of(tmp_path, "one", "A = 1\n"), module_of(tmp_path, "two", "B = 2\n")
    assert runs.code_version(one, two) != runs.code_version(two, one)


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "file.txt"
    runs.write_atomic(target, "first")
    runs.write_atomic(target, "second ₹")
    assert target.read_text(encoding="utf-8") == "second ₹"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_write_that_dies_leaves_the_old_file(tmp_path, monkeypatch, step):
    target = tmp_path / "file.json"
    runs.write_json(target, {"value": "old"})

    def die(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, die)
    with pytest.raises(OSError, match="disk full"):
        runs.write_json(target, {"value": "new"})
    monkeypatch.undo()
    assert json.loads(target.read_text()) == {"value": "old"}
    runs.write_json(target, {"value": "new"})
    assert json.loads(target.read_text()) == {"value": "new"}


def test_a_row_that_cannot_be_written_leaves_the_old_file(tmp_path):
    target = tmp_path / "rows.jsonl"
    runs.write_jsonl(target, [{"a": 1}])
    with pytest.raises(TypeError):
        runs.write_jsonl(target, [{"a": 2}, {"a": object()}])
    assert runs.read_jsonl(target) == [{"a": 1}]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(TEXT, SCALARS)))
def test_rows_come_back_as_they_were_written(tmp_path_factory, rows):
    target = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    runs.write_jsonl(target, rows)
    assert runs.read_jsonl(target) == rows


def test_a_unicode_line_separator_does_not_cut_a_row(tmp_path):
    rows = [{"text": "one\u2028two\x85three\rfour\nfive"}]
    runs.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert runs.read_jsonl(tmp_path / "rows.jsonl") == rows


def test_a_new_journal_is_empty(cache):
    assert runs.Journal("steps", "k").entries == []


def test_a_journal_keeps_what_was_appended(cache):
    entries = [{"step": 0, "text": "₹ \u2028 \n"}, {"step": 1}]
    journal = runs.Journal("steps", "k")
    for entry in entries:
        journal.append(entry)
    assert journal.entries == runs.Journal("steps", "k").entries == entries


@pytest.mark.parametrize(
    "tail",
    [
        b'{"step": 2, "te',
        b'{"step": 2}',  # whole JSON, but its newline never reached the disk
        b"\x00\x00\x00\x00",
        b"\xff\xfe broken\n",
        b"not json\n",
        b"\n",
        b'{"step": 2\n{"step": 3}\n',
    ],
)
def test_a_torn_tail_is_discarded_and_appending_goes_on(cache, tail):
    journal = runs.Journal("steps", "k")
    journal.append({"step": 0})
    journal.append({"step": 1})
    with journal.path.open("ab") as handle:
        handle.write(tail)
    recovered = runs.Journal("steps", "k")
    assert recovered.entries == [{"step": 0}, {"step": 1}]
    recovered.append({"step": "after"})
    assert runs.Journal("steps", "k").entries == [{"step": 0}, {"step": 1}, {"step": "after"}]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200))
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cut"))
        journal = runs.Journal("steps", "k")
        entries = [{"step": step, "text": "₹" * step} for step in range(6)]
        for entry in entries:
            journal.append(entry)
        content = journal.path.read_bytes()[:cut]
        journal.path.write_bytes(content)
        assert runs.Journal("steps", "k").entries == entries[: content.count(b"\n")]


def test_a_killed_writer_loses_no_finished_step(cache):
    path = cache / "kill" / "k" / "journal.jsonl"
    seen = 0
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(cache)], cwd=paths.ROOT)
        deadline = time.monotonic() + 30
        while not path.exists() or path.read_bytes().count(b"\n") < seen + 5:
            assert time.monotonic() < deadline and writer.poll() is None
            time.sleep(0.005)
        before = path.read_bytes().count(b"\n")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        seen = len(runs.Journal("kill", "k").entries)
        assert seen >= before
    assert [entry["step"] for entry in runs.Journal("kill", "k").entries] == list(range(seen))


def test_a_notebook_leaves_records_and_a_summary(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    rows = [{"question_id": "q1", "seed": 1}, {"question_id": "q2", "seed": 0}]
    run = runs.NotebookRun("itr", "01")
    run.save(records=rows, parameters={"k": 3}, metrics={"accuracy": 0.5}, ledger=[], device="CPU")
    summary = json.loads((tmp_path / "itr" / "01" / "summary.json").read_text())
    assert runs.read_jsonl(tmp_path / "itr" / "01" / "records.jsonl") == rows
    assert (summary["n"], summary["seeds"], summary["metrics"]) == (2, [0, 1], {"accuracy": 0.5})
    assert set(summary["versions"]) == {"python", *runs.PACKAGES}
