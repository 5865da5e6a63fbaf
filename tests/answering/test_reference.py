"""Claude's own answers as rows of a study: from memory, and from passages that it cites."""

from types import SimpleNamespace

import pytest

from lib.answering.reference import claude_answers, claude_answers_from_passages
from lib.corpus.records import Passage, Question
from lib.models.claude import Client
from lib.studies import Claude
from tests.standin import cited, sent

QUESTIONS = [Question(f"q{n}", ("fee",), "paraphrase", f"How much, {n}?", "5 INR") for n in range(3)]
PASSAGES = tuple(Passage(f"g#{n}", "g", "Dues", n, n + 9, f"Rs {n}.") for n in range(3))
MODELS = Claude(answer_model="claude-haiku-5-5", judge_model="claude-haiku-5-5", poll_s=0.001)
STUDY = SimpleNamespace(name="tiny", claude=MODELS)


class Shelf:
    """Shows every question the same passages, of which the last two are gold."""

    def passages(self, questions, kind):
        assert kind == "retrieved"
        return [PASSAGES] * len(questions)

    def gold_for(self, question, retrieval):
        return {"g#1", "g#2", "g#9"}


@pytest.fixture
def client(standin):
    return Client(STUDY)


def test_an_answer_from_passages_is_a_row_with_what_was_shown_what_is_gold_and_what_it_cites(standin, client):
    standin.queued["message"] = [
        sent("", content=[cited("Rs ", 2, 0), cited("5.", 2)], tokens=(900, 7)),
        sent("I do not know."),
        sent("", stop_reason="refusal", content=[]),
    ]
    both, none, refused = claude_answers_from_passages(STUDY, client, QUESTIONS, Shelf())
    assert (both.condition, both.question_id, both.text) == ("claude_rag", "q0", "Rs 5.")
    assert (both.passages, both.gold) == (("g#0", "g#1", "g#2"), ("g#1", "g#2"))
    assert (both.cited, both.citations) == ("g#2", ("g#2", "g#0"))
    assert (both.prompt_tokens, both.answer_tokens, both.latency_ms, both.failed) == (900, 7, None, False)
    assert (none.text, none.cited, none.citations, none.failed) == ("I do not know.", None, (), False)
    assert (refused.text, refused.citations, refused.failed) == ("", (), True)


@pytest.mark.parametrize("place", [3, -1])
def test_a_citation_of_what_was_not_shown_names_no_passage(standin, client, place):
    standin.queued["message"] = [sent("", content=[cited("Rs 5.", place, 1)])]
    [found] = claude_answers_from_passages(STUDY, client, QUESTIONS[:1], Shelf())
    assert (found.text, found.cited, found.citations) == ("Rs 5.", "g#1", ("g#1",))


def test_an_answer_from_memory_is_shown_nothing_and_cites_nothing(standin, client):
    standin.queued["message"] = [sent("Rs 5."), sent("", stop_reason="refusal", content=[])]
    found, refused = claude_answers(STUDY, client, QUESTIONS[:2])
    assert (found.condition, found.text, found.passages, found.cited, found.citations) == (
        "claude",
        "Rs 5.",
        (),
        None,
        (),
    )
    assert (found.prompt_tokens, found.answer_tokens) == (1000, 100)
    assert refused.failed and refused.text == ""
    assert all(isinstance(body["messages"][0]["content"], str) for body in standin.accepted)
