"""Forecast a study before anything is spent: tokens, minutes and memory of each notebook, from a 20-second calibration.

python -m lib.workbook.plan STUDY
"""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from lib import runs
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.corpus.records import Question
from lib.judging.calibration import load_labels
from lib.models import claude, registry
from lib.models.claude_api import Api, Unusable, available
from lib.models.claude_replies import (
    PRICES_AS_OF,
    PRICES_USD_PER_MTOK,
    cost_usd,
    estimated_tokens,
    spent_usd,
    worst_usd,
)
from lib.models.generate import Layout, generate, plan_batches
from lib.studies import Block, Recipe
from lib.study_file import load_study
from lib.training.recipes import build_examples
from lib.training.sft import tokenize, train
from lib.training.targets import gradient_targets

# Around the computing: starting a kernel, importing and writing; loading and merging one set of tuned weights.
SECONDS_PER_NOTEBOOK, SECONDS_PER_WEIGHTS = 15, 5
# Of Claude: a reply of one sentence after little thought, and how many requests the API counts to stand for all.
REPLY_TOKENS, COUNTED = 200, 8
# Probes whose other wording a notebook asks first, once for each condition that is screened.
SCREENED = {"01_baseline_assessment": ("paraphrase", "paraphrase"), "02_raw_faq_lora": ("general", "easy")}


class Rates(NamedTuple):
    """What this machine does. A decoding step of a batch of B rows takes step_seconds + row_seconds * B."""

    train_tokens_per_s: float
    read_tokens_per_s: float
    step_seconds: float
    row_seconds: float
    steps: int


class Cost(NamedTuple):
    """What one notebook takes: training tokens, answers, tokens read, seconds."""

    train_tokens: int
    answers: int
    prompt_tokens: int
    seconds: float


