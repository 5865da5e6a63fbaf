"""Cut guides into passages: along headings, by sentences, by a fixed number of tokens, or not at all."""

import re
from collections.abc import Iterable, Iterator, Sequence

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from lib.corpus.records import Document, Evidence, Passage
from lib.models import registry


def split_documents(
    documents: Sequence[Document], *, embedder: str, passage_tokens: int | None, chunker: str = "headings"
) -> list[Passage]:
    """Passages of at most `passage_tokens` tokens of the embedder's vocabulary, in document order, without overlap.

    chunker: headings (a passage never crosses one), sentences (whole ones while they fit), tokens (windows of just so many,
    cutting words where it must), or document (the whole guide; passage_tokens is not used). Only the first knows headings:
    its passages stand under the nearest one, all others under the document's title. A passage's id is <document>#<start>, so
    it is stable while the text before it is.
    """
    if chunker == "document":
        return [passage for document in documents for passage in _split(document, [(0, document.text.rstrip())])]
    tokenizer = Tokenizer.from_file(str(registry.embedder_path(embedder) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if chunker == "headings":
        markdown = MarkdownSplitter.from_huggingface_tokenizer(tokenizer, passage_tokens)
        stretches = [_within_headings(markdown.chunk_indices(document.text)) for document in documents]
    elif chunker == "sentences":
        plain = TextSplitter.from_huggingface_tokenizer(tokenizer, passage_tokens)
        stretches = [plain.chunk_indices(document.text) for document in documents]
    else:
        stretches = [_windows(tokenizer, document.text, passage_tokens) for document in documents]
    under_headings = chunker == "headings"
    return [
        passage
        for document, pieces in zip(documents, stretches, strict=True)
        for passage in _split(document, pieces, under_headings=under_headings)
    ]


def _split(
    document: Document, stretches: Iterable[tuple[int, str]], *, under_headings: bool = False
) -> Iterator[Passage]:
    for start, text in stretches:
        if all(line.startswith("#") for line in text.splitlines() if line.strip()):
            continue  # a heading alone says nothing; it is kept as the heading of what follows
        end = start + len(text)
        heading = _heading_at(document, end) if under_headings else document.title
        yield Passage(f"{document.id}#{start}", document.id, heading, start, end, text)


def _windows(tokenizer: Tokenizer, text: str, size: int) -> Iterator[tuple[int, str]]:
    """The text in windows of `size` tokens, the last one shorter."""
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    for window in (offsets[first : first + size] for first in range(0, len(offsets), size)):
        start, end = window[0][0], window[-1][1]
        yield start, text[start:end]


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
