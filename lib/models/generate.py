"""Greedy generation in a fixed, recorded layout, resumable batch by batch."""

import time
from typing import NamedTuple

import torch

from lib import progress, runs
from lib.models.registry import LanguageModel


class Completion(NamedTuple):
    """One generated text. `seconds` is this prompt's share of its batch."""

    text: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float


class Layout(NamedTuple):
    """How prompts are grouped: at most `batch_size` rows, and rows times longest prompt at most `batch_tokens`."""

    max_new_tokens: int
    batch_size: int
    batch_tokens: int


def plan_batches(lengths: list[int], layout: Layout) -> list[list[int]]:
    """Indices grouped into batches, longest prompts first so that memory trouble shows at once.

    Ties keep their order. A single prompt longer than `batch_tokens` gets a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches: list[list[int]] = []
    for index in order:
        # The first row of a batch is its longest, hence sets the padded width of all its rows.
        if batches and len(batches[-1]) < layout.batch_size:
            width = lengths[batches[-1][0]]
            if width * (len(batches[-1]) + 1) <= layout.batch_tokens:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches


def generate(
    lm: LanguageModel, prompts: list[str], *, layout: Layout, stop: str | None, key: str, label: str
) -> list[Completion]:
    """Greedy completions of `prompts`, in their order.

    Finished batches are journaled under `key`, so that an interrupted call goes on where it stopped and a finished one
    costs nothing. `stop` ends a text at its first occurrence (few-shot prompts stop at the line's end).
    """
    encoded = [lm.tokenizer(prompt, add_special_tokens=False).input_ids for prompt in prompts]
    batches = plan_batches([len(ids) for ids in encoded], layout)
    with runs.locked(runs.cache_dir("answers", key)):
        journal = runs.Journal("answers", key)
        done = sum(len(entry["batch"]) for entry in journal.entries)
        with progress.bar(total=len(prompts), done=done, label=label, unit="answer") as bar:
            for batch in batches[len(journal.entries) :]:
                started = time.perf_counter()
                texts = _generate_batch(lm, [encoded[index] for index in batch], layout, stop)
                seconds = (time.perf_counter() - started) / len(batch)
                journal.append({"batch": batch, "completions": [[text, n, seconds] for text, n in texts]})
                bar.update(len(batch))
    completions: dict[int, Completion] = {}
    for batch, entry in zip(batches, journal.entries, strict=True):
        if entry["batch"] != batch:
            raise ValueError(f"{journal.path}: journal does not match its key; delete this folder and run again")
        for index, (text, tokens, seconds) in zip(batch, entry["completions"], strict=True):
            completions[index] = Completion(text, len(encoded[index]), tokens, seconds)
    return [completions[index] for index in range(len(prompts))]


@torch.inference_mode()
def _generate_batch(
    lm: LanguageModel, batch: list[list[int]], layout: Layout, stop: str | None
) -> list[tuple[str, int]]:
    """The texts and token counts of one batch, each row until its own end.

    The library's own loop decodes every row until the last one ends: rows that are done, half of all on short answers,
    would be computed on for nothing. Here they leave the batch, a few at a time.
    """
    padded = lm.tokenizer.pad({"input_ids": batch}, padding_side="left", return_tensors="pt").to(lm.model.device)
    mask, ends = padded["attention_mask"], set(_stop_ids(lm))
    positions = mask.cumsum(-1).sub(1).clamp(min=0)
    step = lm.model(
        input_ids=padded["input_ids"], attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
    )
    written: list[list[int]] = [[] for _ in batch]
    rows, positions = list(range(len(batch))), positions[:, -1:]
    for _ in range(layout.max_new_tokens):
        tokens = step.logits[:, -1].argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if not _ended(lm, written[row], ends, stop):
                written[row].append(token)
        going = [place for place, row in enumerate(rows) if not _ended(lm, written[row], ends, stop)]
        if not going:
            break
        if len(rows) - len(going) > len(rows) // 8:
            kept = torch.tensor(going, device=mask.device)
            step.past_key_values.batch_select_indices(kept)
            rows, tokens, mask, positions = [rows[p] for p in going], tokens[kept], mask[kept], positions[kept]
        mask, positions = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1), positions + 1
        step = lm.model(
            input_ids=tokens[:, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=step.past_key_values,
            use_cache=True,
        )
    texts = []
    for ids in written:
        ids = ids[:-1] if ids and ids[-1] in ends else ids
        text = lm.tokenizer.decode(ids, skip_special_tokens=True)
        texts.append((text.split(stop)[0].strip() if stop else text.strip(), len(ids)))
    return texts


def _ended(lm: LanguageModel, ids: list[int], ends: set[int], stop: str | None) -> bool:
    return bool(ids) and (ids[-1] in ends or (stop is not None and stop in lm.tokenizer.decode(ids)))


def _stop_ids(lm: LanguageModel) -> list[int]:
    turn_ends = [t for t in ("<|im_end|>", "<end_of_turn>", "<|eot_id|>") if t in lm.tokenizer.get_vocab()]
    return sorted({lm.tokenizer.eos_token_id, *lm.tokenizer.convert_tokens_to_ids(turn_ends)})


def answer_alone(lm: LanguageModel, prompt: str, *, layout: Layout, stop: str | None) -> tuple[Completion, float]:
    """One prompt asked by itself, uncached: the completion and its latency in milliseconds."""
    ids = lm.tokenizer(prompt, add_special_tokens=False).input_ids
    started = time.perf_counter()
    ((text, tokens),) = _generate_batch(lm, [ids], layout, stop)
    seconds = time.perf_counter() - started
    return Completion(text, len(ids), tokens, seconds), seconds * 1000
