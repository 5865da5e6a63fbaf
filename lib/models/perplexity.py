"""How well a model foresees plain text: log-likelihood token by token, no question asked and nothing generated."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from lib import runs
from lib.models.generate import Layout, plan_batches
from lib.models.registry import LanguageModel


class TextLoss(NamedTuple):
    """The negative log-likelihood of one text in nats, the tokens that it sums over, and the text's share of the seconds."""

    total: float
    tokens: int
    seconds: float


def text_losses(lm: LanguageModel, texts: Sequence[str], *, layout: Layout, key: str) -> list[TextLoss]:
    """-sum_t log p(x_t | x_<t) of each text, in their order, each by itself and without a prompt.

    The first token, the tokenizer's own beginning of a text where it sets one, is given and not counted. Finished batches
    are journaled under `key`. Logits of a whole batch are held at once: batch_tokens bounds them.

    Raises ValueError for a text of fewer than 2 tokens, of which nothing is left to foresee, and when the journal is not
    this call's.
    """
    encoded = [lm.tokenizer(text).input_ids for text in texts]
    if short := [text for text, ids in zip(texts, encoded, strict=True) if len(ids) < 2]:
        raise ValueError(f"a text needs 2 or more tokens; got {short[0]!r}")
    batches = plan_batches([len(ids) for ids in encoded], layout)
    with runs.locked(runs.cache_dir("perplexity", key)):
        journal = runs.Journal("perplexity", key)
        for batch in batches[len(journal.entries) :]:
            started = time.perf_counter()
            totals = _batch_losses(lm, [encoded[index] for index in batch])
            seconds = time.perf_counter() - started
            journal.append({"batch": batch, "totals": totals, "seconds": seconds})
    losses: dict[int, TextLoss] = {}
    for batch, entry in zip(batches, journal.entries, strict=True):
        if entry["batch"] != batch:
            raise ValueError(f"{journal.path}: journal does not match its key; delete this folder and run again")
        for index, total in zip(batch, entry["totals"], strict=True):
            losses[index] = TextLoss(total, len(encoded[index]) - 1, entry["seconds"] / len(batch))
    return [losses[index] for index in range(len(texts))]


@torch.inference_mode()
def _batch_losses(lm: LanguageModel, batch: list[list[int]]) -> list[float]:
    # Padding stands behind the text, where no token that counts can see it.
    padded = lm.tokenizer.pad({"input_ids": batch}, padding_side="right", return_tensors="pt").to(lm.model.device)
    logits = lm.model(**padded).logits
    losses = []
    for row, ids in enumerate(batch):
        target = padded["input_ids"][row, 1 : len(ids)]
        loss = torch.nn.functional.cross_entropy(logits[row, : len(ids) - 1].float(), target, reduction="none")
        losses.append(loss.double().sum().item())
    return losses
