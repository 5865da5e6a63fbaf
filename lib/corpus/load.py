"""Read a corpus folder: its records in a fixed order, checked, each split cut to the size that a study asks for."""

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from io import StringIO
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lib import paths
from lib.corpus.checks import problems_of
from lib.corpus.records import (
    CURRENT,
    UNTRAINED,
    Document,
    Evidence,
    Fact,
    FaqItem,
    Paraphrase,
    Prose,
    Question,
    Replacement,
)

SPLITS = ("test", "dev", "raft", "neighbour", "easy", "general")
TABLES = {
    "facts": Fact,
    "faq": FaqItem,
    "questions": Question,
    "evidence": Evidence,
    "paraphrases": Paraphrase,
    "replacements": Replacement,
}
# A shorter paragraph of general text is mostly its own beginning, which no model can foresee.
FEWEST_WORDS = 20
# What a corpus may do without; every other file is needed.
OPTIONAL = ("paraphrases", "replacements")


@dataclass(frozen=True)
class Corpus:
    """All records of a study, in a fixed order."""

    facts: tuple[Fact, ...]
    faq: tuple[FaqItem, ...]
    questions: tuple[Question, ...]
    documents: tuple[Document, ...]
    evidence: tuple[Evidence, ...]
    paraphrases: tuple[Paraphrase, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    older: tuple[Document, ...] = ()  # the pages of the replaced rules, before and after their replacement
    newer: tuple[Document, ...] = ()

    @cached_property
    def fact(self) -> dict[str, Fact]:
        """Facts by id."""
        return {fact.id: fact for fact in self.facts}

    @cached_property
    def question(self) -> dict[str, Question]:
        """Questions by id."""
        return {question.id: question for question in (*self.questions, *self.current)}

    @cached_property
    def current(self) -> tuple[Question, ...]:
        """The questions about replaced rules, without a date; the value after the replacement is expected."""
        return tuple(
            Question(name, (rule.after,), probe, text, self.fact[rule.after].value)
            for rule in self.replacements
            for name, probe, text in zip(
                (rule.id, f"{rule.id}/trained"), CURRENT, (rule.question, rule.faq_question), strict=True
            )
        )

    def split_of(self, item: Question | FaqItem) -> str:
        """The split an item belongs to; `test` for questions about no fact (they ask for what no split holds)."""
        return self.fact[item.fact_ids[0]].split if item.fact_ids else "test"

    def ask(self, probe: str, split: str = "test", facts: int | None = None) -> list[Question]:
        """The questions of one probe and split, `facts` keeping to the first so many facts of its FAQ.

        The probes of untrained facts (neighbour, easy, general) have splits of their own, in which no FAQ but a hash says
        which facts come first; those of replaced rules ask about the first `facts` rules, whatever the split.
        """
        if probe in CURRENT:
            return [q for q in self.current if q.probe == probe][:facts]
        split = probe if probe in UNTRAINED else split
        asked = [q for q in self.questions if q.probe == probe and self.split_of(q) == split]
        if facts is None:
            return asked
        if probe in UNTRAINED:
            return sorted(asked, key=lambda question: _rank(question.fact_ids[0]))[:facts]
        kept = {fact_id for item in self.items(split, facts) for fact_id in item.fact_ids}
        return [q for q in asked if kept.issuperset(q.fact_ids)]

    def screen(self, probe: str) -> list[Question]:
        """The questions of a probe in their other wording, which decides what the base model knows."""
        return [replace(q, text=q.screen_text) for q in self.ask(probe) if q.screen_text]

    def items(self, split: str, limit: int | None = None) -> list[FaqItem]:
        """The FAQ items of a split, the first `limit` of them."""
        return [item for item in self.faq if self.split_of(item) == split][:limit]

    def value_type(self, question: Question) -> str:
        """The value type asked for: its own if it names one, else its (first) fact's; `entity` when it has no answer."""
        if question.value_type:
            return question.value_type
        return self.fact[question.fact_ids[0]].value_type if question.fact_ids else "entity"


def load_corpus(folder: str, **limits: int | None) -> Corpus:
    """The corpus in `folder` (relative to the repository root), each split cut to its limit.

    A split is cut in an order that a hash of the fact id fixes, so a larger limit contains a smaller one. Two limits are
    not of a split: `unanswerable` questions, and `wordings`, how many paraphrase questions a fact keeps; the next one, asked
    by no arm, becomes the first one's `screen_text`.
    Raises ValueError listing every problem with file, line, value and remedy.
    """
    root = paths.ROOT / folder
    corpus, problems = _read(root)
    problems = problems or problems_of(corpus)
    if problems:
        shown = problems[:20] + ([f"... and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise ValueError("\n".join(shown))
    return _cut(corpus, limits)


def load_prose(folder: str = "data/general") -> tuple[Prose, ...]:
    """The held-out paragraphs of general text in `folder` (relative to the repository root), in the file's order.

    Raises ValueError listing every problem with file, line, value and remedy: rows that are no such record, ids that occur
    twice, paragraphs of several lines or of fewer than 20 words, and fewer than two paragraphs.
    """
    path = paths.ROOT / folder / "text.jsonl"
    rows, problems = _read_table(path, Prose)
    for row in rows:
        words = len(row.text.split())
        if words < FEWEST_WORDS:
            problems.append(f"{path.name}: {row.id}: {words} words; a paragraph has {FEWEST_WORDS} or more")
        if "\n" in row.text:
            problems.append(f"{path.name}: {row.id}: has a line break; a paragraph is one line, split it into rows")
    if not problems and len(rows) < 2:
        problems.append(f"{path.name}: {len(rows)} paragraphs; an interval over paragraphs needs 2 or more")
    if problems:
        raise ValueError("\n".join(problems))
    return rows


def _read(root: Path) -> tuple[Corpus, list[str]]:
    problems: list[str] = []
    tables = {}
    for name, record in TABLES.items():
        tables[name], found = _read_table(root / f"{name}.jsonl", record)
        problems += found
    for name, part in (("documents", "documents"), ("older", "vintages/before"), ("newer", "vintages/after")):
        tables[name], found = _read_documents(root / part)
        problems += found
    if not tables["documents"]:
        problems.append(f"{root / 'documents'}: no *.md guide found; retrieval needs at least one")
    return Corpus(**tables), problems


def _read_documents(folder: Path) -> tuple[tuple[Document, ...], list[str]]:
    documents, problems = [], []
    for path in sorted(path for path in folder.glob("*.md") if path.is_file()):
        try:
            text = paths.read_text(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        title = text.splitlines()[0].lstrip("# ").strip() if text else path.stem
        documents.append(Document(path.stem, title, text))
    return tuple(documents), problems


def _read_table(path: Path, record: type) -> tuple[tuple, list[str]]:
    if not path.exists() and path.stem in OPTIONAL:
        return (), []
    if not path.exists():
        return (), [f"{path}: file not found; see data/README.md for the files of a corpus"]
    try:
        text = paths.read_text(path)
    except ValueError as error:
        return (), [str(error)]
    if not text.strip() and path.stem not in OPTIONAL:
        return (), [f"{path}: empty; see data/README.md for its fields"]
    adapter, known = TypeAdapter(record), [field.name for field in fields(record)]
    rows, problems, seen = [], [], set()
    # Only a newline ends a row: str.splitlines would also cut at U+0085 or U+2028 inside a string.
    for number, line in enumerate(StringIO(text.rstrip()), 1):
        where = f"{path.name}:{number}"
        if line.lstrip().startswith("["):
            problems.append(f"{where}: a JSON array; write one JSON object a line, without brackets around them")
            break
        try:
            value = json.loads(line)
            row = adapter.validate_python(value)
        except json.JSONDecodeError as error:
            problems.append(f"{where}: not JSON ({error.msg} at column {error.colno}): {line[:60]!r}")
            continue
        except ValidationError as error:
            for p in error.errors():
                field = ".".join(str(part) for part in p["loc"]) or "the row"
                problems.append(f"{where}: {field}: {p['msg']}; got {str(p['input'])[:60]!r}")
            continue
        # A misspelt optional field would otherwise be read as absent.
        unknown = [key for key in value if key not in known]
        problems += [f"{where}: unknown field {key!r}; the fields are {', '.join(known)}" for key in unknown]
        identity = getattr(row, "id", None)
        if identity is not None and identity in seen:
            problems.append(f"{where}: id {identity!r} occurs twice; ids are unique within a file")
        seen.add(identity)
        rows.append(row)
    return tuple(rows), problems


def _cut(corpus: Corpus, limits: dict[str, int | None]) -> Corpus:
    keep = {fact.id for split in SPLITS for fact in _first(corpus, split, limits.get(split))}
    order = {fact_id: _rank(fact_id) for fact_id in keep}
    items = [item for item in corpus.faq if keep.issuperset(item.fact_ids)]
    asked = [q for q in corpus.questions if q.fact_ids and keep.issuperset(q.fact_ids)]
    unanswerable = [q for q in corpus.questions if not q.fact_ids]
    known = {item.id for item in items}
    return replace(
        corpus,
        # The supersedes link is dropped with the fact it points to, never left dangling.
        facts=tuple(
            replace(f, supersedes=f.supersedes if f.supersedes in keep else None) for f in corpus.facts if f.id in keep
        ),
        faq=tuple(sorted(items, key=lambda item: order[item.fact_ids[0]])),
        questions=tuple(_first_wordings(asked, limits.get("wordings")) + unanswerable[: limits.get("unanswerable")]),
        evidence=tuple(item for item in corpus.evidence if item.fact_id in keep),
        paraphrases=tuple(item for item in corpus.paraphrases if item.faq_id in known),
        replacements=tuple(
            sorted(
                (r for r in corpus.replacements if keep.issuperset((r.before, r.after))), key=lambda r: order[r.after]
            )
        ),
    )


def _first_wordings(questions: list[Question], limit: int | None) -> list[Question]:
    """The questions, of each fact's paraphrases only the first `limit`; the first of them is screened by the next one."""
    if limit is None:
        return questions
    wordings: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        if question.probe == "paraphrase":
            wordings.setdefault(question.fact_ids, []).append(question)
    kept = {question.id: question for asked in wordings.values() for question in asked[:limit]}
    # A wording that is never asked is free to tell what the base model knows of the fact.
    kept |= {
        asked[0].id: replace(asked[0], screen_text=asked[limit].text) for asked in wordings.values() if asked[limit:]
    }
    return [kept.get(q.id, q) for q in questions if q.probe != "paraphrase" or q.id in kept]


def _rank(fact_id: str) -> str:
    return sha256(fact_id.encode()).hexdigest()


def _first(corpus: Corpus, split: str, limit: int | None) -> list[Fact]:
    facts = sorted((fact for fact in corpus.facts if fact.split == split), key=lambda fact: _rank(fact.id))
    return facts[:limit]


def describe(corpus: Corpus) -> dict[str, dict[str, int]]:
    """Counts by split, value type, probe and FAQ style, for the datasheet and notebook 01."""
    return {
        "facts by split": dict(Counter(fact.split for fact in corpus.facts)),
        "facts by value type": dict(Counter(fact.value_type for fact in corpus.facts)),
        "questions by probe": dict(Counter(question.probe for question in corpus.questions)),
        "FAQ items by style": dict(Counter(item.raw_style for item in corpus.faq)),
        "training wordings": {"FAQ items": len(corpus.faq), "paraphrases": len(corpus.paraphrases)},
        "guides": {"count": len(corpus.documents), "words": sum(len(d.text.split()) for d in corpus.documents)},
        "replaced rules": {"count": len(corpus.replacements), "pages before and after": len(corpus.older)},
    }
