"""Forecast a study before anything is spent: tokens, minutes and memory of each notebook, from a 20-second calibration.

Of models that would have to be fetched nothing is: their speed and memory follow from their shapes and from what the
device multiplies and copies in a second. What cannot fit is refused.

python -m lib.workbook.plan STUDY
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from lib.analysis.rates import twins
from lib.answering.conditions import Bench
from lib.models import claude
from lib.models.capacity import measure_device
from lib.models.claude_api import Api, Unusable, available
from lib.models.claude_replies import PRICES_AS_OF, PRICES_USD_PER_MTOK, cost_usd, estimated_tokens, worst_usd
from lib.models.generate import plan_batches
from lib.studies import Block, Recipe, load_study
from lib.training.recipes import build_examples
from lib.training.sft import tokenize
from lib.training.targets import gradient_targets
from lib.workbook.memory import COUNTER, counting_bench, must_be_fetched, needs, refuse_unfit, shapes_of
from lib.workbook.speed import Rates, calibrate, estimated_rates

# Around the computing: starting a kernel, importing and writing; loading and merging one set of tuned weights.
SECONDS_PER_NOTEBOOK, SECONDS_PER_WEIGHTS = 15, 5
# Of Claude: a reply of one sentence after little thought, and how many requests the API counts to stand for all.
REPLY_TOKENS, COUNTED = 200, 8


class Cost(NamedTuple):
    """What one notebook takes: training tokens, answers, tokens read, seconds."""

    train_tokens: int
    answers: int
    prompt_tokens: int
    seconds: float


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
    if chosen_on_dev := twins(bench.study):
        tokens = sum(_new_training(bench, name, trained) for name in chosen_on_dev)
        costs["learning rates, on dev"] = Cost(tokens, 0, 0, tokens / rates.train_tokens_per_s)
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


class ClaudeCost(NamedTuple):
    """What Claude would be asked, at most: requests, tokens, USD at the price of a batch if replies are of REPLY_TOKENS
    or as long as they may be. `counted`: the tokens read are the API's count on a sample, else estimated from length.
    """

    requests: int
    tokens_in: int
    usd: float
    worst_usd: float
    counted: bool


def forecast_claude(bench: Bench) -> ClaudeCost:
    """The cost of the study's `claude` section: notebook 01's answers and second opinions, or every judgement there is; the
    rewritings of notebook 03 and the comparisons of notebook 06.

    Answers are not known yet: each is taken to be as long as it may be, four bytes a token, and different from all others.
    """
    bodies = _claude_requests(bench)
    counted = _counted_share(bodies)
    tokens = [estimated_tokens(body) * (counted or 1) for body in bodies]
    usd = [cost_usd(b["model"], n, REPLY_TOKENS, batch=True) for b, n in zip(bodies, tokens, strict=True)]
    worst = sum(worst_usd(body, batch=True) for body in bodies)
    return ClaudeCost(len(bodies), round(sum(tokens)), sum(usd), worst, counted is not None)


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


def _claude_requests(bench: Bench) -> list[dict]:
    study, models = bench.study, bench.study.claude
    asked = bench.corpus.ask("paraphrase")
    first = next(iter(study.grids))
    every = study.judge == "claude"
    blocks = [block for notebook in (study.grids if every else [first]) for block in study.grids[notebook]]
    named = [(block, name) for block in blocks for name in block.conditions if every or name == "base"]
    jobs = {job for block, name in named for job in _jobs(bench, block, name) if job[2] != "choice"}
    questions = [
        q for _, _, probe, split, facts in sorted(jobs, key=str) for q in bench.corpus.ask(probe, split, facts)
    ]
    judged = [question for question in questions if question.expected is not None]
    if every:  # Claude's own answers, and the screening of the base model
        judged += [*asked, *(q for probe in ("general", "easy") for q in bench.corpus.screen(probe))]
    answer = "word " * (4 * bench.layout.max_new_tokens // 5)
    bodies = [claude.answer_request(models, q.text) for q in asked]
    bodies += [claude.judge_request(models, claude.JudgeItem(q.text, q.expected, answer)) for q in judged]
    if "03_claude_reformatting" in study.grids:
        bodies += [claude.reformat_request(models, item) for item in bench.corpus.items("test", claude.SAMPLE)]
    if "06_hybrid" in study.grids:  # two pairs of arms, each in both orders
        pairs = [claude.Pair(q.text, q.expected, answer, answer) for q in asked[: claude.SAMPLE]]
        bodies += [claude.prefer_request(models, pair) for pair in pairs] * 4
    return bodies


def print_claude(bench: Bench) -> None:
    """Print what Claude would cost, or that it is not asked."""
    study = bench.study
    if study.claude is None:
        print("Claude: not asked; USD 0")
        return
    if unpriced := {study.claude.answer_model, study.claude.judge_model} - set(PRICES_USD_PER_MTOK):
        print(f"Claude: no price known for {sorted(unpriced)}")
        return
    cost = forecast_claude(bench)
    how = "counted by the API on a sample" if cost.counted else "an estimate from length"
    print(
        f"Claude (judge: {study.judge}): at most {cost.requests:,} requests, {cost.tokens_in:,} tokens in ({how}), "
        f"about USD {cost.usd:.2f}, never more than {cost.worst_usd:.2f}, at the batch prices of {PRICES_AS_OF}; "
        f"the limit is {study.claude.max_usd:g}. USD 0 without ANTHROPIC_API_KEY"
    )


def main(study_name: str) -> None:
    """Print the forecast as a table. Raises ValueError when a step cannot fit into the device's memory."""
    study = load_study(study_name)
    shapes, bench = shapes_of(study), counting_bench(study)
    device = measure_device(study.generation.precision)
    found = needs(bench, shapes)
    refuse_unfit(study, found, device.name, device.memory_gib)
    fetched = must_be_fetched(study)
    rates = estimated_rates(bench, shapes["base"], device) if fetched else calibrate(bench)
    how = (
        f"estimated from {device.flops / 1e12:.1f} TFLOP/s and {device.bytes_per_s / 1e9:.0f} GB/s here, tokens counted "
        f"with the tokenizer of {COUNTER}"
        if fetched
        else "measured"
    )
    print(
        f"{device.name}: {rates.train_tokens_per_s:.0f} training tokens/s, {rates.read_tokens_per_s:.0f} read/s ({how})"
    )
    costs = forecast(bench, rates)
    print(f"{'notebook':26} {'training tokens':>16} {'answers':>8} {'tokens read':>12} {'minutes':>8}")
    for notebook, cost in costs.items():
        print(
            f"{notebook:26} {cost.train_tokens:16,} {cost.answers:8,} {cost.prompt_tokens:12,} {cost.seconds / 60:8.1f}"
        )
    minutes = sum(cost.seconds for cost in costs.values()) / 60
    print(f"{'together':26} {minutes:>65.0f} minutes ({minutes / 60:.1f} hours)")
    print(f"peak memory about {found[0].gib:.1f} of {device.memory_gib:.1f} GiB, {found[0].step}")
    print_claude(bench)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
