"""Batches keep their promises, batched text equals text asked alone, and no finished batch is generated twice."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import lib.models.generate as module
from lib.models.generate import Layout, answer_alone, generate, plan_batches
from lib.models.prompts import Prompt, render_chat

LAYOUT = Layout(max_new_tokens=12, batch_size=2, batch_tokens=4096)
LENGTHS = [5, 90, 5, 31, 30, 7, 90, 2, 1, 64, 5]


@pytest.fixture
def prompts(tiny):
    questions = ["Which form?", "When is the return of a company due, and to whom?", "Why?", "How many?", "x " * 60]
    return [render_chat(tiny.tokenizer, Prompt("Answer.", question)) for question in questions]


@pytest.fixture
def batches_run(monkeypatch):
    """The batches that the model was really asked, as numbers of rows; set `fail_at` to break before that call."""

    class Calls(list):
        fail_at = None

    calls, original = Calls(), module._generate_batch

    def counted(lm, batch, *rest):
        if len(calls) == calls.fail_at:
            raise KeyboardInterrupt
        calls.append(len(batch))
        return original(lm, batch, *rest)

    monkeypatch.setattr(module, "_generate_batch", counted)
    return calls


def ask(lm, prompts, *, key="key", layout=LAYOUT, stop=None):
    return generate(lm, prompts, layout=layout, stop=stop, key=key, label="test")


def without_seconds(completions):
    return [(c.text, c.prompt_tokens, c.answer_tokens) for c in completions]


def test_every_index_is_in_exactly_one_batch():
    batches = plan_batches(LENGTHS, Layout(8, 3, 100))
    assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS)))
    assert plan_batches([], Layout(8, 3, 100)) == []


@pytest.mark.parametrize(("rows", "tokens"), [(1, 100), (3, 100), (4, 64), (8, 10_000)])
def test_no_batch_exceeds_its_rows_or_its_padded_tokens_unless_one_prompt_does_alone(rows, tokens):
    for batch in plan_batches(LENGTHS, Layout(8, rows, tokens)):
        padded = len(batch) * max(LENGTHS[index] for index in batch)
        assert len(batch) <= rows
        assert padded <= tokens or len(batch) == 1


def test_batches_are_filled_as_far_as_the_limits_allow():
    assert [len(batch) for batch in plan_batches([10] * 7, Layout(8, 3, 1000))] == [3, 3, 1]
    assert [len(batch) for batch in plan_batches([10] * 7, Layout(8, 5, 20))] == [2, 2, 2, 1]


def test_the_longest_prompts_come_first_and_ties_keep_their_order():
    order = [index for batch in plan_batches(LENGTHS, Layout(8, 3, 100)) for index in batch]
    assert [LENGTHS[index] for index in order] == sorted(LENGTHS, reverse=True)
    assert [index for index in order if LENGTHS[index] == 5] == [0, 2, 10]


def test_batched_greedy_text_equals_each_prompt_asked_alone_by_plain_generate(tiny, prompts, empty_store):
    layout = LAYOUT._replace(batch_size=5)
    answers = ask(tiny, prompts, layout=layout)
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = tiny.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        output = tiny.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        alone = tiny.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert answer.text == alone
        assert answer.prompt_tokens == ids.shape[1]
        assert answer_alone(tiny, prompt, layout=layout, stop=None)[0].text == alone
    assert len({answer.text for answer in answers}) > 1


def plain(lm, prompt):
    """The ids that the library's own greedy loop writes after a prompt asked alone."""
    ids = lm.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
    output = lm.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    return output[0, ids.shape[1] :].tolist()


def test_an_answer_ends_at_the_end_of_turn_token_which_is_neither_shown_nor_counted(
    tiny, prompts, empty_store, monkeypatch
):
    written = [plain(tiny, prompt) for prompt in prompts]
    end = written[0][4]
    monkeypatch.setattr(module, "_stop_ids", lambda lm: [end])
    for ids, answer in zip(written, ask(tiny, prompts, layout=LAYOUT._replace(batch_size=5)), strict=True):
        ids = ids[: ids.index(end)] if end in ids else ids
        assert answer.text == tiny.tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert answer.answer_tokens == len(ids)


