"""What must hold of a corpus before anything is spent on it, each problem named by file, line, value and remedy."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lib.corpus import values
from lib.corpus.matching import states
from lib.corpus.records import CURRENT, UNTRAINED, Document, Fact, FaqItem, Paraphrase, Question, Replacement

if TYPE_CHECKING:
    from lib.corpus.load import Corpus

BLANK = "____"
# Probes whose wording must not give the value away.
MUST_NOT_TELL = ("paraphrase", "cloze", "two_fact", "neighbour")
# The splits whose facts are asked and taught with passages, of which some must be gold.
SHOWN = ("test", "dev", "raft")


def problems_of(corpus: "Corpus") -> list[str]:
    """Every problem of a corpus that its schema cannot tell; empty when there is none.

    References are checked first, then that every value can be read; only then is every value looked for, by the matcher
    that judges, wherever it is said to be, and wherever it must not be.
    """
    return list(_references(corpus)) or list(_unreadable(corpus)) or list(_misplaced_values(corpus))


def _references(corpus: "Corpus") -> Iterator[str]:
    facts = corpus.fact
    for name, items in (("faq.jsonl", corpus.faq), ("questions.jsonl", corpus.questions)):
        for number, item in enumerate(items, 1):
            unknown = [fact_id for fact_id in item.fact_ids if fact_id not in facts]
            if not item.fact_ids and getattr(item, "probe", None) != "unanswerable":
                yield f"{name}:{number}: {item.id}: fact_ids is empty; only unanswerable questions have none"
            if unknown:
                yield f"{name}:{number}: fact_ids {unknown} not in facts.jsonl"
            elif len({facts[fact_id].split for fact_id in item.fact_ids}) > 1:
                yield f"{name}:{number}: {item.id} mixes facts of several splits; keep to one"
    yield from _never_asked(corpus)
    told = {item.fact_id for item in corpus.evidence}
    used = {fact_id for item in (*corpus.faq, *corpus.questions) for fact_id in item.fact_ids}
    for number, fact in enumerate(corpus.facts, 1):
        if fact.split in SHOWN and fact.id in used - told:
            yield (
                f"facts.jsonl:{number}: {fact.id} ({fact.split}) has no evidence; "
                "quote the sentence of a guide that states it in evidence.jsonl"
            )
        old = facts.get(fact.supersedes) if fact.supersedes else None
        if fact.supersedes and not old:
            yield f"facts.jsonl:{number}: {fact.id} supersedes {fact.supersedes!r}, not in facts.jsonl"
        elif old and old.split != fact.split:
            yield (
                f"facts.jsonl:{number}: {fact.id} ({fact.split}) supersedes {old.id} ({old.split}); "
                "a chain stays within one split"
            )
    items = {item.id for item in corpus.faq}
    for number, paraphrase in enumerate(corpus.paraphrases, 1):
        if paraphrase.faq_id not in items:
            yield f"paraphrases.jsonl:{number}: faq_id {paraphrase.faq_id!r} not in faq.jsonl"
    for number, item in enumerate(corpus.evidence, 1):
        where = f"evidence.jsonl:{number}"
        if item.fact_id not in facts:
            yield f"{where}: fact_id {item.fact_id!r} not in facts.jsonl"
        else:
            yield from _quoted(where, item.quote, item.document, corpus.documents)
    taken = {*facts, *(question.id for question in corpus.questions)}
    for number, item in enumerate(corpus.replacements, 1):
        where = f"replacements.jsonl:{number}"
        if taken & {item.id, f"{item.id}/trained"}:
            yield (
                f"{where}: id {item.id!r} is a fact's or a question's, or its {item.id + '/trained'!r} is; "
                "give the replacement an id of its own"
            )
        for fact_id, quote, pages in (
            (item.before, item.before_quote, corpus.older),
            (item.after, item.after_quote, corpus.newer),
        ):
            if fact_id not in facts:
                yield f"{where}: fact {fact_id!r} not in facts.jsonl"
            else:
                yield from _quoted(where, quote, item.document, pages)


def _never_asked(corpus: "Corpus") -> Iterator[str]:
    """Questions that no probe would find, and dev items without the question that makes them a worked example."""
    for number, question in enumerate(corpus.questions, 1):
        where = f"questions.jsonl:{number}: {question.id}"
        splits = {corpus.fact[fact_id].split for fact_id in question.fact_ids if fact_id in corpus.fact}
        if question.probe in CURRENT:
            yield f"{where}: probe {question.probe!r} is asked from replacements.jsonl alone; move the question there"
        elif splits and splits != {question.probe} and {question.probe, *splits} & set(UNTRAINED):
            yield (
                f"{where}: probe {question.probe!r} never asks for a fact of split {' or '.join(sorted(splits))}; "
                f"{', '.join(UNTRAINED)} are each asked by the probe of their name alone"
            )
        for fact_id in question.fact_ids[:1] if question.probe == "trained" else ():
            if question.id != f"{fact_id}/trained":
                yield f"{where}: a trained question has the id of its fact and /trained: {fact_id}/trained"
    known = {question.id for question in corpus.questions}
    for number, item in enumerate(corpus.faq, 1):
        fact = corpus.fact.get(item.fact_ids[0]) if item.fact_ids else None
        if fact and fact.split == "dev" and f"{fact.id}/trained" not in known:
            yield f"faq.jsonl:{number}: {item.id}: a dev item needs the question {fact.id}/trained in questions.jsonl"


def _quoted(where: str, quote: str, name: str, documents: tuple[Document, ...]) -> Iterator[str]:
    texts = {document.id: document.text for document in documents}
    if name not in texts:
        yield f"{where}: document {name!r} not one of {sorted(texts)}"
    elif quote not in texts[name]:
        yield f"{where}: quote not found word for word in {name}.md: {quote[:60]!r}"


def _unreadable(corpus: "Corpus") -> Iterator[str]:
    for number, fact in enumerate(corpus.facts, 1):
        try:
            values.parse_value(fact.value, fact.value_type)
        except ValueError as error:
            yield f"facts.jsonl:{number}: {fact.id}: {error}"
    for number, question in enumerate(corpus.questions, 1):
        if (question.expected is None) != (question.probe == "unanswerable"):
            yield f"questions.jsonl:{number}: {question.id}: expected is null for unanswerable, only there"
        elif question.probe == "reverse" and question.value_type is None:
            yield f"questions.jsonl:{number}: {question.id}: a reverse question names its value_type"
        elif question.probe == "reverse":
            try:
                values.parse_value(question.expected, question.value_type)
            except ValueError as error:
                yield f"questions.jsonl:{number}: {question.id}: {error}"


def _misplaced_values(corpus: "Corpus") -> Iterator[str]:
    for number, item in enumerate(corpus.faq, 1):
        yield from _unstated(f"faq.jsonl:{number}: {item.id}", item, ("raw_answer", "uniform_answer"), corpus)
    taught = {item.id: item for item in corpus.faq}
    for number, item in enumerate(corpus.paraphrases, 1):
        where = f"paraphrases.jsonl:{number}: {item.id}"
        yield from _unstated(where, item, ("answer",), corpus, taught[item.faq_id].fact_ids)
    for number, item in enumerate(corpus.evidence, 1):
        # A guide's sentence gives a yes/no by its whole sense, which no matcher reads.
        fact = corpus.fact[item.fact_id]
        if fact.value_type != "yesno" and not states(item.quote, fact):
            yield f"evidence.jsonl:{number}: {item.fact_id}: quote does not state {fact.value!r}"
    for number, question in enumerate(corpus.questions, 1):
        for problem in _question_problems(question, [corpus.fact[fact_id] for fact_id in question.fact_ids]):
            yield f"questions.jsonl:{number}: {question.id}: {problem}"
    for number, item in enumerate(corpus.replacements, 1):
        for problem in _replacement_problems(item, corpus.fact[item.before], corpus.fact[item.after]):
            yield f"replacements.jsonl:{number}: {item.id}: {problem}"


def _unstated(
    where: str, item: FaqItem | Paraphrase, fields: tuple[str, ...], corpus: "Corpus", fact_ids: tuple[str, ...] = ()
) -> Iterator[str]:
    for fact in (corpus.fact[fact_id] for fact_id in fact_ids or item.fact_ids):
        for field in fields:
            if not states(getattr(item, field), fact):
                yield f"{where}: {field} does not state {fact.value!r}; reword it"


def _question_problems(question: Question, facts: list[Fact]) -> Iterator[str]:
    if question.probe == "choice":
        if len(set(question.choices)) < 3:
            yield "a choice needs 3 or more different choices"
        if question.choices and not states(question.choices[0], facts[0]):
            yield f"the first choice {question.choices[0]!r} is not the value {facts[0].value!r}"
        for wrong in (choice for choice in question.choices[1:] if states(choice, facts[0])):
            yield f"the distractor {wrong!r} is right"
    wanted = "; ".join(fact.value for fact in facts)
    if facts and question.probe != "reverse" and question.expected != wanted:
        yield f"expected {question.expected!r} is not {wanted!r}, the value of its fact (of two, joined by '; ')"
    if question.probe == "cloze" and question.text.count(BLANK) != 1:
        yield f"a cloze has exactly one {BLANK}"
    given_away = [fact for fact in facts if question.probe in MUST_NOT_TELL and fact.value_type != "yesno"]
    for fact in (fact for fact in given_away if states(question.text, fact)):
        yield f"the question contains its answer {fact.value!r}"


def _replacement_problems(item: Replacement, before: Fact, after: Fact) -> Iterator[str]:
    if after.supersedes != before.id:
        yield f"{after.id} does not supersede {before.id}"
    for field, right, wrong in (
        ("before_answer", before, after),
        ("after_answer", after, before),
        ("before_quote", before, after),
        ("after_quote", after, before),
    ):
        text = getattr(item, field)
        if right.value_type == "yesno" and field.endswith("quote"):
            continue
        if not states(text, right):
            yield f"{field} does not state {right.value!r}"
        if right.value_type == wrong.value_type and right.value_type != "entity" and states(text, wrong):
            yield f"{field} states the other value {wrong.value!r} as well"
