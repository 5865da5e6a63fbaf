"""Which of Claude's rewritings could be taught: those that keep the uniform style and the item's values."""

from collections.abc import Iterator, Sequence

from lib.corpus.load import Corpus
from lib.corpus.records import FaqItem, Verdict
from lib.judging.keyfacts import grade
from lib.judging.style import style_problems
from lib.models.claude import Rewriting


def check_rewritings(corpus: Corpus, items: Sequence[FaqItem], rewritings: Sequence[Rewriting]) -> list[dict]:
    """One row an item, in order: its id, the raw answer, the rewriting, and its problems joined by "; ", "" if accepted.

    A rewriting is accepted when it keeps every rule of lib.judging.style and the key-fact judge accepts it as an answer to
    the item's question, as it accepts every uniform answer of the corpus. What an item says beside the values of its facts
    is not compared. An item that was not rewritten has None for a rewriting, and the reason for its problem. Raises
    ValueError unless there is one rewriting an item.
    """
    return [
        {
            "item": item.id,
            "raw": item.raw_answer,
            "rewriting": rewriting.text,
            "problems": "; ".join(_problems(corpus, item, rewriting)),
        }
        for item, rewriting in zip(items, rewritings, strict=True)
    ]


def _problems(corpus: Corpus, item: FaqItem, rewriting: Rewriting) -> Iterator[str]:
    if rewriting.text is None:
        yield f"not rewritten: {rewriting.reason}"
        return
    yield from style_problems(rewriting.text)
    for fact in (corpus.fact[fact_id] for fact_id in item.fact_ids):
        found = grade(
            rewriting.text, expected=fact.value, value_type=fact.value_type, accept=fact.accept, question=item.question
        )
        # Of several values only one can be the first asserted, which the strict verdict asks for.
        verdict = found.strict if len(item.fact_ids) == 1 else found.relaxed
        if verdict is not Verdict.CORRECT:
            yield f"the value is not {fact.value}: {found.reason}"
