"""From answers to rows: one judged, flat record for every cell of a grid."""

from collections.abc import Sequence

from lib.corpus.load import CURRENT, Corpus
from lib.corpus.records import Answer, Fact, Question, Verdict
from lib.judging.keyfacts import Grade, grade
from lib.judging.style import is_uniform, parse_json_answer
from lib.models.claude import Client, JudgeItem, Judgement, judge_request
from lib.models.claude_replies import paid
from lib.studies import Study


def judge_answers(corpus: Corpus, study: Study, answers: Sequence[Answer], *, split: str = "test") -> list[dict]:
    """The rows of records.jsonl, in the order of `answers`; `split` is test, dev, or screen (the base's screening).

    Choice questions are scored by likelihood, all others by the study's judge: by key facts, or by Claude, who needs a
    reference, so that answers to unanswerable questions are left to the key-fact judge's rule of abstention. The row's
    `judge` says which it was. An answer asked for as JSON is graded by its `answer` field when it parses, and as plain
    text when it does not. Raises RuntimeError when Claude is to judge and cannot: see lib.models.claude_replies.
    """
    rows = [judge_answer(corpus, study, answer, split=split) for answer in answers]
    return _by_claude(corpus, study, rows) if study.judge == "claude" else rows


def _by_claude(corpus: Corpus, study: Study, rows: list[dict]) -> list[dict]:
    """The rows with Claude's verdicts in place of the key-fact judge's, where there is a reference."""
    asked = _with_reference(corpus, rows)
    items = [_item_of(corpus, study, row) for row in asked]
    judged = {id(row): grade for row, grade in zip(asked, Client(study).judge(items), strict=True)}
    return [{**row, **_verdicts(judged[id(row)], "claude")} if id(row) in judged else row for row in rows]


def _with_reference(corpus: Corpus, rows: Sequence[dict]) -> list[dict]:
    """The rows that the key-fact judge graded against a reference."""
    return [r for r in rows if r["judge"] == "keyfacts" and corpus.question[r["question_id"]].expected is not None]


def judging_ledger(corpus: Corpus, study: Study, rows: Sequence[dict]) -> list[dict]:
    """The line of a notebook's ledger that says what Claude's verdicts on these rows cost; none where Claude judged no row."""
    items = [_item_of(corpus, study, row) for row in rows if row["judge"] == "claude"]
    return [paid(study.name, "judging", [judge_request(study.claude, item) for item in items])] if items else []


def _item_of(corpus: Corpus, study: Study, row: dict) -> JudgeItem:
    return _judge_item(corpus, row, _graded_text(study, row["condition"], row["answer"]))


def _judge_item(corpus: Corpus, row: dict, text: str) -> JudgeItem:
    question = corpus.question[row["question_id"]]
    return JudgeItem(_asked(question, row["split"]), question.expected, text)


def _asked(question: Question, split: str) -> str:
    """The words that the answer is to: a screening asks in words of its own."""
    return question.screen_text if split == "screen" else question.text


def _graded_text(study: Study, condition_name: str, text: str) -> str:
    """What of an answer is graded: the `answer` field of JSON that was asked for and parses, or all of it."""
    condition = study.conditions.get(condition_name)  # None for the reference row of Claude
    parsed = parse_json_answer(text) if condition is not None and condition.instruction == "json" else None
    return parsed["answer"] if parsed else text


def _verdicts(found: Grade | Judgement, judge: str) -> dict:
    verdicts = {"verdict": found.strict.value, "verdict_relaxed": found.relaxed.value}
    return {**verdicts, "reason": found.reason, "judge": judge}


