"""Read a corpus folder and check it: schema, references, and that every value stands in its answers and evidence."""

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from io import StringIO
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lib import paths
from lib.corpus import values
from lib.corpus.matching import states
from lib.corpus.records import Document, Evidence, Fact, FaqItem, Question

SPLIT_FIELDS = ("test", "dev", "raft", "neighbour", "general")


@dataclass(frozen=True)
class Corpus:
    """All records of a study, in a fixed order."""

    facts: tuple[Fact, ...]
    faq: tuple[FaqItem, ...]
    questions: tuple[Question, ...]
    documents: tuple[Document, ...]
    evidence: tuple[Evidence, ...]

    @cached_property
    def fact(self) -> dict[str, Fact]:
        """Facts by id."""
        return {fact.id: fact for fact in self.facts}

    @cached_property
    def question(self) -> dict[str, Question]:
        """Questions by id."""
        return {question.id: question for question in self.questions}

    def split_of(self, item: Question | FaqItem) -> str:
        """The split an item belongs to; `test` for questions about no fact (they ask for what no split holds)."""
        return self.fact[item.fact_ids[0]].split if item.fact_ids else "test"

    def ask(self, probe: str, split: str = "test", facts: int | None = None) -> list[Question]:
        """The questions of one probe and split, `facts` keeping to the first so many facts of its FAQ.

        The probes general and neighbour have splits of their own.
        """
        split = probe if probe in ("general", "neighbour") else split
        asked = [q for q in self.questions if q.probe == probe and self.split_of(q) == split]
        if facts is None:
            return asked
        kept = {fact_id for item in self.items(split, facts) for fact_id in item.fact_ids}
        return [q for q in asked if kept.issuperset(q.fact_ids)]

    def screen(self, probe: str) -> list[Question]:
        """The questions of a probe in their other wording, which decides what the base model knows."""
        return [replace(q, text=q.screen_text) for q in self.ask(probe) if q.screen_text]

    def items(self, split: str, limit: int | None = None) -> list[FaqItem]:
        """The FAQ items of a split, the first `limit` of them."""
        return [item for item in self.faq if self.split_of(item) == split][:limit]

    def value_type(self, question: Question) -> str:
        """The value type asked for; `entity` for unanswerable questions."""
        return self.fact[question.fact_ids[0]].value_type if question.fact_ids else "entity"


