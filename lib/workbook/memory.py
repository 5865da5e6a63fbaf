"""What a study needs at its peak, step by step, and whether the device has it."""

import os
from typing import NamedTuple

import yaml

from lib import paths
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.models import registry
from lib.models.capacity import Shape, memory_gib, shape_of
from lib.studies import Recipe, Study
from lib.training.recipes import build_examples
from lib.training.sft import tokenize

# Of the interpreter and its libraries, or of a GPU's context.
OVERHEAD_GIB = 1.0
# Whose tokenizer counts for models that are not here.
COUNTER = "smollm2-135m-instruct"
# Of a trained weight: itself, its gradient and Adam's two moments, all in float32.
TRAINED_BYTES = 16


class Need(NamedTuple):
    """One step: its name, the GiB it takes at its peak on one device, and what would make it take less."""

    step: str
    gib: float
    remedy: str


def must_be_fetched(study: Study) -> bool:
    """Whether a model of the study is on the Hub, so that planning must do without its tokenizer and its weights."""
    return any(isinstance(registry.resolve(source), str) for source in study.models.values())


def counting_bench(study: Study) -> Bench:
    """A bench that counts the study's tokens: with the models' own tokenizers, or with COUNTER's for those to be fetched.

    A larger vocabulary cuts the same English into fewer tokens, so that counts err upwards.
    """
    if must_be_fetched(study):
        study = study.model_copy(update={"models": dict.fromkeys(study.models, COUNTER)})
    bench = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    bench.hybrid = study.hybrid_candidates[-1]  # which one dev will choose is not known yet; they cost the same
    return bench


def check_fits(study: Study) -> None:
    """Raises ValueError when a step of the study cannot fit into the memory here; nothing is fetched to find out.

    Counting switches the Hub client off; the environment, which the notebooks' processes inherit, is left as it was.
    """
    before = dict(os.environ)
    try:
        found = needs(counting_bench(study), shapes_of(study))
    finally:
        os.environ.clear()
        os.environ.update(before)
    refuse_unfit(study, found, registry.device_name(), memory_gib())


def needs(bench: Bench, shapes: dict[str, Shape]) -> list[Need]:
    """What answering with each model and training each recipe that a grid uses take, the hungriest first.

    shapes: of the study's models, which need not be those that the bench counts tokens with.
    """
    study = bench.study
    bytes_each = registry.choose_precision(study.generation.precision).dtype.itemsize
    found = [_answering(name, shape, bench, bytes_each) for name, shape in shapes.items()]
    found += [_training(name, study.recipes[name], shapes["base"], bench, bytes_each) for name in used_recipes(study)]
    return sorted(found, key=lambda need: -need.gib)


def used_recipes(study: Study) -> list[str]:
    """The recipes whose weights some grid asks, the hybrid's candidates among them, or whose gradients are measured."""
    asked = {name for blocks in study.grids.values() for block in blocks for name in block.conditions}
    asked = (asked | set(study.hybrid_candidates)) - {"hybrid"}
    weights = {study.conditions[name].weights for name in asked}
    weights |= {study.gradients.raw, study.gradients.uniform} if study.gradients else set()
    return [name for name in study.recipes if name in weights]


def _answering(name: str, shape: Shape, bench: Bench, bytes_each: int) -> Need:
    """Weights, keys and values of a full batch, one layer's activations while it is read, and the logits it writes with."""
    layout = bench.layout
    tokens = layout.batch_tokens + layout.batch_size * layout.max_new_tokens
    cache = 2 * shape.layers * shape.key_value * tokens * bytes_each
    layer = layout.batch_tokens * (4 * shape.hidden + 2 * shape.intermediate) * bytes_each
    logits = 4 * layout.batch_size * shape.vocabulary
    gib = OVERHEAD_GIB + (shape.parameters * bytes_each + cache + layer + logits) / 2**30
    return Need(f"answering with {name}", gib, "a smaller generation.batch_tokens, or a smaller model")


def _training(name: str, recipe: Recipe, shape: Shape, bench: Bench, bytes_each: int) -> Need:
    """Frozen weights, trained ones with their states, activations and the answers' logits.

    Activations are layers * tokens * (34 * hidden + 2 * intermediate) values for the padded tokens of a batch; logits three
    copies in float32 of a third of the tokens. Of several processes each holds a share of the batch, and under FSDP of all
    weights too. Where conflicts are projected away, a gradient for each example of the batch is held besides.
    """
    tokenizer = bench.language_model("base", 0).tokenizer
    examples = build_examples(bench.corpus, recipe, tokenizer, bench.shelf.passages)
    longest = max((len(tokenize(tokenizer, example)["input_ids"]) for example in examples), default=0)
    processes, sharded = _processes(bench.study)
    tokens = recipe.batch_size * longest / processes
    if recipe.method == "full":
        held = TRAINED_BYTES * shape.parameters
        remedy = "studies/accelerate/fsdp2.yaml as the study's `accelerate` on several GPUs, an adapter instead"
    else:
        trained = shape.adapter(recipe.rank, attention_only=recipe.target_modules == "attention")
        examples_apart = recipe.batch_size if recipe.conflicts == "projected" else 0
        held = bytes_each * shape.parameters + (TRAINED_BYTES + 4 * examples_apart) * trained
        remedy = (
            "a smaller batch_size or rank, studies/accelerate/fsdp2.yaml as the study's `accelerate` on several GPUs"
        )
    activations = bytes_each * shape.layers * tokens * (34 * shape.hidden + 2 * shape.intermediate)
    logits = 3 * 4 * shape.vocabulary * tokens / 3
    gib = OVERHEAD_GIB + (held / (processes if sharded else 1) + activations + logits) / 2**30
    return Need(f"training {name}", gib, f"{remedy}, or a smaller model")


def _processes(study: Study) -> tuple[int, bool]:
    """How many processes train, and whether they share out the weights."""
    if study.accelerate is None:
        return 1, False
    config = yaml.safe_load((paths.ROOT / study.accelerate).read_text(encoding="utf-8"))
    return config["num_processes"], config["distributed_type"] == "FSDP"


def shapes_of(study: Study) -> dict[str, Shape]:
    """The shapes of the study's models by name."""
    return {name: shape_of(source) for name, source in study.models.items()}


def refuse_unfit(study: Study, found: list[Need], device: str, available_gib: float) -> None:
    """Raises ValueError naming every step that needs more than the device has, both numbers, and what to do."""
    unfit = [need for need in found if need.gib > available_gib]
    if unfit:
        lines = [f"  {need.step}: about {need.gib:.1f} GiB; take {need.remedy}" for need in unfit]
        said = f"study {study.name} does not fit: {device} has {available_gib:.1f} GiB"
        raise ValueError("\n".join([said, *lines]))
