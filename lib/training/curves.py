"""How well answers are known, token by token: the value apart from the words around it."""

import json
import math

import torch

import lib.training.targets
from lib import runs
from lib.models import registry
from lib.training.gradients import Adapter
from lib.training.targets import Target, encode, token_losses


def measure_losses(adapter: Adapter, targets: list[Target]) -> list[dict]:
    """For each target, teacher-forced, of its value's and of its other tokens: value_loss and style_loss, the mean -log p
    in nats, and value_sure and style_sure, the share of tokens with p > 0.5. Read from the cache when they exist.
    """
    import lib.training.curves as this_module

    code = runs.code_version(this_module, lib.training.targets)
    key = runs.content_hash([adapter.key, targets, runs.versions(), code])
    path = runs.cache_dir("curves", key) / "losses.json"
    if not path.exists():
        tokenizer = registry.load_language_model(adapter.source, adapter.precision).tokenizer
        model = adapter.load()
        runs.write_json(path, [_losses(model, tokenizer, target) for target in targets])
    return json.loads(path.read_text())


@torch.inference_mode()
def _losses(model, tokenizer, target: Target) -> dict:
    row = encode(tokenizer, target)
    losses = token_losses(model, row).cpu()
    found = {"fact": target.example.fact_id}
    for tokens, chosen in (("value", losses[row.is_value]), ("style", losses[~row.is_value])):
        found[f"{tokens}_loss"] = chosen.mean().item()
        found[f"{tokens}_sure"] = (chosen < math.log(2)).double().mean().item()
    return found
