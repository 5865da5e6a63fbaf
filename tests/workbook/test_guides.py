"""A guide's page shows the guide word for word: each passage in its place, and marked exactly what states a fact."""

from collections import defaultdict
from html.parser import HTMLParser

import pytest

from lib.corpus.load import Corpus, load_corpus
from lib.corpus.records import Document, Evidence, Fact, Passage
from lib.study_file import load_study
from lib.workbook.guides import Cut, cut_name, cuts_of, evidence_spans, guide_body, guide_pages
from lib.workbook.markup import anchor
from tests.parsed_page import HOSTILE, Page, assert_inert

TEXT = "# Fees\n\n## Late filing\n\nThe late fee is Rs 5,000, due within 30 days. It is Rs 1,000 for small incomes.\n"


class Guide(HTMLParser):
    """The text of every mark by fact and of every passage by id, and the guide's own words from beginning to end."""

    def __init__(self, markup: str):
        super().__init__()
        self.open: list[tuple[str, dict]] = []
        self.marked, self.passage, self.first = defaultdict(str), defaultdict(str), {}
        self.said = ""
        self.feed(markup[markup.index('<div class="guide">') :])

    def handle_starttag(self, tag, attrs):
        self.open.append((tag, dict(attrs)))
        if tag == "mark" and "id" in self.open[-1][1]:
            self.first[self.open[-1][1]["id"]] = ""

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, "every element is closed where it was opened"

    def handle_data(self, data):
        if any(attributes.get("class") == "place" for _, attributes in self.open):
            return
        self.said += data
        for tag, attributes in self.open:
            if tag == "mark":
                self.marked[attributes["data-fact"]] += data
            if tag == "section":
                self.passage[attributes["id"]] += data


def fact(name, value="5000 INR"):
    return Fact(name, "fees", "s", f"The fee of {name}.", value, "amount", (), "AY 2025-26", None, "test", "normal", ())


def passages(*ranges, document="fees"):
    return [Passage(f"{document}#{a}", document, "Late filing", a, b, TEXT[a:b]) for a, b in ranges]


def body(quotes, pieces=((8, 60), (60, 104)), document=None, **facts):
    document = document or Document("fees", "Fees", TEXT)
    evidence = [Evidence(name, "fees", quote) for name, quote in quotes.items()]
    known = {name: fact(name) for name in quotes} | facts
    spans = evidence_spans([document], evidence)["fees"]
    return guide_body(document, passages(*pieces), spans, known, "cut by hand")


def test_what_is_marked_is_the_evidence_word_for_word():
    guide = Guide(body({"fee": "The late fee is Rs 5,000", "small": "Rs 1,000 for small incomes"}))
    assert dict(guide.marked) == {"fact-fee": "The late fee is Rs 5,000", "fact-small": "Rs 1,000 for small incomes"}


@pytest.mark.parametrize(
    "quotes",
    [
        {"a": "The late fee is Rs 5,000, due within 30 days", "b": "within 30 days"},
        {"a": "late fee is Rs 5,000", "b": "Rs 5,000, due within"},
        {"a": "The late fee", "b": "The late fee"},
        {"a": "The late fee is", "b": "late fee", "c": "fee is Rs 5,000, due within 30 days. It is"},
    ],
    ids=["one inside another", "overlapping", "the same words", "three, across an edge"],
)
@pytest.mark.parametrize("pieces", [((8, 60), (60, 105)), ((24, 48), (48, 49), (50, 105)), ()], ids=str)
def test_spans_that_share_words_or_cross_an_edge_are_marked_whole(quotes, pieces):
    guide = Guide(body(quotes, pieces))
    assert dict(guide.marked) == {f"fact-{name}": quote for name, quote in quotes.items()}
    assert set(guide.first) == set(guide.marked), "each has one place to link to"


def test_an_id_is_given_once_and_every_link_within_the_page_leads_to_one():
    page = Page(body({"a": "late fee is Rs 5,000", "b": "fee"}, ((8, 40), (40, 105))))
    assert len(page.ids()) == len(set(page.ids()))
    inner = [target[1:] for target in page.links() if target.startswith("#")]
    assert inner and set(inner) <= set(page.ids())
    assert {"p-8", "p-40"} <= set(page.ids())


