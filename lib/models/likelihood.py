"""Log-likelihood of given continuations, for the probe `choice`: no text is generated, so no format can be lost."""

import torch

from lib import runs
from lib.models.generate import Layout, plan_batches
from lib.models.registry import LanguageModel


def choice_scores(
    lm: LanguageModel, prompts: list[str], choices: list[tuple[str, ...]], *, layout: Layout, key: str
) -> list[tuple[float, ...]]:
    """For each prompt, the log-likelihood per character of each of its choices as the continuation.

    score(c) = sum_t log p(c_t | prompt, c_<t) / len(c). Dividing by characters, not tokens, does not favour values that
    the vocabulary happens to spell in few tokens (the evaluation harness calls this acc_norm).

    Args: prompts and choices have equal length. Returns tuples aligned with `choices`. Journaled under `key`.
    """
    rows = [(index, choice) for index, options in enumerate(choices) for choice in options]
    separator = "" if prompts and prompts[0].endswith("\n") else " "
    encoded = []
    for index, choice in rows:
        head = lm.tokenizer(prompts[index], add_special_tokens=False).input_ids
        encoded.append((head, lm.tokenizer(separator + choice, add_special_tokens=False).input_ids))
    batches = plan_batches([len(head) + len(tail) for head, tail in encoded], layout)
    with runs.locked(runs.cache_dir("choices", key)):
        journal = runs.Journal("choices", key)
        for batch in batches[len(journal.entries) :]:
            journal.append({"batch": batch, "scores": _score_batch(lm, [encoded[index] for index in batch])})
    totals = {}
    for batch, entry in zip(batches, journal.entries, strict=True):
        totals.update(zip(batch, entry["scores"], strict=True))
    scores: list[list[float]] = [[] for _ in prompts]
    for place, (index, choice) in enumerate(rows):
        scores[index].append(totals[place] / len(choice))
    return [tuple(row) for row in scores]


@torch.inference_mode()
def _score_batch(lm: LanguageModel, batch: list[tuple[list[int], list[int]]]) -> list[float]:
    ids = [head + tail for head, tail in batch]
    padded = lm.tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt").to(lm.model.device)
    width = padded["input_ids"].shape[1]
    longest = max(len(tail) for _, tail in batch)
    # Only the last positions predict choice tokens; the head over the rest would be thrown away.
    logits = lm.model(**padded, logits_to_keep=longest + 1).logits.float()
    scores = []
    for row, (_, tail) in enumerate(batch):
        log_p = torch.log_softmax(logits[row, -len(tail) - 1 : -1], dim=-1)
        target = padded["input_ids"][row, width - len(tail) :]
        scores.append(log_p.gather(1, target[:, None]).sum().item())
    return scores