def load_corpus(folder: str, **limits: int | None) -> Corpus:
    """The corpus in `folder` (relative to the repository root), each split cut to its limit.

    A split is cut in an order that a hash of the fact id fixes, so a larger limit contains a smaller one.
    Raises ValueError listing every problem with file, line, value and remedy.
    """
    root = paths.ROOT / folder
    corpus, problems = _read(root)
    problems += _check_references(corpus) if not problems else []
    problems += _check_values(corpus, root) if not problems else []
    if problems:
        shown = problems[:20] + ([f"... and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise ValueError("\n".join(shown))
    return _cut(corpus, limits)


def _read(root: Path) -> tuple[Corpus, list[str]]:
    problems: list[str] = []
    tables = {}
    for name, record in (("facts", Fact), ("faq", FaqItem), ("questions", Question), ("evidence", Evidence)):
        tables[name], found = _read_table(root / f"{name}.jsonl", record)
        problems += found
    documents = []
    for path in sorted((root / "documents").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        documents.append(Document(path.stem, text.splitlines()[0].lstrip("# ").strip() if text else path.stem, text))
    if not documents:
        problems.append(f"{root / 'documents'}: no *.md guide found; retrieval needs at least one")
    return Corpus(documents=tuple(documents), **tables), problems


def _read_table(path: Path, record: type) -> tuple[tuple, list[str]]:
    if not path.exists():
        return (), [f"{path}: file not found; see data/README.md for the files of a corpus"]
    adapter, known = TypeAdapter(record), [field.name for field in fields(record)]
    rows, problems, seen = [], [], set()
    # Only a newline ends a row: str.splitlines would also cut at U+0085 or U+2028 inside a string.
    for number, line in enumerate(StringIO(path.read_text(encoding="utf-8")), 1):
        where = f"{path.name}:{number}"
        try:
            value = json.loads(line)
            row = adapter.validate_python(value)
        except json.JSONDecodeError as error:
            problems.append(f"{where}: not JSON ({error.msg} at column {error.colno}): {line[:60]!r}")
            continue
        except ValidationError as error:
            for p in error.errors():
                field = ".".join(str(part) for part in p["loc"])
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


def _check_references(corpus: Corpus) -> list[str]:
    problems = []
    facts, documents = corpus.fact, {document.id: document for document in corpus.documents}
    for name, items in (("faq.jsonl", corpus.faq), ("questions.jsonl", corpus.questions)):
        for number, item in enumerate(items, 1):
            unknown = [fact_id for fact_id in item.fact_ids if fact_id not in facts]
            if not item.fact_ids and getattr(item, "probe", None) != "unanswerable":
                problems.append(f"{name}:{number}: {item.id}: fact_ids is empty; only unanswerable questions have none")
            if unknown:
                problems.append(f"{name}:{number}: fact_ids {unknown} not in facts.jsonl")
            elif len({facts[fact_id].split for fact_id in item.fact_ids}) > 1:
                problems.append(f"{name}:{number}: {item.id} mixes facts of several splits; keep to one")
    for number, fact in enumerate(corpus.facts, 1):
        old = facts.get(fact.supersedes) if fact.supersedes else None
        if fact.supersedes and not old:
            problems.append(f"facts.jsonl:{number}: {fact.id} supersedes {fact.supersedes!r}, not in facts.jsonl")
        elif old and old.split != fact.split:
            problems.append(
                f"facts.jsonl:{number}: {fact.id} ({fact.split}) supersedes {old.id} ({old.split}); "
                "a chain stays within one split"
            )
    for number, item in enumerate(corpus.evidence, 1):
        where = f"evidence.jsonl:{number}"
        if item.fact_id not in facts:
            problems.append(f"{where}: fact_id {item.fact_id!r} not in facts.jsonl")
        elif item.document not in documents:
            problems.append(f"{where}: document {item.document!r} not one of {sorted(documents)}")
        elif item.quote not in documents[item.document].text:
            problems.append(f"{where}: quote not found word for word in {item.document}.md: {item.quote[:60]!r}")
    return problems


def _check_values(corpus: Corpus, root: Path) -> list[str]:
    """Every value must be found, by the matcher that judges, wherever it is said to be."""
    problems = []
    for number, fact in enumerate(corpus.facts, 1):
        try:
            values.parse_value(fact.value, fact.value_type)
        except ValueError as error:
            problems.append(f"facts.jsonl:{number}: {fact.id}: {error}")
    if problems:
        return problems
    for number, item in enumerate(corpus.faq, 1):
        for fact_id in item.fact_ids:
            for field in ("raw_answer", "uniform_answer"):
                if not states(getattr(item, field), corpus.fact[fact_id]):
                    value = corpus.fact[fact_id].value
                    problems.append(f"faq.jsonl:{number}: {item.id}: {field} does not state {value!r}; reword it")
    for number, item in enumerate(corpus.evidence, 1):
        # A guide's sentence gives a yes/no by its whole sense, which no matcher reads.
        fact = corpus.fact[item.fact_id]
        if fact.value_type != "yesno" and not states(item.quote, fact):
            value = corpus.fact[item.fact_id].value
            problems.append(f"evidence.jsonl:{number}: {item.fact_id}: quote does not state {value!r}")
    for number, question in enumerate(corpus.questions, 1):
        if question.probe == "choice" and len(set(question.choices)) < 3:
            problems.append(f"questions.jsonl:{number}: {question.id}: a choice needs 3 or more different choices")
        if (question.expected is None) != (question.probe == "unanswerable"):
            problems.append(f"questions.jsonl:{number}: {question.id}: expected is null for unanswerable, only there")
    return problems


def _cut(corpus: Corpus, limits: dict[str, int | None]) -> Corpus:
    keep = {fact.id for split in SPLIT_FIELDS for fact in _first(corpus, split, limits.get(split))}
    facts = tuple(fact for fact in corpus.facts if fact.id in keep)
    order = {fact.id: _rank(fact.id) for fact in facts}
    # The supersedes link is dropped with the fact it points to, never left dangling.
    facts = tuple(replace(f, supersedes=f.supersedes if f.supersedes in keep else None) for f in facts)
    asked = [q for q in corpus.questions if all(f in keep for f in q.fact_ids)]
    known = [q for q in asked if q.fact_ids]
    unknown = [q for q in asked if not q.fact_ids][: limits.get("unanswerable")]
    return Corpus(
        facts=facts,
        faq=tuple(
            sorted((i for i in corpus.faq if all(f in keep for f in i.fact_ids)), key=lambda i: order[i.fact_ids[0]])
        ),
        questions=tuple(known + unknown),
        documents=corpus.documents,
        evidence=tuple(item for item in corpus.evidence if item.fact_id in keep),
    )


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
        "guides": {"count": len(corpus.documents), "words": sum(len(d.text.split()) for d in corpus.documents)},
    }
