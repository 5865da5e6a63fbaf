"""The guides as a retrieval setting cuts them, a page each: every passage has a place, the words that state a fact are marked."""

import html
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lib.corpus.load import Corpus
from lib.corpus.records import Document, Evidence, Fact, Passage
from lib.retrieval.chunking import split_documents
from lib.studies import Retrieval, Study
from lib.workbook.markup import anchor, link, markup_table

FOLDER = "sources"


class Span(NamedTuple):
    """Where in its document a fact is stated: text[start:end]."""

    start: int
    end: int
    fact_id: str


class Cut(NamedTuple):
    """The passages of all guides by id, and in words how they were cut."""

    how: str
    passages: dict[str, Passage]


def cut_name(study: Study, retrieval: str | None) -> str:
    """What the pages of a retrieval setting are called, headings_64 for one; settings that cut alike share them.

    retrieval: as in the study's `retrievals`; None stands for its `retrieval` section.
    """
    settings = study.retrieval_named(retrieval)
    parts = [settings.chunker, settings.passage_tokens, settings.embedder]
    return "_".join(str(part).replace("/", "_") for part in parts if part is not None)


def cuts_of(study: Study, corpus: Corpus, retrievals: Iterable[str | None]) -> dict[str, Cut]:
    """By `cut_name`, the guides as each of the settings cuts them, exactly as they are indexed."""
    cuts = {}
    for retrieval in retrievals:
        settings, name = study.retrieval_named(retrieval), cut_name(study, retrieval)
        if name not in cuts:
            passages = split_documents(
                corpus.documents,
                embedder=settings.embedder or study.embedding,
                passage_tokens=settings.passage_tokens,
                chunker=settings.chunker,
            )
            cuts[name] = Cut(_how(settings), {passage.id: passage for passage in passages})
    return cuts


def passage_target(cut: str, passage: Passage) -> str:
    """The place of a passage, as a link from the report's own folder."""
    return f"{FOLDER}/{anchor(cut)}/{anchor(passage.document)}.html#{anchor('p', passage.start)}"


def span_target(cut: str, evidence: Evidence) -> str:
    """The place of the words that state a fact, as a link from the report's own folder."""
    return f"{FOLDER}/{anchor(cut)}/{anchor(evidence.document)}.html#{anchor('fact', evidence.fact_id)}"


def guide_pages(corpus: Corpus, cuts: Mapping[str, Cut]) -> dict[str, tuple[str, str]]:
    """Title and body of every guide's page under every cut, and of the list of them, by path in the report's folder.

    Raises ValueError when evidence is not found in its guide: a highlight is word for word or it is an error.
    """
    spans = evidence_spans(corpus.documents, corpus.evidence)
    pages, links = {}, defaultdict(list)
    for name, cut in cuts.items():
        within = defaultdict(list)
        for passage in cut.passages.values():
            within[passage.document].append(passage)
        for document in corpus.documents:
            body = guide_body(document, within[document.id], spans[document.id], corpus.fact, cut.how)
            pages[f"{FOLDER}/{name}/{document.id}.html"] = (document.title, body)
            target = f"{FOLDER}/{anchor(name)}/{anchor(document.id)}.html"
            links[document.id].append(link(target, str(len(within[document.id]))))
    rows = [
        [
            html.escape(document.title),
            f"{len(document.text.split()):,}",
            str(len(spans[document.id])),
            *links[document.id],
        ]
        for document in corpus.documents
    ]
    table = markup_table(["guide", "words", "facts", *(f"passages: {cut.how}" for cut in cuts.values())], rows)
    intro = (
        f"<nav>{link('index.html', 'all reports')} · {link('answers.html', 'answers')}</nav>"
        "<h1>The guides, and where they state which fact</h1><p>What models were shown, word for word, as it was cut for "
        "the searches of this study. On each page, behind the number of its passages, the words that state a fact of the study "
        "are highlighted.</p>"
    )
    return pages | {"sources.html": ("Sources", intro + table)}


