"""How fast a study's base model trains, reads and writes here: measured, or estimated where the model is not here."""

import shutil
import time
from collections.abc import Sequence
from typing import NamedTuple

from lib import runs
from lib.answering.conditions import Bench
from lib.models import registry
from lib.models.capacity import Device, Shape
from lib.models.generate import Layout, generate
from lib.training.recipes import build_examples
from lib.training.sft import train
from lib.workbook.memory import used_recipes

# The share of the device's products that training and reading are taken to reach.
EFFICIENCY = 0.3


class Rates(NamedTuple):
    """What this machine does. A decoding step of a batch of B rows takes step_seconds + row_seconds * B."""

    train_tokens_per_s: float
    read_tokens_per_s: float
    step_seconds: float
    row_seconds: float
    steps: int


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


def estimated_rates(bench: Bench, shape: Shape, device: Device) -> Rates:
    """The rates of a model of this shape that is not here, from what the device does in a second.

    A training token takes 4 operations a base weight and 6 an adapter's, of the largest adapter; a token read takes 2. A
    decoding step reads all weights once and, for each row, its keys and values.
    """
    study, layout = bench.study, bench.layout
    bytes_each = registry.choose_precision(study.generation.precision).dtype.itemsize
    recipes = [study.recipes[name] for name in used_recipes(study)]
    adapter = max((shape.adapter(recipe.rank) for recipe in recipes if recipe.method == "lora"), default=0)
    reached = EFFICIENCY * device.flops
    tokens = layout.batch_tokens / layout.batch_size + layout.max_new_tokens
    cache = 2 * shape.layers * shape.key_value * tokens * bytes_each
    return Rates(
        reached / (4 * shape.multiplied + 6 * adapter),
        reached / (2 * shape.multiplied),
        shape.parameters * bytes_each / device.bytes_per_s,
        2 * shape.multiplied / reached + cache / device.bytes_per_s,
        layout.max_new_tokens,
    )