def test_a_passage_is_where_its_id_says_and_the_whole_guide_is_there_in_order():
    guide = Guide(body({"fee": "The late fee"}, ((8, 60), (60, 104))))
    assert dict(guide.passage) == {"p-8": TEXT[8:60], "p-60": TEXT[60:104]}
    assert "".join(guide.said.split()) == "".join(TEXT.split())


def test_what_no_search_finds_is_shown_apart_and_white_space_is_not():
    page = body({"fee": "The late fee"}, ((24, 69), (70, len(TEXT) - 1)))
    assert page.count('class="between"') == 1
    assert '<p class="between"># Fees\n\n## Late filing</p>' in page


@pytest.mark.parametrize(
    ("document", "quote"), [("fees", "The late fee is Rs 6,000"), ("fees", "the Late fee"), ("tolls", "The late fee")]
)
def test_evidence_that_is_not_in_its_guide_is_an_error_that_names_it(document, quote):
    with pytest.raises(
        ValueError, match=rf"evidence\.jsonl: late-fee: '{quote}' is not in {document}\.md .*check-data"
    ):
        evidence_spans([Document("fees", "Fees", TEXT)], [Evidence("late-fee", document, quote)])


def test_a_guide_and_its_facts_are_text_whatever_they_say():
    hostile = Document("fees", HOSTILE, f"{TEXT[:30]}{HOSTILE}{TEXT[30:]}")
    name = '"><i>x y#'
    made = body({name: f"fee{HOSTILE}"[:3]}, (), hostile, **{name: fact(name, HOSTILE)})
    assert_inert(made)
    assert HOSTILE in Guide(made).said
    assert f"fact-{anchor(name)}" in Page(made).ids() and " " not in anchor(name)


@pytest.fixture(scope="module")
def study():
    return load_study("itr")


@pytest.fixture(scope="module")
def corpus(study):
    return load_corpus(study.corpus.folder, **study.corpus.limits)


@pytest.mark.parametrize("retrieval", [None, "tokens_32_bm25", "sentences_64_bm25", "document_bm25"])
def test_in_the_shipped_guides_every_fact_is_marked_word_for_word_and_every_passage_has_a_place(
    study, corpus, retrieval
):
    cuts = cuts_of(study, corpus, [retrieval])
    pages = guide_pages(corpus, cuts)
    ((name, cut),) = cuts.items()
    shown = {key: Guide(page) for key, (_, page) in pages.items() if key != "sources.html"}
    assert len(shown) == len(corpus.documents)
    for item in corpus.evidence:
        place = shown[f"sources/{name}/{item.document}.html"]
        assert place.marked[anchor("fact", item.fact_id)] == item.quote
        assert anchor("fact", item.fact_id) in place.first
    for passage in cut.passages.values():
        place = shown[f"sources/{name}/{passage.document}.html"]
        assert place.passage[anchor("p", passage.start)] == passage.text
    assert max(len(page.encode()) for _, page in pages.values()) < 1_000_000


def test_settings_that_cut_alike_share_pages_and_others_do_not(study, corpus):
    names = [None, "headings_64_bm25", "headings_64_rerank", "tokens_64_dense", "document_bm25"]
    assert [cut_name(study, name) for name in names] == [*["headings_64"] * 3, "tokens_64", "document"]
    assert list(cuts_of(study, corpus, names)) == ["headings_64", "tokens_64", "document"]


def test_the_list_of_guides_links_every_page_and_counts_by_hand():
    documents = (Document("fees", "Fees & tolls", TEXT), Document("x y", "Empty", "nothing here"))
    made = Corpus((fact("fee"),), (), (), documents, (Evidence("fee", "fees", "The late fee"),))
    cuts = {"c_1": Cut("one way", {p.id: p for p in passages((8, 60), (60, 90))}), "c_2": Cut("another", {})}
    pages = guide_pages(made, cuts)
    listed = Page(pages["sources.html"][1])
    assert set(pages) == {"sources.html", *(f"sources/c_{n}/{name}.html" for n in (1, 2) for name in ("fees", "x y"))}
    assert listed.links()[2:] == [f"sources/c_{n}/{name}.html" for name in ("fees", "x%20y") for n in (1, 2)]
    assert listed.inside("td") == "Fees & tolls 22 1 2 0 Empty 2 0 0 0"
