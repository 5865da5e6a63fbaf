"""Forecast what Claude would cost, before anything is spent: by notebook and part, and at most."""

from collections.abc import Sequence
from typing import NamedTuple

from lib.answering.conditions import Bench
from lib.corpus.records import Question
from lib.judging.calibration import load_labels
from lib.models import claude
from lib.models.claude_api import Api, Unusable, available
from lib.models.claude_replies import (
    PRICES_AS_OF,
    PRICES_USD_PER_MTOK,
    cost_usd,
    estimated_tokens,
    spent_usd,
    worst_usd,
)

# Of Claude: a reply of one sentence after little thought, and how many requests the API counts to stand for all.
REPLY_TOKENS, COUNTED = 200, 8
# Probes whose other wording a notebook asks first, once for each condition that is screened.
SCREENED = {"01_baseline_assessment": ("paraphrase", "paraphrase"), "02_raw_faq_lora": ("general", "easy")}


class ClaudeCost(NamedTuple):
    """What Claude would be asked for one part of a notebook, at most: requests, tokens read, USD if replies are of
    REPLY_TOKENS or as long as they may be. `counted`: the tokens are the API's count on a sample, else estimated from length.
    """

    requests: int
    tokens_in: int
    usd: float
    worst_usd: float
    counted: bool


def forecast_claude(bench: Bench) -> dict[tuple[str, str], ClaudeCost]:
    """The cost of the study's `claude` section by notebook and part, parts named as in the ledger; judgements that an earlier
    notebook has asked for are not paid twice.

    Answers are not known yet: each is taken to be as long as it may be, four bytes a token, and different from all others.
    """
    asked = {
        (notebook, part): b for notebook in bench.study.grids for part, b in _claude_parts(bench, notebook).items()
    }
    counted = _counted_share([body for bodies in asked.values() for body in bodies])
    costs = {}
    for part, bodies in asked.items():
        batch = len(bodies) >= bench.study.claude.batch_from
        tokens = [estimated_tokens(body) * (counted or 1) for body in bodies]
        usd = [cost_usd(b["model"], n, REPLY_TOKENS, batch=batch) for b, n in zip(bodies, tokens, strict=True)]
        worst = sum(worst_usd(body, batch=batch) for body in bodies)
        costs[part] = ClaudeCost(len(bodies), round(sum(tokens)), sum(usd), worst, counted is not None)
    return costs