def calibrate(bench: Bench) -> Rates:
    """The machine's rates, measured on the study's own first examples and questions. Leaves nothing in the cache."""
    questions = bench.corpus.ask("paraphrase")[: bench.layout.batch_size]
    large, small = questions, questions[: max(1, len(questions) // 4)]
    read, tokens = _timed(bench, large, max_new_tokens=1)
    whole, _ = _timed(bench, large, max_new_tokens=24)
    fewer, _ = _timed(bench, small, max_new_tokens=24)
    per_step = {len(large): (whole - read) / 23, len(small): (fewer - read * len(small) / len(large)) / 23}
    span = max(1, len(large) - len(small))
    row_seconds = max(0.0, (per_step[len(large)] - per_step[len(small)]) / span)
    step_seconds = max(0.0, per_step[len(large)] - row_seconds * len(large))
    return Rates(_train_rate(bench), tokens / read, step_seconds, row_seconds, bench.layout.max_new_tokens)


def _timed(bench: Bench, questions: Sequence, max_new_tokens: int) -> tuple[float, int]:
    """Seconds to answer the questions in one batch, and the prompt tokens read; an answer that ends early counts less."""
    lm = bench.language_model("base", 0)
    prompts = bench.prompts(bench.study.conditions["base"], lm, questions, [()] * len(questions))
    key = runs.content_hash(["calibration", time.time_ns()])
    layout = Layout(max_new_tokens, len(prompts), 10**9)
    done = generate(lm, prompts, layout=layout, stop=None, key=key, label="calibrating")
    shutil.rmtree(runs.cache_dir("answers", key))
    return sum(completion.seconds for completion in done), sum(completion.prompt_tokens for completion in done)


def _train_rate(bench: Bench) -> float:
    name, recipe = next((name, recipe) for name, recipe in bench.study.recipes.items() if recipe.data == "raw")
    examples = build_examples(bench.corpus, recipe, bench.language_model("base", 0).tokenizer, None)[
        : recipe.batch_size
    ]
    four_steps = recipe.model_copy(update={"epochs": 4})
    source, precision = bench.study.models["base"], bench.study.generation.precision
    trained = train(
        source, precision, examples, four_steps, seed=time.time_ns() % 2**31, label="calibrating", longest=True
    )
    shutil.rmtree(trained.folder.parent)
    return trained.ledger["tokens"] / trained.ledger["seconds"]


def forecast(bench: Bench, rates: Rates) -> dict[str, Cost]:
    """The cost of each notebook; weights that an earlier notebook has trained, and its answers, are not paid twice."""
    costs, trained, answered = {}, {}, set()
    for notebook, blocks in bench.study.grids.items():
        train_tokens, jobs = 0, []
        for block in blocks:
            for name in bench.possible(block):
                train_tokens += _new_training(bench, bench.condition(name).weights, trained)
                jobs += [job for job in _jobs(bench, block, name) if job not in answered]
        answered.update(jobs)
        costs[notebook] = _cost(bench, rates, train_tokens, jobs)
    if bench.study.gradients:
        costs["gradients (02, 04)"] = _measuring(bench, rates)
    return costs


def _measuring(bench: Bench, rates: Rates) -> Cost:
    """Gradients of two data sets at every point and of their controls at the first.

    Two forward and three backward passes an example, in tokens of training about two and a half times.
    """
    settings = bench.study.gradients
    tokenizer, tokens = bench.language_model("base", 0).tokenizer, 0
    targets = gradient_targets(bench.corpus, tokenizer, settings.items)
    for data, chosen in targets.items():
        points = len(settings.epochs) if data in ("raw", "uniform") else 1
        tokens += points * sum(len(tokenize(tokenizer, target.example)["input_ids"]) for target in chosen)
    return Cost(0, 0, tokens, 2.5 * tokens / rates.train_tokens_per_s)


def _new_training(bench: Bench, weights: str, trained: dict) -> int:
    """Training tokens still to pay for these weights: a longer run goes on from a shorter one of the same family."""
    recipe = bench.study.recipes.get(weights)
    if recipe is None:
        return 0
    total = 0
    for seed in recipe.seeds:
        family = (recipe.model_copy(update={"epochs": 1, "seeds": (seed,)}), seed)
        missing = recipe.epochs - trained.get(family, 0)
        if missing > 0:
            total += missing * _epoch_tokens(bench, recipe)
            trained[family] = recipe.epochs
    return total


def _epoch_tokens(bench: Bench, recipe: Recipe) -> int:
    tokenizer = bench.language_model("base", 0).tokenizer
    examples = build_examples(bench.corpus, recipe, tokenizer, bench.shelf.passages)
    return sum(len(tokenize(tokenizer, example)["input_ids"]) for example in examples)


def _jobs(bench: Bench, block: Block, name: str) -> list[tuple]:
    return [(name, seed, probe, block.split, block.facts) for seed in bench.seeds(name) for probe in block.probes]


def _cost(bench: Bench, rates: Rates, train_tokens: int, jobs: list[tuple]) -> Cost:
    answers, read, seconds = 0, 0, train_tokens / rates.train_tokens_per_s + SECONDS_PER_NOTEBOOK
    seconds += SECONDS_PER_WEIGHTS * len({(name, seed) for name, seed, *_ in jobs})
    for name, _, probe, split, facts in jobs:
        condition = bench.condition(name)
        lm = bench.language_model(condition.weights if condition.weights in bench.study.models else "base", 0)
        questions = bench.corpus.ask(probe, split, facts)
        prompts = bench.prompts(
            condition,
            lm,
            questions,
            bench.shelf.passages(questions, condition.context, condition.retrieval, condition.vintage),
        )
        lengths = [len(lm.tokenizer(prompt, add_special_tokens=False).input_ids) for prompt in prompts]
        answers += len(questions)
        if probe == "choice":
            rows = sum(length * len(q.choices) for length, q in zip(lengths, questions, strict=True))
            read, seconds = read + rows, seconds + rows / rates.read_tokens_per_s
            continue
        read, seconds = read + sum(lengths), seconds + sum(lengths) / rates.read_tokens_per_s
        for batch in plan_batches(lengths, bench.layout):
            seconds += rates.steps * (rates.step_seconds + rates.row_seconds * len(batch))
    return Cost(train_tokens, answers, read, seconds)


def peak_memory_gib(bench: Bench) -> float:
    """Estimated peak of the hungriest step, full or adapter training: weights, gradients, Adam's two moments, activations.

    4 bytes a frozen weight and 16 a trainable one; activations are 4 * layers * tokens * (34 * hidden + 2 * width) bytes
    plus three copies of the answer logits; one GiB for the interpreter and its libraries.
    """
    lm = bench.language_model("base", 0)
    config, frozen = lm.model.config.get_text_config(), sum(p.numel() for p in lm.model.parameters())
    peak = 0.0
    for recipe in bench.study.recipes.values():
        examples = build_examples(bench.corpus, recipe, lm.tokenizer, bench.shelf.passages)
        longest = max((len(tokenize(lm.tokenizer, example)["input_ids"]) for example in examples), default=0)
        tokens = recipe.batch_size * longest
        inner = config.intermediate_size + config.hidden_size
        trainable = frozen if recipe.method == "full" else recipe.rank * config.num_hidden_layers * 7 * inner
        activations = 4 * config.num_hidden_layers * tokens * (34 * config.hidden_size + 2 * config.intermediate_size)
        logits = 3 * 4 * config.vocab_size * tokens // 3
        peak = max(peak, 4 * frozen + 16 * trainable + activations + logits)
    return 1 + peak / 2**30


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
    return {job for block in blocks for name in bench.possible(block) for job in _jobs(bench, block, name)}


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


def main(study_name: str) -> None:
    """Print the forecast as a table."""
    study = load_study(study_name)
    bench = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    bench.hybrid = study.hybrid_candidates[-1]  # which one dev will choose is not known yet; they cost the same
    rates = calibrate(bench)
    print(
        f"{registry.device_name()}: {rates.train_tokens_per_s:.0f} training tokens/s, {rates.read_tokens_per_s:.0f} read/s"
    )
    costs = forecast(bench, rates)
    print(f"{'notebook':26} {'training tokens':>16} {'answers':>8} {'tokens read':>12} {'minutes':>8}")
    for notebook, cost in costs.items():
        print(
            f"{notebook:26} {cost.train_tokens:16,} {cost.answers:8,} {cost.prompt_tokens:12,} {cost.seconds / 60:8.1f}"
        )
    minutes = sum(cost.seconds for cost in costs.values()) / 60
    print(f"{'together':26} {minutes:>65.0f} minutes, peak memory about {peak_memory_gib(bench):.1f} GiB")
    print_claude(bench)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
