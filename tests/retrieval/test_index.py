"""The passage index with its real parts: LanceDB on disk and the MiniLM embedder, on a dozen short passages."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import paths, runs
from lib.corpus.records import Passage
from lib.models import registry
from lib.retrieval.encoder import Encoder
from lib.retrieval.index import STOP_WORDS, Index, build_index, sentences_of
from lib.studies import Retrieval

EMBEDDER = "all-minilm-l6-v2"
TEXTS = {
    "fee": "The late fee is Rs 5,000 under section 234F.",
    "cat": "A cat sat upon the mat.",
    "doctor": "Physicians treat sick people in hospitals.",
    "salary": "Salary is taxed under the head salaries.",
    "parking": "Cars must not be parked here.",
    "banana": "Bananas are yellow fruit.",
    "moon": "The moon circles our planet once a month.",
    "refund": "Refunds reach the bank account in thirty days.",
    "train": "Trains leave the station every hour.",
    "rain": "Rain falls mostly in the monsoon.",
    "bread": "Bread is baked from flour and water.",
    "form": "Form 26AS lists all the tax deducted at source.",
}
PASSAGES = [Passage(name, "guide", "Guide", 0, len(text), text) for name, text in TEXTS.items()]
METHODS = ["bm25", "dense", "hybrid"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
        yield paths.CACHE


@pytest.fixture(scope="module")
def index(cache):
    return build_index(PASSAGES, embedder=EMBEDDER, settings=Retrieval(passage_tokens=64, search="hybrid", k=3))


def search(index, question, method, k=3):
    return index.search([question], method=method, k=k)[0]


def test_bm25_finds_an_exact_phrase(index):
    assert search(index, "section 234F", "bm25")[0] == "fee"
    assert search(index, "26AS", "bm25") == ["form"]


def test_dense_search_finds_a_synonym_that_bm25_cannot(index):
    assert search(index, "Where do doctors work?", "bm25") == []
    assert search(index, "Where do doctors work?", "dense")[0] == "doctor"


def test_hybrid_search_finds_both(index):
    question = "doctors 26AS"
    assert search(index, question, "bm25") == ["form"]
    assert {"doctor", "form"} <= set(search(index, question, "hybrid"))


def test_a_word_is_found_by_its_stem(index):
    assert search(index, "a banana", "bm25") == ["banana"]
    assert search(index, "parking", "bm25") == ["parking"]


def test_negation_stays_searchable(index):
    assert search(index, "not", "bm25") == ["parking"]
    assert {"no", "not"}.isdisjoint(STOP_WORDS)


def test_stop_words_alone_find_nothing_by_bm25(index):
    assert search(index, "the of and in", "bm25") == []


@pytest.mark.parametrize("method", METHODS)
def test_searching_twice_gives_the_same_order(index, method):
    questions = ["late fee under section 234F", "when does the refund come", "moon"]
    found = index.search(questions, method=method, k=12)
    assert found == index.search(questions, method=method, k=12)
    assert found == [search(index, question, method, k=12) for question in questions]


@pytest.mark.parametrize("k", [1, 3, 12])
def test_dense_search_gives_exactly_k_different_passages(index, k):
    found = search(index, "tax", "dense", k)
    assert len(found) == len(set(found)) == k
    assert set(found) <= set(TEXTS)


def test_a_smaller_k_is_the_beginning_of_a_larger(index):
    for method in ("bm25", "dense"):
        assert search(index, "tax on the salary", method, 2) == search(index, "tax on the salary", method, 12)[:2]


def test_dense_order_is_that_of_the_cosines(index):
    question, *vectors = index.encoder.encode(["Who repays the tax?", *(p.titled for p in PASSAGES)])
    cosines = {p.id: float(question @ vector) for p, vector in zip(PASSAGES, vectors, strict=True)}
    assert search(index, "Who repays the tax?", "dense", 12) == sorted(cosines, key=cosines.get, reverse=True)


ODD = [
    '"',
    "(",
    ")",
    "AND OR NOT",
    "a:b^2 ~",
    "+-",
    "\x00",
    "नमस्ते ₹",
    "* ?",
    "'; DROP TABLE passages",
    "[1 TO 2]",
    "\\",
]


@pytest.mark.parametrize("method", METHODS)
def test_an_odd_question_finds_something_or_nothing_but_does_not_fail(index, method):
    found = index.search([*ODD, "fee " * 2000], method=method, k=3)
    assert len(found) == len(ODD) + 1
    assert set().union(*found) <= set(TEXTS)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_no_question_breaks_bm25(index, question):
    assert set(search(index, question, "bm25")) <= set(TEXTS)


@pytest.mark.parametrize("method", METHODS)
def test_an_index_is_opened_again_without_encoding(index, method, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", lambda *_: pytest.fail("the passages were encoded again"))
        again = Index(PASSAGES, embedder=EMBEDDER)
    assert (again.key, again.table.version) == (index.key, index.table.version)
    assert search(again, "the late fee", method) == search(index, "the late fee", method)


def test_another_text_makes_another_index(index):
    changed = [*PASSAGES[:-1], Passage("form", "guide", "Guide", 0, 4, "Gone")]
    other = Index(changed, embedder=EMBEDDER)
    assert other.key != index.key
    assert search(other, "26AS", "bm25") == []
    assert search(index, "26AS", "bm25") == ["form"]


@pytest.mark.parametrize(("step", "n"), [("index_words", 4), ("runs.write_json", 7)])
def test_a_build_that_was_cut_short_is_made_again(cache, monkeypatch, step, n):
    with monkeypatch.context() as patch:
        patch.setattr(f"lib.retrieval.index.{step}", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            Index(PASSAGES[:n], embedder=EMBEDDER)
    again = Index(PASSAGES[:n], embedder=EMBEDDER)
    assert again.table.count_rows() == n
    assert search(again, "mat", "bm25") == ["cat"]


def test_more_passages_wanted_than_there_are_is_refused(cache):
    wanted = Retrieval(passage_tokens=64, search="dense", k=13)
    with pytest.raises(ValueError, match="retrieval.k is 13, but there are only 12 passages; lower k"):
        build_index(PASSAGES, embedder=EMBEDDER, settings=wanted)
    build_index(PASSAGES, embedder=EMBEDDER, settings=wanted.model_copy(update={"k": 12}))


def settings_of(**changes):
    return Retrieval(**{"passage_tokens": 64, "search": "hybrid", "k": 3, **changes})


def test_a_setting_without_reranking_finds_what_its_search_does(index):
    for method in METHODS:
        found = index.find(["refund of the tax"], settings_of(search=method), k=4)
        assert found == [search(index, "refund of the tax", method, 4)]


def test_reranking_orders_what_was_found_by_its_nearest_sentence(cache):
    # the fitting sentence stands between others that hide it in the passage's one vector
    hidden = "Bananas are yellow fruit. Physicians treat sick people in hospitals. The moon circles our planet."
    texts = {**TEXTS, "hidden": hidden}
    del texts["doctor"]
    passages = [Passage(name, "guide", "Guide", 0, len(text), text) for name, text in texts.items()]
    index, question = Index(passages, embedder=EMBEDDER), "Who treats sick people in hospitals?"
    dense = settings_of(search="dense", k=12)
    plain, reranked = (
        index.find([question], dense.model_copy(update={"rerank": r}), k=12)[0] for r in ("none", "sentences")
    )
    assert sorted(plain) == sorted(reranked)
    best = {
        p.id: float(max(index.encoder.encode(sentences_of(p)) @ index.encoder.encode([question])[0]))
        for p in passages
        if p.id in plain
    }
    assert reranked == sorted(plain, key=best.get, reverse=True)
    assert reranked[0] == "hidden"


def test_an_embedder_that_is_a_directory_enters_the_key_by_what_it_holds(cache, monkeypatch):
    packaged = Index(PASSAGES[:2], embedder=EMBEDDER)
    assert packaged.key == runs.content_hash([PASSAGES[:2], EMBEDDER, STOP_WORDS, runs.versions()])
    folder = str(registry.embedder_path(EMBEDDER))
    before = Index(PASSAGES[:2], embedder=folder)
    monkeypatch.setattr(registry, "_sha256", lambda files: "other weights")
    assert Index(PASSAGES[:2], embedder=folder).key != before.key != packaged.key


def test_reranking_brings_up_what_a_search_found_further_down(index):
    """It sees more than the k it returns: what it returns is the beginning of what it would return for a larger k."""
    question = ["When will my money come back?"]
    settings = settings_of(rerank="sentences")
    assert index.find(question, settings, k=2)[0] == index.find(question, settings, k=8)[0][:2]


def test_reranking_nothing_found_finds_nothing(index):
    assert index.find(["the of and in"], settings_of(search="bm25", rerank="sentences"), k=3) == [[]]


def test_sentences_stand_under_the_heading_and_leave_headings_out():
    passage = Passage("p", "d", "Fees", 0, 9, "## Fees\n\nOne fee. Another!\n- an item\n\n| a | row |")
    assert sentences_of(passage) == ["Fees: One fee.", "Fees: Another!", "Fees: - an item", "Fees: | a | row |"]


def test_the_nearest_passages_cosine_is_that_of_the_best_dense_hit(index):
    questions = ["Who treats the sick?", "late fee", "zebra crossing algebra"]
    vectors = index.encoder.encode([p.titled for p in PASSAGES])
    expected = [float(max(vectors @ question)) for question in index.encoder.encode(questions)]
    assert index.nearest(questions) == pytest.approx(expected, abs=1e-5)


REPLACED = [
    replace(p, text="The late fee is Rs 1,000 under section 234F.") if p.id == "fee" else p
    for p in PASSAGES
    if p.id != "moon"
] + [Passage("sun", "guide", "Guide", 0, 9, "The sun rises in the east.")]


def words_of(index, passage_id):
    (row,) = index.table.search().where(f"id = '{passage_id}'").limit(1).to_list()
    return row["text"]


def test_after_a_replacement_the_old_tag_still_answers_as_of_then(index):
    before = {method: index.search(["late fee", "moon", "sun"], method=method, k=12) for method in METHODS}
    after = index.replaced(REPLACED)
    assert "1,000" in words_of(after, "fee") and "5,000" in words_of(index, "fee")
    assert (search(after, "moon", "bm25"), search(after, "sun", "bm25")) == ([], ["sun"])
    assert (search(index, "moon", "bm25"), search(index, "sun", "bm25")) == (["moon"], [])
    assert "moon" not in search(after, "moon", "dense", 12)
    assert (index.tag, after.tag.split("-")[0]) == ("built", "replaced")
    again = Index(PASSAGES, embedder=EMBEDDER)  # another process opens the same table, whose newest version is newer
    for opened in (index, again):
        assert {m: opened.search(["late fee", "moon", "sun"], method=m, k=12) for m in METHODS} == before


@pytest.mark.parametrize("method", METHODS)
def test_replacing_passages_gives_what_indexing_the_new_ones_gives(index, method):
    questions = ["late fee under section 234F", "1,000", "sun", "when does the refund come"]
    fresh = Index(REPLACED, embedder=EMBEDDER)
    assert index.replaced(REPLACED).search(questions, method=method, k=12) == fresh.search(
        questions, method=method, k=12
    )


def test_only_new_words_are_embedded_and_a_finished_replacement_is_opened_again(cache, monkeypatch):
    index, embedded, original = Index(PASSAGES[:6], embedder=EMBEDDER), [], Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, texts: embedded.extend(texts) or original(self, texts))
    passages = REPLACED[:5]
    first = index.replaced(passages)
    assert embedded == [passages[0].titled]
    assert index.replaced(passages).seconds == first.seconds
    assert len(embedded) == 1
    assert set(search(first, "tax", "dense", 12)) == {p.id for p in passages}


def test_a_replacement_cut_short_is_done_again_from_the_version_as_built(cache, monkeypatch):
    index = Index(PASSAGES[:5], embedder=EMBEDDER)
    with monkeypatch.context() as patch:
        patch.setattr("lib.retrieval.index.runs.write_json", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            index.replaced([PASSAGES[1]])
    assert set(search(Index(PASSAGES[:5], embedder=EMBEDDER), "tax", "dense", 12)) == {p.id for p in PASSAGES[:5]}
    assert set(search(index.replaced(PASSAGES[2:4]), "tax", "dense", 12)) == {"doctor", "salary"}


def test_an_index_kept_under_a_url_is_searched_like_one_in_the_cache(index, tmp_path, monkeypatch, empty_store):
    questions = ["late fee under section 234F", "doctors", "when does the refund come"]
    monkeypatch.setattr(paths, "INDEXES", f"file://{tmp_path}/shared")
    elsewhere = Index(PASSAGES, embedder=EMBEDDER)
    assert (tmp_path / "shared" / elsewhere.key / "passages.lance").is_dir()
    assert not list(paths.CACHE.glob("**/passages.lance"))
    for method in METHODS:
        assert elsewhere.search(questions, method=method, k=12) == index.search(questions, method=method, k=12)
        changed = elsewhere.replaced(REPLACED).search(questions, method=method, k=12)
        assert changed == index.replaced(REPLACED).search(questions, method=method, k=12)
