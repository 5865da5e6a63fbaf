"""Answers whose tokens are told apart: those that state the fact's value, and the others, which make the style."""

from collections import Counter
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lib.corpus.load import Corpus
from lib.corpus.matching import locate
from lib.corpus.records import FaqItem
from lib.models.prompts import target_answer
from lib.training.recipes import Example, render_example
from lib.training.sft import tokenize

# Wordings of each fact among `paraphrases`, so that a fact has three pairs.
WORDINGS = 3


class Target(NamedTuple):
    """An answer to learn; completion[start:end] is the first statement of its value.

    Later statements count as style: with the first before them, they can be copied.
    """

    example: Example
    start: int
    end: int


class Row(NamedTuple):
    """A target as tokens: ids (1, T), of which the last `is_value.numel()` are the answer and its end."""

    ids: torch.Tensor
    is_value: torch.Tensor


def gradient_targets(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, items: int) -> dict[str, list[Target]]:
    """What gradients are measured on, over the first `items` FAQ items of the test split.

    raw, uniform: the two answers of the same items. shuffled: each question with the uniform answer of another item, of
    another value. paraphrases: of the first items // 3 items, three training wordings each (fewer where there are fewer).
    """
    chosen = corpus.items("test", items)
    wordings = {item.id: [p for p in corpus.paraphrases if p.faq_id == item.id][:WORDINGS] for item in chosen}
    pairs = zip(chosen, _deranged(corpus, chosen), strict=True)
    target = partial(_target, corpus, tokenizer)
    return {
        "raw": [target(item.question, target_answer(item, "raw"), item) for item in chosen],
        "uniform": [target(item.question, target_answer(item, "uniform"), item) for item in chosen],
        "shuffled": [target(item.question, target_answer(other, "uniform"), other) for item, other in pairs],
        "paraphrases": [
            target(p.question, p.answer, item) for item in chosen[: items // WORDINGS] for p in wordings[item.id]
        ],
    }


def wording_targets(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, data: str, items: int | None, split: str = "test"
) -> dict[str, list[Target]]:
    """The same answers after two questions: the trained one, and the first paraphrase question, which no arm trains on.

    data: raw or uniform, the answers that the arm was trained on. Of the first `items` FAQ items of the split (None: all);
    those of facts without a paraphrase question are in neither.
    """
    asked = {question.fact_ids[0]: question for question in reversed(corpus.ask("paraphrase", split, items))}
    chosen = [item for item in corpus.items(split, items) if item.fact_ids[0] in asked]
    target = partial(_target, corpus, tokenizer)
    return {
        "trained": [target(item.question, target_answer(item, data), item) for item in chosen],
        "paraphrase": [target(asked[item.fact_ids[0]].text, target_answer(item, data), item) for item in chosen],
    }


def _target(corpus: Corpus, tokenizer, question: str, answer: str, item: FaqItem) -> Target:
    """A target whose value is that of `item`, whose answer it is."""
    fact = corpus.fact[item.fact_ids[0]]
    span = locate(answer, fact)
    if span is None:
        raise ValueError(f"{item.id}: the value {fact.value!r} is not stated in {answer[:80]!r}; correct the FAQ item")
    return Target(render_example(tokenizer, "neutral", question, (), answer, fact.id), *span)


def _deranged(corpus: Corpus, items: list[FaqItem]) -> list[FaqItem]:
    """The items rearranged so that none meets its own value: sorted by value, turned by the size of the largest group."""
    values = [corpus.fact[item.fact_ids[0]].value for item in items]
    most = max(Counter(values).values())
    if 2 * most > len(items):
        raise ValueError(
            f"{most} of {len(items)} items share one value, so answers cannot be shuffled; take more items"
        )
    order = sorted(range(len(items)), key=values.__getitem__)
    other = {place: items[order[(rank + most) % len(order)]] for rank, place in enumerate(order)}
    return [other[place] for place in range(len(items))]


def encode(tokenizer: PreTrainedTokenizerBase, target: Target) -> Row:
    """The tokens that training sees; a token is of the value when it holds any character of its first statement."""
    encoded = tokenizer(target.example.completion, add_special_tokens=False, return_offsets_mapping=True)
    is_value = [start < target.end and end > target.start for start, end in encoded.offset_mapping]
    ids = tokenize(tokenizer, target.example)["input_ids"]
    return Row(torch.tensor([ids]), torch.tensor([*is_value, False]))  # the end of the turn is style


def token_losses(model: PreTrainedModel, row: Row) -> torch.Tensor:
    """-log p of each answer token given all before it, in nats, shape (answer tokens,); differentiable."""
    ids, answer = row.ids.to(model.device), row.is_value.numel()
    # As in training, adapters are float32 over a base that may be bfloat16.
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.dtype is torch.bfloat16):
        # Only the answer's positions reach the vocabulary head; the last one predicts nothing.
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=answer + 1).logits[0, :-1].float()
    return F.cross_entropy(logits, ids[0, -answer:], reduction="none")