def evidence_spans(documents: Sequence[Document], evidence: Sequence[Evidence]) -> dict[str, list[Span]]:
    """For each document's id, where it states its facts, from its beginning to its end.

    Raises ValueError naming the fact, the document and the words that are not there.
    """
    text = {document.id: document.text for document in documents}
    spans: dict[str, list[Span]] = {name: [] for name in text}
    for item in evidence:
        start = text.get(item.document, "").find(item.quote)
        if start < 0:
            raise ValueError(
                f"evidence.jsonl: {item.fact_id}: {item.quote[:60]!r} is not in {item.document}.md word for word; "
                "`make check-data` lists all such quotes"
            )
        spans[item.document].append(Span(start, start + len(item.quote), item.fact_id))
    return {name: sorted(found) for name, found in spans.items()}


def guide_body(
    document: Document, passages: Sequence[Passage], spans: Sequence[Span], facts: Mapping[str, Fact], how: str
) -> str:
    """A guide's whole text with a section for each passage and a `mark` for each span, after a table of its facts.

    A span that a passage's edge cuts is marked on both sides; its first mark has the id. Text between passages, which no
    search finds (a heading alone), is shown faint.
    """
    nav = " · ".join(
        link(f"../../{name}.html", label)
        for name, label in (("index", "all reports"), ("answers", "answers"), ("sources", "all sources"))
    )
    stated = [
        [
            link(f"#{anchor('fact', span.fact_id)}", facts[span.fact_id].statement),
            html.escape(facts[span.fact_id].value),
        ]
        for span in spans
    ]
    return (
        f"<nav>{nav}</nav><h1>{html.escape(document.title)}</h1>"
        f"<p>Passages: {html.escape(how)}. Highlighted: the words that state a fact. Faint: what no search finds.</p>"
        f"<details><summary>facts stated: {len(spans)}</summary>{markup_table(['fact', 'value'], stated)}"
        f'</details><div class="guide">{"".join(_pieces(document, passages, spans))}</div>'
    )


def _pieces(document: Document, passages: Sequence[Passage], spans: Sequence[Span]) -> Iterator[str]:
    """The document from beginning to end: passages, and what lies between them."""
    at = 0
    for passage in sorted(passages, key=lambda passage: passage.start):
        yield from _between(document.text, at, passage.start, spans)
        place = anchor("p", passage.start)
        yield (
            f'<section class="passage" id="{place}"><a class="place" href="#{place}">{html.escape(passage.id)}</a>'
            f"{_marked(document.text, passage.start, passage.end, spans)}</section>"
        )
        at = passage.end
    yield from _between(document.text, at, len(document.text), spans)


def _between(text: str, start: int, end: int, spans: Sequence[Span]) -> Iterator[str]:
    """What lies between two passages, trimmed unless evidence reaches into it; nothing for mere white space."""
    if not any(span.start < end and start < span.end for span in spans):
        shown = text[start:end]
        start, end = start + len(shown) - len(shown.lstrip()), end - len(shown) + len(shown.rstrip())
    if start < end:
        yield f'<p class="between">{_marked(text, start, end, spans)}</p>'


def _marked(text: str, start: int, end: int, spans: Sequence[Span]) -> str:
    """text[start:end], escaped, cut at the edges of spans so that marks nest even where spans overlap."""
    edges = {edge for span in spans for edge in span[:2] if start < edge < end}
    cuts = [start, *sorted(edges), end]
    pieces = []
    for left, right in zip(cuts, cuts[1:], strict=False):
        shown = html.escape(text[left:right])
        for span in reversed([span for span in spans if span.start <= left and right <= span.end]):
            name = anchor("fact", span.fact_id)
            place = f' id="{name}"' if span.start == left else ""
            shown = f'<mark{place} data-fact="{name}">{shown}</mark>'
        pieces.append(shown)
    return "".join(pieces)


def _how(settings: Retrieval) -> str:
    """How a setting cuts, in words."""
    if settings.chunker == "document":
        return "a whole guide is one passage"
    ways = {"headings": "cut at headings", "sentences": "whole sentences", "tokens": "windows"}
    return f"{ways[settings.chunker]}, at most {settings.passage_tokens} tokens"
