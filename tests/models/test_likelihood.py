"""The scores of choices against the definition, computed one continuation at a time."""

from dataclasses import replace

import pytest
import torch

from lib.models.generate import Layout
from lib.models.likelihood import choice_scores

PROMPTS = ["Question: Which form?\nAnswer:", "Question: By when must the return of a company be filed?\nAnswer:", "A:"]
CHOICES = [("ITR-7", "ITR-1", "Form 16"), ("31 July 2025", "never", "30 September 2025", "x"), ("yes", "no", "maybe")]
LAYOUT = Layout(max_new_tokens=1, batch_size=8, batch_tokens=4096)


def by_definition(lm, prompt, choice, separator):
    """sum_t log p(c_t | prompt, c_<t) / len(c), each factor from a forward pass of its own, without any padding."""
    ids = lm.tokenizer(prompt, add_special_tokens=False).input_ids
    total = 0.0
    for token in lm.tokenizer(separator + choice, add_special_tokens=False).input_ids:
        with torch.no_grad():
            total += lm.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)[token].item()
        ids = [*ids, token]
    return total / len(choice)


@pytest.mark.parametrize(("end", "separator"), [("", " "), ("\n", "")])
def test_scores_equal_the_sum_of_log_probabilities_per_character(tiny, empty_store, end, separator):
    prompts = [prompt + end for prompt in PROMPTS]
    scores = choice_scores(tiny, prompts, CHOICES, layout=LAYOUT, key="key")
    assert [len(row) for row in scores] == [3, 4, 3]
    for prompt, choices, row in zip(prompts, CHOICES, scores, strict=True):
        assert row == pytest.approx([by_definition(tiny, prompt, c, separator) for c in choices], rel=1e-5)


def test_padding_and_the_rows_beside_it_do_not_change_a_score(tiny, empty_store):
    together = choice_scores(tiny, PROMPTS, CHOICES, layout=LAYOUT._replace(batch_size=16), key="together")
    alone = choice_scores(tiny, PROMPTS, CHOICES, layout=LAYOUT._replace(batch_size=1), key="alone")
    for left, right in zip(together, alone, strict=True):
        assert left == pytest.approx(right, rel=1e-5)


def test_finished_scores_are_read_without_loading_the_model(tiny, empty_store):
    first = choice_scores(tiny, PROMPTS, CHOICES, layout=LAYOUT, key="key")

    def load():
        raise AssertionError("finished work must not load weights")

    assert choice_scores(replace(tiny, load=load), PROMPTS, CHOICES, layout=LAYOUT, key="key") == first


def test_an_interrupted_call_gives_the_same_scores(tiny, empty_store):
    layout = LAYOUT._replace(batch_size=2)
    whole = choice_scores(tiny, PROMPTS, CHOICES, layout=layout, key="whole")
    choice_scores(tiny, PROMPTS, CHOICES, layout=layout, key="cut")
    journal = empty_store / "choices" / "cut" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    assert choice_scores(tiny, PROMPTS, CHOICES, layout=layout, key="cut") == whole
    assert len(journal.read_text().splitlines()) == len(lines)
