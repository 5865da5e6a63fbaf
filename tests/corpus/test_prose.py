"""The general text: read whole, refused with its place when it is broken, and about nothing that the corpora say."""

import json
import re

import pytest

from lib import paths
from lib.corpus.load import load_prose

ROW = {"id": "a", "topic": "t", "text": "word " * 19 + "word"}


@pytest.fixture
def folder(tmp_path):
    """Writes rows as a text.jsonl and returns its folder."""

    def write(*rows):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / "text.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return str(tmp_path)

    return write


def test_paragraphs_come_in_the_order_of_the_file(folder):
    found = load_prose(folder({**ROW, "id": "b"}, ROW))
    assert [(one.id, one.topic, one.text) for one in found] == [(name, "t", ROW["text"]) for name in "ba"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW], "text.jsonl:2: id 'a' occurs twice"),
        ([ROW, {**ROW, "id": "b", "text": "too short"}], "text.jsonl: b: 2 words; a paragraph has 20 or more"),
        ([ROW, {**ROW, "id": "b", "text": ROW["text"] + "\nmore"}], "text.jsonl: b: has a line break"),
        ([ROW, {"id": "b", "topic": "t"}], "text.jsonl:2: text: "),
        ([ROW, {**ROW, "id": "b", "texts": ""}], "text.jsonl:2: unknown field 'texts'"),
        ([ROW, "{"], "text.jsonl:2: not JSON"),
        ([ROW], "text.jsonl: 1 paragraphs; an interval over paragraphs needs 2 or more"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder, rows, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_prose(folder(*rows))


def test_a_folder_without_the_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'text.jsonl'}: file not found")):
        load_prose(str(tmp_path))


def shingles(text, n=6):
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[place : place + n]) for place in range(len(words) - n + 1)}


def test_the_shipped_text_is_long_wide_and_shares_no_six_words_in_a_row_with_a_corpus():
    found = load_prose()
    assert len(found) >= 40
    assert 3000 <= sum(len(one.text.split()) for one in found) <= 5000
    assert len({one.topic for one in found}) >= 20
    files = [path for folder in ("itr", "control", "judge") for path in (paths.DATA / folder).rglob("*.*")]
    assert len(files) > 50
    taught = set().union(*(shingles(path.read_text(encoding="utf-8")) for path in files))
    assert not [one.id for one in found if shingles(one.text) & taught]


def test_a_sentence_of_a_corpus_would_be_noticed():
    guide = next(iter(sorted((paths.DATA / "itr" / "documents").glob("*.md")))).read_text(encoding="utf-8")
    assert shingles("It is said here: " + " ".join(guide.split()[40:60])) & shingles(guide)
