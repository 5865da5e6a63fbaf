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
    padded = lm.tokenizer.pad({"input_ids": batch}, padding_side="left", return_tensors="pt").to(lm.model.device)
    output = lm.model.generate(
        **padded,
        max_new_tokens=layout.max_new_tokens,
        do_sample=False,
        pad_token_id=lm.tokenizer.pad_token_id,
        eos_token_id=_stop_ids(lm),
        **({"stop_strings": [stop], "tokenizer": lm.tokenizer} if stop else {}),
    )
    texts = []
    for row in output[:, padded["input_ids"].shape[1] :].tolist():
        ids = _until_stop(row, set(_stop_ids(lm)) | {lm.tokenizer.pad_token_id})
        text = lm.tokenizer.decode(ids, skip_special_tokens=True)
        texts.append((text.split(stop)[0].strip() if stop else text.strip(), len(ids)))
    return texts


def _stop_ids(lm: LanguageModel) -> list[int]:
    turn_ends = [t for t in ("<|im_end|>", "<end_of_turn>", "<|eot_id|>") if t in lm.tokenizer.get_vocab()]
    return sorted({lm.tokenizer.eos_token_id, *lm.tokenizer.convert_tokens_to_ids(turn_ends)})


def _until_stop(ids: list[int], stops: set[int]) -> list[int]:
    return next((ids[:place] for place, token in enumerate(ids) if token in stops), ids)


def answer_alone(lm: LanguageModel, prompt: str, *, layout: Layout, stop: str | None) -> tuple[Completion, float]:
    """One prompt asked by itself, uncached: the completion and its latency in milliseconds."""
    ids = lm.tokenizer(prompt, add_special_tokens=False).input_ids
    started = time.perf_counter()
    ((text, tokens),) = _generate_batch(lm, [ids], layout, stop)
    seconds = time.perf_counter() - started
    return Completion(text, len(ids), tokens, seconds), seconds * 1000
