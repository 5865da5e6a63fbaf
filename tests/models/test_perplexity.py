"""Losses on plain text against the definition, computed one token at a time, and on models whose losses are known."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from lib.models.generate import Layout
from lib.models.perplexity import text_losses

TEXTS = [
    "The tide comes in twice a day.",
    "Bread.",
    "A long, narrow bay piles the wave up on itself, and more of it.",
    "ab",
]
LAYOUT = Layout(max_new_tokens=1, batch_size=8, batch_tokens=4096)


def by_definition(lm, text):
    """-sum_t log p(x_t | x_<t) from t = 2, each factor from a forward pass of its own, without any padding."""
    ids, total = lm.tokenizer(text).input_ids, 0.0
    for place in range(1, len(ids)):
        with torch.no_grad():
            logits = lm.model(torch.tensor([ids[:place]])).logits[0, -1]
        total -= logits.double().log_softmax(-1)[ids[place]].item()
    return total, len(ids) - 1


@pytest.fixture(scope="module")
def indifferent(tiny):
    """The tiny model with all weights 0: every token is as likely as any other."""
    model = copy.deepcopy(tiny.model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    return replace(tiny, load=lambda: model)


def test_losses_are_the_sums_of_log_probabilities_without_the_first_token(tiny, empty_store):
    losses = text_losses(tiny, TEXTS, layout=LAYOUT, key="key")
    for text, loss in zip(TEXTS, losses, strict=True):
        total, tokens = by_definition(tiny, text)
        assert loss.total == pytest.approx(total, rel=1e-5)
        assert loss.tokens == tokens


def test_a_model_that_knows_nothing_has_the_size_of_its_vocabulary_as_perplexity(indifferent, empty_store):
    losses = text_losses(indifferent, TEXTS, layout=LAYOUT, key="key")
    mean = sum(loss.total for loss in losses) / sum(loss.tokens for loss in losses)
    assert math.exp(mean) == pytest.approx(indifferent.model.config.vocab_size, rel=1e-6)
    assert [loss.total / loss.tokens for loss in losses] == pytest.approx([mean] * len(TEXTS), rel=1e-6)


def test_the_beginning_that_a_tokenizer_sets_itself_is_given_and_every_token_of_the_text_counts(tiny, empty_store):
    begun = copy.deepcopy(tiny.tokenizer)
    start = ("<|im_start|>", begun.convert_tokens_to_ids("<|im_start|>"))
    begun.backend_tokenizer.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[start])
    lm = replace(tiny, tokenizer=begun)
    assert begun(TEXTS[0]).input_ids[0] == start[1]
    (loss,) = text_losses(lm, TEXTS[:1], layout=LAYOUT, key="key")
    assert loss.tokens == len(tiny.tokenizer(TEXTS[0]).input_ids)
    assert loss.total == pytest.approx(by_definition(lm, TEXTS[0])[0], rel=1e-5)


def test_padding_order_and_the_texts_beside_it_do_not_change_a_loss(tiny, empty_store):
    together = text_losses(tiny, TEXTS, layout=LAYOUT, key="together")
    alone = text_losses(tiny, TEXTS[::-1], layout=LAYOUT._replace(batch_size=1), key="alone")[::-1]
    assert [x.total for x in together] == pytest.approx([x.total for x in alone], rel=1e-5)
    assert [x.tokens for x in together] == [x.tokens for x in alone]


def test_no_batch_holds_more_tokens_than_the_layout_allows(tiny, empty_store):
    most = 2 * max(len(tiny.tokenizer(text).input_ids) for text in TEXTS)
    text_losses(tiny, TEXTS * 3, layout=LAYOUT._replace(batch_tokens=most), key="key")
    lines = (empty_store / "perplexity" / "key" / "journal.jsonl").read_text().splitlines()
    lengths = [len(tiny.tokenizer(text).input_ids) for text in TEXTS * 3]
    batches = [[lengths[index] for index in json.loads(line)["batch"]] for line in lines]
    assert all(max(batch) * len(batch) <= most for batch in batches)
    assert sorted(length for batch in batches for length in batch) == sorted(lengths)


def test_finished_losses_are_read_without_loading_the_model(tiny, empty_store):
    first = text_losses(tiny, TEXTS, layout=LAYOUT, key="key")

    def load():
        raise AssertionError("finished work must not load weights")

    assert text_losses(replace(tiny, load=load), TEXTS, layout=LAYOUT, key="key") == first


def test_an_interrupted_call_gives_the_same_losses(tiny, empty_store):
    layout = LAYOUT._replace(batch_size=1)
    whole = text_losses(tiny, TEXTS, layout=layout, key="whole")
    text_losses(tiny, TEXTS, layout=layout, key="cut")
    journal = empty_store / "perplexity" / "cut" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    again = text_losses(tiny, TEXTS, layout=layout, key="cut")
    assert [(x.total, x.tokens) for x in again] == [(x.total, x.tokens) for x in whole]
    assert len(journal.read_text().splitlines()) == len(lines) == len(TEXTS)


def test_losses_journaled_for_other_texts_are_refused(tiny, empty_store):
    text_losses(tiny, TEXTS, layout=LAYOUT, key="key")
    with pytest.raises(ValueError, match="journal does not match its key"):
        text_losses(tiny, TEXTS[::-1], layout=LAYOUT, key="key")


def test_a_text_of_one_token_is_refused(tiny, empty_store):
    with pytest.raises(ValueError, match="2 or more tokens; got 'a'"):
        text_losses(tiny, ["The tide", "a"], layout=LAYOUT, key="key")
    assert not (empty_store / "perplexity").exists()