def test_rows_that_end_early_leave_the_batch_and_change_no_other(tiny, empty_store, monkeypatch):
    asked = [render_chat(tiny.tokenizer, Prompt("Answer.", "Why? " * n)) for n in range(1, 25)]
    written = [plain(tiny, prompt) for prompt in asked]
    ends = {written[0][5], written[11][8]}
    monkeypatch.setattr(module, "_stop_ids", lambda lm: sorted(ends))
    rows, original = [], type(tiny.model).forward
    monkeypatch.setattr(
        type(tiny.model),
        "forward",
        lambda self, **fields: rows.append(len(fields["input_ids"])) or original(self, **fields),
    )
    answers = ask(tiny, asked, layout=LAYOUT._replace(batch_size=24))
    cut = [next((n for n, token in enumerate(ids) if token in ends), len(ids)) for ids in written]
    assert [answer.answer_tokens for answer in answers] == cut
    assert len(set(cut)) > 2
    assert rows[0] == 24
    assert rows[-1] < 24
    assert sorted(rows, reverse=True) == rows


def test_a_stop_string_cuts_the_text_and_ends_generation(tiny, prompts, empty_store):
    free = ask(tiny, prompts, key="free")
    stop = next(letter for letter in free[0].text[2:] if not letter.isspace())
    cut = ask(tiny, prompts, key="cut", stop=stop)
    assert [answer.text for answer in cut] == [answer.text.split(stop)[0].strip() for answer in free]
    assert stop not in cut[0].text
    assert cut[0].answer_tokens < free[0].answer_tokens


def test_an_interrupted_call_goes_on_with_the_rest_and_gives_the_same(tiny, prompts, empty_store, batches_run):
    whole = ask(tiny, prompts, key="whole")
    assert batches_run == [2, 2, 1]
    batches_run.clear()
    batches_run.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        ask(tiny, prompts)
    batches_run.clear()
    batches_run.fail_at = None
    assert without_seconds(ask(tiny, prompts)) == without_seconds(whole)
    assert batches_run == [2, 1]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_journal_cut_within_a_line_loses_that_line_only(tiny, prompts, empty_store, batches_run, kept):
    whole = ask(tiny, prompts)
    journal = empty_store / "answers" / "key" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
    batches_run.clear()
    assert without_seconds(ask(tiny, prompts)) == without_seconds(whole)
    assert batches_run == [2, 2, 1][kept:]
    assert len(journal.read_text().splitlines()) == 3


def test_a_finished_key_neither_loads_nor_asks_the_model(tiny, prompts, empty_store, batches_run):
    first = ask(tiny, prompts)
    batches_run.clear()

    def load():
        raise AssertionError("finished work must not load weights")

    assert ask(replace(tiny, load=load), prompts) == first
    assert not batches_run


def test_a_journal_of_other_prompts_is_refused_with_its_path_and_remedy(tiny, prompts, empty_store):
    ask(tiny, prompts[:4])
    with pytest.raises(ValueError, match=r"journal\.jsonl: journal does not match its key; delete this folder"):
        ask(tiny, [prompts[4], *prompts[1:4]])


def test_two_callers_of_the_same_key_leave_one_journal(tiny, prompts, empty_store, monkeypatch):
    original, started = module._generate_batch, threading.Event()

    def slow(*args):
        started.set()
        time.sleep(0.1)
        return original(*args)

    ask(tiny, prompts[:1], key="warm")
    monkeypatch.setattr(module, "_generate_batch", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, tiny, prompts)
        started.wait()
        second = pool.submit(ask, tiny, prompts)
    assert without_seconds(first.result()) == without_seconds(second.result())
    assert len((empty_store / "answers" / "key" / "journal.jsonl").read_text().splitlines()) == 3
