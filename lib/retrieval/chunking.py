"""Cut guides into passages along their own structure: headings first, then paragraphs, then sentences."""

import re
from collections.abc import Iterable, Iterator, Sequence

from semantic_text_splitter import MarkdownSplitter
from tokenizers import Tokenizer

from lib.corpus.records import Document, Evidence, Passage
from lib.models import registry


def split_documents(documents: Sequence[Document], *, embedder: str, passage_tokens: int) -> list[Passage]:
    """Passages of at most `passage_tokens` tokens of the embedder's vocabulary, in document order.

    A passage never crosses a heading. Its id is <document>#<start>, so it is stable while the text before it is.
    """
    tokenizer = Tokenizer.from_file(str(registry.embedder_path(embedder) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    splitter = MarkdownSplitter.from_huggingface_tokenizer(tokenizer, passage_tokens)
    return [passage for document in documents for passage in _split(document, splitter)]


def _split(document: Document, splitter: MarkdownSplitter) -> list[Passage]:
    passages = []
    for start, text in _within_headings(splitter.chunk_indices(document.text)):
        if all(line.startswith("#") for line in text.splitlines() if line.strip()):
            continue  # a heading alone says nothing; it is kept as the heading of what follows
        end = start + len(text)
        heading = _heading_at(document, end)
        passages.append(Passage(f"{document.id}#{start}", document.id, heading, start, end, text))
    return passages


def _within_headings(chunks: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The chunks cut before every heading inside them: the splitter joins short sections while they fit."""
    for start, text in chunks:
        cuts = [0, *(m.end() for m in re.finditer(r"\n+(?=#+ )", text)), len(text)]
        for left, right in zip(cuts, cuts[1:], strict=False):
            piece = text[left:right].rstrip()
            if piece:
                yield start + left, piece


def _heading_at(document: Document, end: int) -> str:
    above = re.findall(r"^#+ (.+)$", document.text[:end], flags=re.MULTILINE)
    return above[-1].strip() if above else document.title


def gold_passages(passages: Sequence[Passage], evidence: Sequence[Evidence], documents: Sequence[Document]) -> dict:
    """For each fact id, the ids of the passages that hold its whole evidence, or else overlap it most.

    A quote that a boundary cuts belongs to the passage with the larger part.
    """
    text = {document.id: document.text for document in documents}
    gold: dict[str, set[str]] = {}
    for item in evidence:
        start = text[item.document].index(item.quote)
        end = start + len(item.quote)
        overlap = {
            p.id: min(p.end, end) - max(p.start, start)
            for p in passages
            if p.document == item.document and min(p.end, end) > max(p.start, start)
        }
        best = max(overlap.values(), default=0)
        gold.setdefault(item.fact_id, set()).update(pid for pid, size in overlap.items() if size == best)
    return gold
