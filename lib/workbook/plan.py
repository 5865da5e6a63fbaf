"""Forecast a study before anything is spent: tokens, minutes and memory of each notebook, from a 20-second calibration.

Of models that would have to be fetched nothing is: their speed and memory follow from their shapes and from what the
device multiplies and copies in a second. What cannot fit is refused.

python -m lib.workbook.plan STUDY
"""

import sys
from typing import NamedTuple

from lib.analysis.rates import twins
from lib.answering.conditions import Bench
from lib.models.capacity import measure_device
from lib.models.generate import plan_batches
from lib.studies import Recipe
from lib.study_file import load_study
from lib.training.recipes import build_examples
from lib.training.sft import tokenize
from lib.training.targets import gradient_targets
from lib.workbook import asked
from lib.workbook.claude_cost import print_claude
from lib.workbook.memory import COUNTER, counting_bench, must_be_fetched, needs, refuse_unfit, shapes_of
from lib.workbook.speed import Rates, calibrate, estimated_rates

# Around the computing: starting a kernel, importing and writing; loading and merging one set of tuned weights.
SECONDS_PER_NOTEBOOK, SECONDS_PER_WEIGHTS = 15, 5


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
                jobs += [job for job in bench.jobs(block, name) if job not in answered]
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


def main(study_name: str) -> None:
    """Print the forecast as a table. Raises ValueError when a step cannot fit into the device's memory."""
    study = load_study(study_name)
    shapes, bench = shapes_of(study), counting_bench(study)
    asked.refuse_missing(study, bench.corpus)
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
