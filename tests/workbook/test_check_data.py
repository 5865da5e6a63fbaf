"""A corpus too empty to be weighed is refused in words."""

from dataclasses import replace

import pytest

from lib.corpus.load import load_corpus
from lib.workbook import check_data

CORPUS = load_corpus("data/itr", test=4, dev=3)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"faq": ()}, "faq.jsonl: fewer than two items on facts of split test"),
        ({"questions": ()}, "questions.jsonl: no paraphrase question about a fact of split test"),
    ],
)
def test_what_a_corpus_lacks_is_said_and_nothing_is_weighed(monkeypatch, left, said):
    monkeypatch.setattr(check_data, "load_corpus", lambda folder: replace(CORPUS, **left))
    monkeypatch.setattr(check_data, "describe", lambda corpus: pytest.fail("it was weighed"))
    with pytest.raises(ValueError, match=f"data/mine:\n.*{said}"):
        check_data.main("data/mine")
