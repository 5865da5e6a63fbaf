"""Claude's own answers as a reference row, when the study asks for them and a key is set."""

from collections.abc import Sequence

from lib import runs
from lib.corpus.records import Answer, Question
from lib.models import claude, claude_api
from lib.studies import Study


def claude_client(study: Study) -> claude.Client | None:
    """A client for the study's Claude models; None when the study names none or ANTHROPIC_API_KEY is not set."""
    return claude.Client(study) if study.claude and claude_api.available() else None


def claude_answers(study: Study, client: claude.Client, questions: Sequence[Question]) -> list[Answer]:
    """Closed-book answers by Claude, as rows of the condition `claude`; one that could not be had is marked as failed."""
    texts = client.answer([question.text for question in questions])
    run = runs.content_hash([study.claude.answer_model, [question.text for question in questions]])
    return [
        Answer(question.id, "claude", 0, text or "", (), 0, 0, None, run, failed=text is None)
        for question, text in zip(questions, texts, strict=True)
    ]
