"""Claude's own answers as a reference row, when the study asks for them and a key is set."""

from collections.abc import Sequence, Set

from lib import runs
from lib.answering.shelf import Shelf
from lib.corpus.records import Answer, Question
from lib.models import claude, claude_api
from lib.studies import Condition, Study

# What Claude is shown as `claude_rag`: what `rag` is shown. No study file names it, since it is asked only with a key.
CLAUDE_RAG = Condition(weights="claude", context="retrieved")


def claude_client(study: Study) -> claude.Client | None:
    """A client for the study's Claude models; None when the study names none or ANTHROPIC_API_KEY is not set."""
    return claude.Client(study) if study.claude and claude_api.available() else None


def claude_answers(study: Study, client: claude.Client, questions: Sequence[Question]) -> list[Answer]:
    """Closed-book answers by Claude, as rows of the condition `claude`; one that could not be had is marked as failed."""
    found = client.answer([question.text for question in questions])
    run = runs.content_hash([study.claude.answer_model, [question.text for question in questions]])
    return [_answer("claude", question, said, run) for question, said in zip(questions, found, strict=True)]


def claude_answers_from_passages(
    study: Study, client: claude.Client, questions: Sequence[Question], shelf: Shelf
) -> list[Answer]:
    """Answers by Claude from the passages that `rag` is shown, as rows of the condition `claude_rag`.

    Claude cites passages itself: `citations` has them in its order, and `cited` is the first of them, None where it cites
    none. An answer that could not be had is marked as failed.
    """
    passages = shelf.passages(questions, CLAUDE_RAG.context)
    shown = [[passage.id for passage in row] for row in passages]
    found = client.answer([question.text for question in questions], passages)
    titled = [[passage.titled for passage in row] for row in passages]
    run = runs.content_hash([study.claude.answer_model, [question.text for question in questions], titled])
    return [
        _answer("claude_rag", question, said, run, ids, shelf.gold_for(question, None))
        for question, said, ids in zip(questions, found, shown, strict=True)
    ]


def _answer(
    condition: str,
    question: Question,
    said: claude.Said | None,
    run: str,
    shown: Sequence[str] = (),
    gold: Set[str] = frozenset(),
) -> Answer:
    text, places, *tokens = said or ("", (), 0, 0)
    cited = tuple(shown[place] for place in places if 0 <= place < len(shown))
    traced = {"gold": tuple(i for i in shown if i in gold), "cited": next(iter(cited), None), "citations": cited}
    return Answer(question.id, condition, 0, text, tuple(shown), *tokens, None, run, failed=said is None, **traced)
