"""The nouns of the workbook as frozen records; every other module speaks in these."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ValueType = Literal["amount", "date", "duration", "percent", "form", "section", "count", "entity", "yesno"]
Split = Literal["test", "dev", "raft", "neighbour", "easy", "general"]
Probe = Literal[
    "trained",
    "paraphrase",
    "cloze",
    "reverse",
    "two_fact",
    "choice",
    "unanswerable",
    "general",
    "easy",
    "neighbour",
    "current",
    "current_trained",
]
# Untrained facts: the probe that asks for them has the name of their split, and no other probe does.
UNTRAINED = ("neighbour", "easy", "general")
# Replaced rules asked about as of now: in words that nobody trained on, and in the FAQ's own.
CURRENT = ("current", "current_trained")
RawStyle = Literal["terse", "long_winded", "bulleted", "html_residue", "cross_reference", "buried", "mixed_format"]


class Verdict(StrEnum):
    """What a judge says of an answer. JUDGE_FAILED is never counted as wrong and never dropped."""

    CORRECT = "CORRECT"
    INCORRECT = "INCORRECT"
    NOT_ATTEMPTED = "NOT_ATTEMPTED"
    JUDGE_FAILED = "JUDGE_FAILED"


@dataclass(frozen=True)
class Fact:
    """One atomic, checkable statement with a normalised value."""

    id: str
    topic: str
    subject: str
    statement: str
    value: str
    value_type: ValueType
    accept: tuple[str, ...]
    vintage: str
    supersedes: str | None
    split: Split
    tier: Literal["easy", "normal"]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class FaqItem:
    """One item of the FAQ: the site's own uneven answer and the same content in the uniform style."""

    id: str
    fact_ids: tuple[str, ...]
    question: str
    raw_answer: str
    raw_style: RawStyle
    uniform_answer: str


@dataclass(frozen=True)
class Question:
    """Asks for one fact (or two, or none); `probe` says how.

    `expected` is the value asked for, None when the corpus does not hold it; of two facts, both values in the order of
    `fact_ids`, joined by "; ". `choices` (probe `choice` only) lists the expected value first and its distractors after
    it. `screen_text` is a second wording of the same question, used only to decide what the base model knows, never to
    score an arm. A reverse question asks for something else than the fact's value: `value_type` and `accept` then say
    what kind of value and which other forms of it are right.
    """

    id: str
    fact_ids: tuple[str, ...]
    probe: Probe
    text: str
    expected: str | None
    choices: tuple[str, ...] = ()
    screen_text: str | None = None
    value_type: ValueType | None = None
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paraphrase:
    """Another wording of an FAQ item's question and answer, the value unchanged: for training only, never asked."""

    id: str
    faq_id: str
    question: str
    answer: str


@dataclass(frozen=True)
class Replacement:
    """A rule whose value was replaced: the facts before and after it, and an undated question, "as of now".

    At any time one value is right: `before` until the replacement, `after` from then on. `document` is the page of
    `vintages/before` and `vintages/after` that describes the rule as it then stands, in the words of the two quotes.
    """

    id: str
    before: str
    after: str
    question: str
    faq_question: str
    before_answer: str
    after_answer: str
    document: str
    before_quote: str
    after_quote: str


@dataclass(frozen=True)
class Prose:
    """One paragraph of general text, about nothing that any corpus states: read by models, never trained on."""

    id: str
    topic: str
    text: str


@dataclass(frozen=True)
class Document:
    """One guide: `id` is its file name without the suffix, `text` its Markdown."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """The exact words of a document that state a fact."""

    fact_id: str
    document: str
    quote: str


@dataclass(frozen=True)
class Passage:
    """A stretch of a document, `document.text[start:end]`, as it is indexed and shown to a model."""

    id: str
    document: str
    heading: str
    start: int
    end: int
    text: str

    @property
    def titled(self) -> str:
        """The passage under its heading, on one line: what is embedded, searched and shown to a model."""
        body = [line for line in self.text.splitlines() if not line.startswith("#")]
        return f"{self.heading}: {' '.join(' '.join(body).split())}"


@dataclass(frozen=True)
class Answer:
    """What one condition with one seed said to one question.

    `choice_scores` (probe `choice` only) holds the log-likelihood per character of each choice, in the order of
    `Question.choices`. `latency_ms` is None unless the question was asked alone, uncached. `run` hashes everything the
    text depends on. `failed` says that no answer could be had at all. `gold` lists those of `passages` that state what is
    asked for, and `cited` is the one that states the answer's value; both are empty without passages. `citations` lists those
    that the model itself cites, in its order, and `cited` is then the first of them; most models cite nothing.
    """

    question_id: str
    condition: str
    seed: int
    text: str
    passages: tuple[str, ...]
    prompt_tokens: int
    answer_tokens: int
    latency_ms: float | None
    run: str
    choice_scores: tuple[float, ...] = ()
    failed: bool = False
    gold: tuple[str, ...] = ()
    cited: str | None = None
    citations: tuple[str, ...] = ()
