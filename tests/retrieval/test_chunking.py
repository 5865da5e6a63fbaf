"""Passages are exact stretches of their guide, keep to one heading, and hold the evidence of every fact."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lib.corpus.load import load_corpus
from lib.corpus.records import Document, Evidence, Passage
from lib.models import registry
from lib.retrieval.chunking import gold_passages, split_documents

EMBEDDER = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("data/itr")


@pytest.fixture(scope="module")
def passages(corpus):
    return split_documents(corpus.documents, embedder=EMBEDDER, passage_tokens=64)


def split(text, passage_tokens=32):
    return split_documents([Document("guide", "Guide", text)], embedder=EMBEDDER, passage_tokens=passage_tokens)


def crosses_a_heading(passage):
    """Whether a heading comes after words that it does not govern."""
    lines = [line for line in passage.text.splitlines() if line.strip()]
    body = [not re.match(r"#+ ", line) for line in lines]
    return any(words and not later for words, later in zip(body, body[1:], strict=False))


def long_paragraph(word, count=40):
    return " ".join(f"{word}{number}" for number in range(count)) + "."


def test_every_passage_is_an_exact_stretch_of_its_guide(corpus, passages):
    text = {document.id: document.text for document in corpus.documents}
    assert [p.id for p in passages if p.text != text[p.document][p.start : p.end]] == []


def test_passages_follow_each_other_and_leave_out_only_headings_and_blanks(corpus, passages):
    for document in corpus.documents:
        end = 0
        for passage in [*(p for p in passages if p.document == document.id), None]:
            between = document.text[end : passage.start if passage else None]
            assert [line for line in between.splitlines() if line.strip() and not line.startswith("#")] == []
            end = passage.end if passage else end


def test_no_passage_of_the_data_crosses_a_heading(passages):
    assert [p.id for p in passages if crosses_a_heading(p)] == []


def test_every_passage_of_the_data_is_filed_under_the_heading_above_it(corpus, passages):
    text = {document.id: document.text for document in corpus.documents}
    for passage in passages:
        body = next(line for line in passage.text.splitlines() if line.strip() and not line.startswith("#"))
        above = text[passage.document][: passage.start + passage.text.index(body)]
        assert passage.heading == re.findall(r"^#+ (.+)$", above, flags=re.MULTILINE)[-1].strip()


def test_short_sections_are_not_joined_across_their_headings():
    guide = "# Guide\n\nFirst words.\n\n## Fees\n\nThe fee is small.\n\n## Dates\n\nThe date is near.\n"
    assert [p for p in split(guide, 64) if crosses_a_heading(p)] == []


def test_ids_are_unique_and_say_where_a_passage_starts(passages):
    assert len({p.id for p in passages}) == len(passages)
    assert [p.id for p in passages if p.id != f"{p.document}#{p.start}"] == []


def test_no_passage_is_longer_than_asked(passages):
    tokenizer = Tokenizer.from_file(str(registry.embedder_path(EMBEDDER) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert max(len(tokenizer.encode(p.text, add_special_tokens=False).ids) for p in passages) <= 64


def test_a_change_below_leaves_the_ids_above_alone():
    top = f"# Guide\n\n{long_paragraph('a')}\n\n"
    before, after = (split(f"{top}## End\n\n{long_paragraph(word)}\n") for word in ("b", "c"))
    kept = [p for p in before if p.heading == "Guide"]
    assert kept and after[: len(kept)] == kept


def test_offsets_count_characters_not_bytes():
    text = f"# कर ₹\n\n{long_paragraph('₹')}\n\n{long_paragraph('é')}\n"
    found = split(text)
    assert len(found) > 2
    assert all(p.text == text[p.start : p.end] for p in found)
    assert {p.heading for p in found} == {"कर ₹"}


def test_a_text_without_a_heading_is_filed_under_the_title():
    assert {p.heading for p in split("Only words, and no heading at all.")} == {"Guide"}


@pytest.mark.parametrize("text", ["", "\n\n", "# Guide\n", "# Guide\n\n## Fees\n"])
def test_a_guide_that_says_nothing_gives_no_passage(text):
    assert split(text) == []


@settings(max_examples=25, deadline=None)
@given(st.text(st.sampled_from("ab ₹\n.#*-|`<>0é"), max_size=300))
def test_any_markdown_is_cut_into_exact_ordered_stretches(text):
    found = split(text)
    assert all(p.text == text[p.start : p.end] for p in found)
    assert all(one.end <= other.start for one, other in zip(found, found[1:], strict=False))


def test_every_evidence_of_the_data_has_a_gold_passage(corpus, passages):
    gold = gold_passages(passages, corpus.evidence, corpus.documents)
    assert set(gold) == {item.fact_id for item in corpus.evidence}
    assert [fact_id for fact_id, ids in gold.items() if not ids] == []


def test_most_gold_passages_hold_the_whole_quote(corpus, passages):
    text = {p.id: p.text for p in passages}
    gold = gold_passages(passages, corpus.evidence, corpus.documents)
    whole = [any(item.quote in text[pid] for pid in gold[item.fact_id]) for item in corpus.evidence]
    assert sum(whole) >= 0.9 * len(whole)


# --- gold passages on a guide cut by hand: 0123456789 in pieces 0-4, 4-7, 7-10

TEXT = "0123456789"
GUIDE = Document("d", "D", TEXT)
PIECES = [Passage(f"d#{a}", "d", "D", a, b, TEXT[a:b]) for a, b in ((0, 4), (4, 7), (7, 10))]
OTHER = Passage("e#0", "e", "E", 0, 10, TEXT)


@pytest.mark.parametrize(
    "quote, expected",
    [
        ("12", {"d#0"}),  # inside the first piece
        ("0123", {"d#0"}),  # all of it
        ("1234", {"d#0"}),  # 3 characters in the first, 1 in the second
        ("34567", {"d#4"}),  # 1, 3 and 1
        ("3456", {"d#4"}),  # 1 and 3
        ("23456", {"d#4"}),  # 2 and 3
        ("34", {"d#0", "d#4"}),  # a tie: both
        ("789", {"d#7"}),
    ],
)
def test_a_cut_quote_goes_to_the_piece_with_the_larger_part(quote, expected):
    gold = gold_passages([*PIECES, OTHER], [Evidence("f", "d", quote)], [GUIDE, Document("e", "E", TEXT)])
    assert gold == {"f": expected}


def test_overlapping_pieces_that_hold_the_whole_quote_are_both_gold():
    wide = Passage("d#2", "d", "D", 2, 9, TEXT[2:9])
    assert gold_passages([*PIECES, wide], [Evidence("f", "d", "456")], [GUIDE]) == {"f": {"d#4", "d#2"}}


def test_a_fact_with_evidence_in_two_places_has_gold_in_both():
    evidence = [Evidence("f", "d", "01"), Evidence("f", "d", "89")]
    assert gold_passages(PIECES, evidence, [GUIDE]) == {"f": {"d#0", "d#7"}}


# --- the chunkers that are blind to headings


def cut(corpus, chunker, size=64):
    return split_documents(corpus.documents, embedder=EMBEDDER, passage_tokens=size, chunker=chunker)


def packed(text):
    return "".join(line for line in text.splitlines() if not line.startswith("#")).replace(" ", "")


@pytest.mark.parametrize("chunker", ["sentences", "tokens", "document"])
def test_every_chunker_cuts_exact_stretches_that_do_not_overlap_and_have_ids_of_their_own(corpus, chunker):
    found = cut(corpus, chunker)
    text = {document.id: document.text for document in corpus.documents}
    assert [p.id for p in found if p.text != text[p.document][p.start : p.end]] == []
    assert len({p.id for p in found}) == len(found)
    assert all(one.end <= two.start for one, two in zip(found, found[1:], strict=False) if one.document == two.document)


@pytest.mark.parametrize("chunker", ["sentences", "tokens", "document"])
def test_no_word_of_a_guide_is_lost_between_passages(corpus, chunker):
    document = corpus.documents[0]
    found = [p for p in cut(corpus, chunker) if p.document == document.id]
    left = (
        "".join(
            document.text[: found[0].start] if not n else document.text[found[n - 1].end : p.start]
            for n, p in enumerate(found)
        )
        + document.text[found[-1].end :]
    )
    assert packed(left) == ""


@pytest.mark.parametrize("chunker", ["sentences", "tokens", "document"])
def test_a_chunker_blind_to_headings_files_all_passages_under_the_title(corpus, chunker):
    titles = {document.id: document.title for document in corpus.documents}
    assert all(p.heading == titles[p.document] for p in cut(corpus, chunker))


def test_windows_are_full_but_for_the_last_one():
    # each of these words is one token of the vocabulary
    document = Document("d", "D", " ".join(["tax"] * 70))
    found = split_documents([document], embedder=EMBEDDER, passage_tokens=32, chunker="tokens")
    assert [len(p.text.split()) for p in found] == [32, 32, 6]


def test_sentences_are_kept_whole_where_windows_cut_them():
    sentence = " ".join(["Tax"] * 19) + "."  # 20 tokens; a sentence begins with a capital
    document = Document("d", "D", " ".join([sentence] * 4))
    whole, windows = (
        split_documents([document], embedder=EMBEDDER, passage_tokens=50, chunker=c) for c in ("sentences", "tokens")
    )
    assert [p.text.strip() for p in whole] == [f"{sentence} {sentence}"] * 2
    assert not all(p.text.strip().endswith(".") for p in windows)


def test_a_whole_document_is_one_passage_without_a_size(corpus):
    found = split_documents(corpus.documents, embedder=EMBEDDER, passage_tokens=None, chunker="document")
    assert [(p.document, p.text) for p in found] == [(d.id, d.text.rstrip()) for d in corpus.documents]


@pytest.mark.parametrize("chunker", ["sentences", "tokens", "document"])
def test_every_evidence_has_a_gold_passage_however_it_is_cut(corpus, chunker):
    gold = gold_passages(cut(corpus, chunker), corpus.evidence, corpus.documents)
    assert [item.fact_id for item in corpus.evidence if not gold[item.fact_id]] == []


@pytest.mark.parametrize("chunker", ["sentences", "tokens", "document"])
@pytest.mark.parametrize("text", ["", "\n\n", "# Guide\n"])
def test_no_chunker_makes_a_passage_of_nothing(chunker, text):
    document = Document("d", "D", text)
    assert split_documents([document], embedder=EMBEDDER, passage_tokens=32, chunker=chunker) == []