def _counted_share(bodies: Sequence[dict]) -> float | None:
    """Tokens that the API counts in some of the requests, over those estimated; None without a key or a count."""
    sample = bodies[:: max(1, len(bodies) // COUNTED)]
    if not available() or not sample:
        return None
    api = Api()
    try:
        return sum(api.count_tokens(body) for body in sample) / sum(estimated_tokens(body) for body in sample)
    except Unusable:
        return None


def _claude_parts(bench: Bench, notebook: str) -> dict[str, list[dict]]:
    """The requests of a notebook by part; parts without any are left out."""
    study, models = bench.study, bench.study.claude
    answer = "word " * (4 * bench.layout.max_new_tokens // 5)
    own, context = _claude_questions(bench, notebook)
    shown = bench.shelf.passages(own, context)
    judged = [*own, *_graded(bench, notebook)] if study.judge == "claude" else _seconded(bench, notebook)
    items = [claude.JudgeItem(q.text, q.expected, answer) for q in judged if q.expected is not None]
    if notebook == "01_baseline_assessment":  # labelled answers: as they are, again, and turned
        read = load_labels().head(study.second_judge_answers)
        items += 3 * [claude.JudgeItem(row.question, row.reference, row.answer) for row in read.itertuples()]
    parts = {
        "answering": [claude.answer_request(models, q.text, found) for q, found in zip(own, shown, strict=True)],
        "judging": [claude.judge_request(models, item) for item in items],
    }
    if notebook == "03_claude_reformatting":
        parts["rewriting"] = [
            claude.reformat_request(models, item) for item in bench.corpus.items("test", claude.SAMPLE)
        ]
    if notebook == "06_hybrid":  # two pairs of arms, each in both orders
        asked = bench.corpus.ask("paraphrase")[: claude.SAMPLE]
        pairs = [claude.Pair(q.text, q.expected, answer, answer) for q in asked]
        parts["comparing"] = [claude.prefer_request(models, pair) for pair in pairs] * 4
    return {part: bodies for part, bodies in parts.items() if bodies}


def _claude_questions(bench: Bench, notebook: str) -> tuple[list[Question], str]:
    """What Claude itself is asked: every paraphrase from memory in 01, those that `rag` is asked from passages in 05."""
    if notebook == "01_baseline_assessment":
        return bench.corpus.ask("paraphrase"), "none"
    blocks = bench.study.grids[notebook] if notebook == "05_rag_comparison" else ()
    facts = [b.facts for b in blocks if "rag" in b.conditions and "paraphrase" in b.probes and b.split == "test"]
    return [question for limit in facts for question in bench.corpus.ask("paraphrase", "test", limit)], "retrieved"


def _graded(bench: Bench, notebook: str) -> list[Question]:
    """The questions whose answers are words that Claude would judge and has not judged in an earlier notebook."""
    notebooks = list(bench.study.grids)
    earlier = {job for name in notebooks[: notebooks.index(notebook)] for job in _grid_jobs(bench, name)}
    screened = [question for probe in SCREENED.get(notebook, ()) for question in bench.corpus.screen(probe)]
    return screened + _asked_in_words(bench, _grid_jobs(bench, notebook) - earlier)


def _seconded(bench: Bench, notebook: str) -> list[Question]:
    """The questions on whose answers Claude gives a second opinion: those that 01 asks the base model."""
    jobs = _grid_jobs(bench, notebook) if notebook == "01_baseline_assessment" else set()
    return _asked_in_words(bench, {job for job in jobs if job[0] == "base"})


def _grid_jobs(bench: Bench, notebook: str) -> set[tuple]:
    blocks = bench.study.grids[notebook]
    return {job for block in blocks for name in bench.possible(block) for job in bench.jobs(block, name)}


def _asked_in_words(bench: Bench, jobs: set[tuple]) -> list[Question]:
    asked = [job[2:] for job in sorted(jobs, key=str) if job[2] != "choice"]
    return [question for probe, split, facts in asked for question in bench.corpus.ask(probe, split, facts)]


def print_claude(bench: Bench) -> None:
    """Print what Claude would cost, by notebook and part, and what it has cost so far; or that it is not asked."""
    study = bench.study
    if study.claude is None:
        print("Claude: not asked; USD 0")
        return
    if unpriced := {study.claude.answer_model, study.claude.judge_model} - set(PRICES_USD_PER_MTOK):
        print(f"Claude: no price known for {sorted(unpriced)}")
        return
    costs = forecast_claude(bench)
    how = "counted by the API on a sample" if all(cost.counted for cost in costs.values()) else "estimated from length"
    print(f"Claude (judge: {study.judge}), tokens in {how}, {REPLY_TOKENS} out a request, prices of {PRICES_AS_OF}:")
    print(f"{'notebook':26} {'part':10} {'requests':>9} {'tokens in':>11} {'USD':>8} {'at most':>8}")
    for (notebook, part), cost in costs.items():
        print(f"{notebook:26} {part:10} {_claude_line(cost)}")
    together = ClaudeCost(*(sum(column) for column in zip(*costs.values(), strict=True)))
    print(f"{'together':37} {_claude_line(together)}")
    spent = spent_usd(study.name)
    print(f"The limit is USD {study.claude.max_usd:g}; {spent:.4f} spent so far. USD 0 without ANTHROPIC_API_KEY")


def _claude_line(cost: ClaudeCost) -> str:
    return f"{cost.requests:9,} {cost.tokens_in:11,} {cost.usd:8.4f} {cost.worst_usd:8.4f}"
