"""Do the gradients of training examples conflict? Inner products of per-example gradients of the adapter's weights.

A conflict is a negative cosine (Yu et al. 2020, PCGrad, arXiv 2001.06782). They compare tasks; here each example is a
task of its own, its gradient is split by tokens, and inner products are all that is kept: one gradient of rank 64 takes
78 MB.
"""

import json
import time
from typing import NamedTuple

import torch
import transformers
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

import lib.training.targets
from lib import progress, runs
from lib.models import registry
from lib.studies import Recipe
from lib.training import sft
from lib.training.targets import Row, Target, encode, token_losses

# What the gradients of one group of parameters may take, over all examples; more parameters take more passes.
BUDGET_GIB = 2.0
ADAM_EPSILON = 1e-8
# What of a recipe decides the adapter that training begins with.
SHAPE = {"rank", "alpha", "rslora", "dora", "target_modules"}
TOKENS = ("value", "style")


class Adapter(NamedTuple):
    """LoRA weights at one point of training; `trained` None: as training finds them, B = 0 and A random (seed 0).

    Full weights have no adapter: they stand for themselves, once trained.
    """

    source: str
    precision: str
    recipe: Recipe
    trained: sft.Trained | None

    @property
    def key(self) -> str:
        """The hash of whatever the weights depend on."""
        base = registry.load_language_model(self.source, self.precision).fingerprint
        shape = self.recipe.model_dump(include=SHAPE, exclude_defaults=True)
        return runs.content_hash([base, shape, self.trained.key if self.trained else "untrained"])

    def load(self) -> PreTrainedModel:
        """The base model, frozen, with the adapter unmerged and trainable, on `registry.device()`; full weights as they are."""
        if self.recipe.method == "full":
            return sft.load_trained(self.source, self.trained).to(registry.device()).eval()
        base = AutoModelForCausalLM.from_pretrained(
            registry.resolve(self.source),
            dtype=registry.choose_precision(self.precision).dtype,
            use_safetensors=True,
            trust_remote_code=False,
        )
        if self.trained is None:
            transformers.set_seed(0)
            model = get_peft_model(base, sft.lora_config(self.recipe))
        else:
            model = PeftModel.from_pretrained(base, self.trained.folder, is_trainable=True)
        return model.to(registry.device()).eval()


class Measured(NamedTuple):
    """Inner products of gradients of n examples, row k * n + i: tokens k (0 value, 1 style) of example i.

    plain, adam: (2n, 2n), of gradients and of gradients preconditioned as Adam does. facts: the fact of each example.
    """

    facts: list[str]
    plain: list[list[float]]
    adam: list[list[float]]
    seconds: float


def measure(adapter: Adapter, targets: list[Target], *, label: str) -> Measured:
    """The Gram matrices of the targets' gradients with these weights; read from the cache when they exist."""
    import lib.training.gradients as this_module

    code = runs.code_version(this_module, lib.training.targets)
    key = runs.content_hash([adapter.key, targets, runs.versions(), code])
    folder = runs.cache_dir("gradients", key)
    with runs.locked(folder):
        if not (folder / "gram.json").exists():
            started = time.perf_counter()
            tokenizer = registry.load_language_model(adapter.source, adapter.precision).tokenizer
            rows = [encode(tokenizer, target) for target in targets]
            plain, adam = gram_matrices(adapter.load(), rows, budget_gib=BUDGET_GIB, label=label)
            seconds = round(time.perf_counter() - started, 1)
            facts = [target.example.fact_id for target in targets]
            runs.write_json(folder / "gram.json", Measured(facts, plain.tolist(), adam.tolist(), seconds)._asdict())
    return Measured(**json.loads((folder / "gram.json").read_text()))


def gram_matrices(
    model: PreTrainedModel, rows: list[Row], *, budget_gib: float, label: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """<g_a, g_b> over all trainable parameters, for the value and the style gradient of every row.

    g is the gradient of the summed -log p of the tokens, which training adds up over a batch, so that value and style
    together are the example's whole gradient. Before any step B = 0 and A's gradient vanishes: what is measured there is
    B alone, s * D^T X A^T with the layer's inputs X and output gradients D, a random projection of the full weight's
    gradient. The second matrix has each parameter's gradient divided by sqrt(v) + 1e-8, Adam's scale; v is the mean
    square over the rows' whole gradients themselves, as Adam's state at the point is not kept.
    Args: gradients are held for one group of parameters at a time, at most `budget_gib` GiB unless one parameter needs
    more; every group costs one forward and two backward passes a row. Returns float64 (2n, 2n) each, see `Measured`.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = group_parameters(parameters, 2 * len(rows), budget_gib)
    plain, adam = (torch.zeros(2 * len(rows), 2 * len(rows), dtype=torch.float64) for _ in range(2))
    with progress.bar(total=len(groups) * len(rows), label=label, unit="example") as bar:
        for group in groups:
            for gradients in _gradients(model, rows, group, bar):
                plain += (gradients @ gradients.T).double().cpu()
                whole = gradients[: len(rows)] + gradients[len(rows) :]
                gradients /= whole.square().mean(0).sqrt() + ADAM_EPSILON
                adam += (gradients @ gradients.T).double().cpu()
    return plain, adam


def group_parameters(
    parameters: list[torch.nn.Parameter], gradients: int, budget_gib: float
) -> list[list[torch.nn.Parameter]]:
    """The parameters in order, in groups whose float32 gradients, so many of each, take at most the budget."""
    groups: list[list[torch.nn.Parameter]] = []
    free = 0.0
    for parameter in parameters:
        size = 4 * gradients * parameter.numel()
        if not groups or size > free:
            groups.append([])
            free = budget_gib * 2**30
        groups[-1].append(parameter)
        free -= size
    return groups


def _gradients(model, rows: list[Row], group: list[torch.nn.Parameter], bar):
    """For each parameter of the group the gradients as (2n, elements), value rows above style rows."""
    held = [torch.empty(2 * len(rows), p.numel(), device=p.device) for p in group]
    for place, row in enumerate(rows):
        losses = token_losses(model, row)
        is_value = row.is_value.to(losses.device)
        for half, chosen in enumerate((is_value, ~is_value)):
            parts = torch.autograd.grad(losses[chosen].sum(), group, retain_graph=half == 0)
            for matrix, part in zip(held, parts, strict=True):
                matrix[half * len(rows) + place] = part.flatten()
        bar.update()
    return held