def judge_answer(corpus: Corpus, study: Study, answer: Answer, *, split: str = "test") -> dict:
    """One row, by the judges that need no network; `split` as in `judge_answers`.

    `style` and `json_valid` say whether the answer keeps the uniform style, and is the JSON asked for. `stale` says whether
    it gives the value that a replaced rule had before; None where no replaced rule is asked about.
    """
    question = corpus.question[answer.question_id]
    if answer.failed:
        verdict, judge = Grade(Verdict.JUDGE_FAILED, Verdict.JUDGE_FAILED, "no answer could be had"), "none"
    elif question.probe == "choice":
        verdict, judge = _by_likelihood(answer), "likelihood"
    else:
        text = _graded_text(study, answer.condition, answer.text)
        verdict, judge = _by_keyfacts(corpus, question, _asked(question, split), text), "keyfacts"
    return {
        "question_id": question.id,
        "fact_ids": list(question.fact_ids),
        "probe": question.probe,
        "value_type": corpus.value_type(question) if question.fact_ids else None,
        "condition": answer.condition,
        "seed": answer.seed,
        "answer": answer.text,
        **_verdicts(verdict, judge),
        "stale": _is_stale(corpus, question, answer.text) if question.probe in CURRENT else None,
        "style": is_uniform(answer.text),
        "json_valid": parse_json_answer(answer.text) is not None,
        "passages": list(answer.passages),
        "gold": list(answer.gold),
        "cited": answer.cited,
        "citations": list(answer.citations),
        "prompt_tokens": answer.prompt_tokens,
        "answer_tokens": answer.answer_tokens,
        "latency_ms": answer.latency_ms,
        "choice_margin": choice_margin(answer),
        "run": answer.run,
        "split": split,
    }


def _by_keyfacts(corpus: Corpus, question: Question, asked: str, text: str) -> Grade:
    facts = [corpus.fact[fact_id] for fact_id in question.fact_ids]
    if question.probe == "two_fact":
        return _by_both(text, facts, asked)
    accept = question.accept if question.value_type else [form for fact in facts for form in fact.accept]
    return grade(
        text, expected=question.expected, value_type=corpus.value_type(question), accept=accept, question=asked
    )


def _is_stale(corpus: Corpus, question: Question, text: str) -> bool:
    old = corpus.fact[corpus.fact[question.fact_ids[0]].supersedes]
    found = grade(text, expected=old.value, value_type=old.value_type, accept=old.accept, question=question.text)
    return found.strict is Verdict.CORRECT


def _by_both(text: str, facts: Sequence[Fact], question: str) -> Grade:
    """Right when both values are stated and neither is denied, in any order: the lesser of the two relaxed grades.

    The strict grade asks for the value that is asserted first, which only one of two can be.
    """
    grades = [grade(text, expected=f.value, value_type=f.value_type, accept=f.accept, question=question) for f in facts]
    verdict = max(
        (found.relaxed for found in grades), key=[Verdict.CORRECT, Verdict.NOT_ATTEMPTED, Verdict.INCORRECT].index
    )
    return Grade(verdict, verdict, "; ".join(found.reason for found in grades))


def _by_likelihood(answer: Answer) -> Grade:
    """The expected value is the first choice; a tie with a distractor is not a preference for it."""
    margin = choice_margin(answer)
    verdict = Verdict.CORRECT if margin > 0 else Verdict.INCORRECT
    return Grade(verdict, verdict, f"log-likelihood per character {margin:+.3f} against the best distractor")


def choice_margin(answer: Answer) -> float | None:
    """Log-likelihood per character of the expected value minus that of the best distractor; None without choices."""
    if not answer.choice_scores:
        return None
    return answer.choice_scores[0] - max(answer.choice_scores[1:])


def second_opinion(corpus: Corpus, rows: Sequence[dict], client: Client) -> list[dict]:
    """The same answers judged by Claude: question id, condition, both judges' strict verdicts and Claude's reason."""
    asked = _with_reference(corpus, rows)
    found = client.judge([_judge_item(corpus, row, row["answer"]) for row in asked])
    return [
        {
            "question_id": row["question_id"],
            "condition": row["condition"],
            "keyfacts": row["verdict"],
            "claude": judgement.strict.value,
            "reason": judgement.reason,
        }
        for row, judgement in zip(asked, found, strict=True)
    ]
