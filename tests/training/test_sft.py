"""Training: the loss is the plain one, only answers are learned, and an interruption changes no bit of the weights."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

from lib import paths
from lib.models.prompts import Prompt, render_chat
from lib.studies import Recipe
from lib.training import sft
from lib.training.recipes import Example

LORA = Recipe(data="uniform", rank=4, alpha=8, learning_rate=5e-3, epochs=2, batch_size=4)
FULL = Recipe(data="uniform", method="full", learning_rate=3e-4, epochs=3, batch_size=4)
STEPS = 6  # two epochs of ten examples in batches of four
FACTS = [
    ("form of a trust", "ITR-7"),
    ("due date", "31 July"),
    ("late fee", "Rs 5,000"),
    ("limit of 80C", "Rs 1,50,000"),
]
FACTS += [
    ("form of a company", "ITR-6"),
    ("year", "2025"),
    ("rate", "30%"),
    ("cess", "4%"),
    ("age", "60"),
    ("days", "30"),
]


@pytest.fixture(scope="module")
def examples(tiny):
    return [
        Example(render_chat(tiny.tokenizer, Prompt("Answer.", f"What is the {name}?")), f"It is {value}.", name)
        for name, value in FACTS
    ]


@pytest.fixture
def fit(tiny_model, examples, empty_store):
    """Train in a cache of its own, named by `store`."""

    def run(recipe=LORA, *, seed=0, store="cache", longest=True, examples=examples):
        paths.CACHE = empty_store.parent / store
        return sft.train(str(tiny_model), "float32", examples, recipe, seed=seed, label="test", longest=longest)

    return run


@pytest.fixture
def steps(monkeypatch):
    """The optimiser steps really taken; set `fail_at` to be interrupted after that step, before it is saved."""

    class Steps(list):
        fail_at = None

    taken, original = Steps(), sft.Progress.on_step_end

    def counted(self, args, state, control, **kwargs):
        if state.global_step == taken.fail_at:
            raise KeyboardInterrupt
        taken.append(state.global_step)
        return original(self, args, state, control, **kwargs)

    monkeypatch.setattr(sft.Progress, "on_step_end", counted)
    monkeypatch.setattr(sft, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    return taken


def interrupt(fit, steps, at, **how):
    steps.fail_at = at
    with pytest.raises(KeyboardInterrupt):
        fit(**how)
    steps.clear()
    steps.fail_at = None


def weights(trained):
    (file,) = trained.folder.glob("*.safetensors")
    return load_file(file)


def same_bits(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def load(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def trainer_of(kind, tiny_model, examples, folder):
    """A trainer as `train` builds it, and its first batch."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    trainer = kind(
        model=load(tiny_model),
        args=sft._arguments(FULL, 0, torch.float32, folder, on_cpu=True),
        train_dataset=Dataset.from_list([sft.tokenize(tokenizer, example) for example in examples]),
        processing_class=tokenizer,
    )
    return trainer, next(iter(trainer.get_train_dataloader()))


def plain_loss(model, batch):
    """Cross-entropy over all positions, masked ones ignored."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100)


def test_only_the_answer_and_its_end_are_trained(tiny, examples):
    example = examples[0]
    row = sft.tokenize(tiny.tokenizer, example)
    trained = [token for token in row["labels"] if token != -100]
    assert tiny.tokenizer.decode(trained) == example.completion + "<|im_end|>"
    assert tiny.tokenizer.decode(row["input_ids"]) == example.prompt + example.completion + "<|im_end|>"
    assert row["input_ids"][-len(trained) :] == trained
    asked = tiny.tokenizer(example.prompt, add_special_tokens=False).input_ids
    assert row["input_ids"][: len(asked)] == asked
    assert row["labels"][: len(asked)] == [-100] * len(asked)


def test_padding_is_not_trained_though_it_is_the_end_token_which_is(tiny_model, tiny, examples, tmp_path):
    _, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    assert not batch["attention_mask"].bool().all()
    assert (batch["labels"][~batch["attention_mask"].bool()] == -100).all()
    for labels in batch["labels"]:
        assert labels[labels != -100][-1] == tiny.tokenizer.eos_token_id == tiny.tokenizer.pad_token_id


def test_the_masked_head_gives_the_loss_and_gradients_of_plain_cross_entropy(tiny_model, examples, tmp_path):
    trainer, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    plain = load(tiny_model)
    loss, expected = trainer.compute_loss(trainer.model, batch), plain_loss(plain, batch)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = dict(plain.named_parameters())
    assert gradients
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-5, atol=1e-5)


def test_the_masked_head_divides_by_the_tokens_of_the_whole_step_when_told_them(tiny_model, examples, tmp_path):
    trainer, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    answer_tokens = (batch["labels"][:, 1:] != -100).sum()
    mean = trainer.compute_loss(trainer.model, batch)
    halved = trainer.compute_loss(trainer.model, batch, num_items_in_batch=2 * answer_tokens)
    assert halved.item() == pytest.approx(mean.item() / 2, rel=1e-6)


def test_the_masked_head_gives_the_stock_trainer_s_loss(tiny_model, examples, tmp_path):
    ours, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    stock, same = trainer_of(SFTTrainer, tiny_model, examples, tmp_path)
    assert torch.equal(batch["input_ids"], same["input_ids"])
    loss = ours.compute_loss(ours.model, batch).item()
    assert loss == pytest.approx(stock.compute_loss(stock.model, same).item(), rel=1e-3)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(fit):
    first, again = fit(store="first"), fit(store="again")
    assert same_bits(weights(first), weights(again))
    assert first.log == again.log
    assert first.key == again.key
    other = fit(seed=1, store="first")
    assert other.key != first.key
    assert not same_bits(weights(first), weights(other))


def test_adapters_sit_on_every_linear_layer_and_not_on_the_vocabulary_head(fit):
    names = " ".join(weights(fit()))
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert all(layer in names for layer in layers)
    assert "lm_head" not in names
    assert "embed" not in names


def test_an_interrupted_run_resumes_and_ends_in_the_same_bits(fit, steps):
    whole = fit(store="whole")
    assert steps == list(range(1, STEPS + 1))
    interrupt(fit, steps, 4)
    resumed = fit()
    assert steps == [4, 5, 6]
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


def test_an_interrupted_full_run_resumes_and_ends_in_the_same_bits(fit, steps):
    whole = fit(FULL, store="whole")
    steps.clear()
    interrupt(fit, steps, 5, recipe=FULL)
    resumed = fit(FULL)
    assert steps == [5, 6, 7, 8, 9]
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


def test_a_run_interrupted_after_its_last_step_is_exported_without_another_step(fit, steps, monkeypatch):
    whole = fit(store="whole")

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sft, "_export", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(longest=False)
    steps.clear()
    resumed = fit(longest=False)
    assert not steps
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


CHILD = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
from pathlib import Path
from lib import paths
from lib.studies import Recipe
from lib.training import sft
from lib.training.recipes import Example

task = json.loads(sys.argv[1])
paths.CACHE = Path(task["cache"])
sft.SECONDS_BETWEEN_CHECKPOINTS = 0
save = sft.Checkpoints.on_save

def killed_before_the_checkpoint_is_marked(self, args, state, control, **kwargs):
    if state.global_step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return save(self, args, state, control, **kwargs)

sft.Checkpoints.on_save = killed_before_the_checkpoint_is_marked
examples = [Example(*example) for example in task["examples"]]
recipe = Recipe.model_validate(task["recipe"])
sft.train(task["source"], "float32", examples, recipe, seed=0, label="child", longest=True)
"""


def test_a_run_killed_while_it_writes_a_checkpoint_resumes_from_the_one_before(
    fit, steps, tiny_model, examples, empty_store
):
    whole = fit(store="whole")
    task = {"cache": str(empty_store), "examples": examples, "recipe": LORA.model_dump(), "source": str(tiny_model)}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(task)], cwd=paths.ROOT, capture_output=True, text=True, timeout=120
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    written = sorted(folder.name for folder in empty_store.glob("training/*/checkpoints/checkpoint-*"))
    assert written == ["checkpoint-3", "checkpoint-4"]
    steps.clear()
    resumed = fit()
    assert steps == [4, 5, 6]
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


def test_a_truncated_checkpoint_is_skipped_for_the_whole_one_before_it(fit, steps, empty_store):
    whole = fit(store="whole")
    interrupt(fit, steps, 5)
    (broken,) = empty_store.glob("training/*/checkpoints/checkpoint-4/adapter_model.safetensors")
    os.truncate(broken, broken.stat().st_size // 2)
    resumed = fit()
    assert steps == [4, 5, 6]
    assert same_bits(weights(resumed), weights(whole))


def test_without_any_whole_checkpoint_training_starts_again_and_ends_in_the_same_bits(fit, steps, empty_store):
    whole = fit(store="whole")
    interrupt(fit, steps, 2)
    for marker in empty_store.glob("training/*/checkpoints/*/complete.json"):
        marker.unlink()
    resumed = fit()
    assert steps == list(range(1, STEPS + 1))
    assert same_bits(weights(resumed), weights(whole))


def test_the_last_whole_checkpoint_does_not_lie_beyond_the_epochs_asked_for(tmp_path):
    for step in (3, 6, 12):
        checkpoint = tmp_path / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "weights").write_bytes(b"x" * step)
        (checkpoint / "complete.json").write_text(json.dumps({"weights": step}))
    choose = [sft.last_whole_checkpoint(tmp_path, epochs, 10, 4) for epochs in (1, 2, 3, 4)]
    assert [Path(c).name for c in choose] == ["checkpoint-3", "checkpoint-6", "checkpoint-6", "checkpoint-12"]
    assert sft.last_whole_checkpoint(tmp_path, 2, 2, 4) is None


def test_two_epochs_extended_to_four_equal_four_in_one_go(fit, steps):
    four = LORA.model_copy(update={"epochs": 4})
    straight = fit(four, store="straight")
    short = fit(longest=False)
    before = weights(short)
    steps.clear()
    extended = fit(four)
    assert steps == list(range(STEPS + 1, 2 * STEPS + 1))
    assert same_bits(weights(extended), weights(straight))
    assert extended.log == straight.log
    assert extended.log[:STEPS] == short.log
    assert same_bits(weights(fit(longest=False)), before)
    assert short.key != extended.key == straight.key


def test_a_shorter_run_may_follow_a_longer_one_that_was_interrupted(fit, steps, empty_store):
    straight = fit(store="straight")
    steps.clear()
    interrupt(fit, steps, 2 * STEPS, recipe=LORA.model_copy(update={"epochs": 4}))
    for minutes, step in enumerate((11, 10), 1):  # the trainer tells old checkpoints from new ones by their time
        (checkpoint,) = empty_store.glob(f"training/*/checkpoints/checkpoint-{step}")
        os.utime(checkpoint, (time.time() - 120 * minutes,) * 2)
    assert same_bits(weights(fit()), weights(straight))


def test_a_finished_recipe_is_not_trained_again(fit, monkeypatch):
    first = fit()

    def untouched(*args, **kwargs):
        raise AssertionError("finished weights must not be trained again")

    monkeypatch.setattr(sft, "_train", untouched)
    assert fit() == first


def test_optimiser_state_goes_once_nothing_will_go_on_from_it_and_nothing_pickled_is_kept(fit, empty_store):
    fit(longest=False)
    assert list(empty_store.glob("training/*/checkpoints/checkpoint-6/optimizer.pt"))
    fit()
    assert not list(empty_store.glob("training/*/checkpoints"))
    kept = {file.suffix for file in empty_store.rglob("*") if file.is_file()}
    assert kept == {".safetensors", ".json", ".lock"}


def test_full_weights_move_in_step_with_a_plain_adamw_loop(fit, tiny_model, monkeypatch):
    batches, original = [], sft.MaskedHeadTrainer.compute_loss

    def recorded(self, model, inputs, *rest, **named):
        batches.append({name: tensor.clone() for name, tensor in inputs.items()})
        return original(self, model, inputs, *rest, **named)

    monkeypatch.setattr(sft.MaskedHeadTrainer, "compute_loss", recorded)
    trained = fit(FULL)
    seen = [bytes(row.numpy()[row != -100]) for batch in batches for row in batch["labels"]]
    assert len(seen) == FULL.epochs * len(FACTS)
    assert all(sorted(seen[:10]) == sorted(seen[epoch * 10 :][:10]) for epoch in range(FULL.epochs))

    model = load(tiny_model).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=FULL.learning_rate, weight_decay=0.0)
    losses = []
    for batch in batches:
        loss = plain_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())

    logged = [row["loss"] for row in trained.log]
    assert [row["step"] for row in trained.log] == list(range(1, len(losses) + 1))
    assert logged == pytest.approx(losses, rel=1e-4)
    assert sum(logged[-3:]) < sum(logged[:3])
    tuned = sft.load_trained(str(tiny_model), trained).state_dict()
    untuned = load_file(tiny_model / "model.safetensors")
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(tuned[name], parameter, rtol=0, atol=1e-5)
    assert all((tuned[name] - tensor).abs().max() > 1e-4 for name, tensor in untuned.items())


def test_a_loss_that_does_not_fall_stops_with_the_figures_and_leaves_no_weights(fit, examples, empty_store):
    frozen = LORA.model_copy(update={"learning_rate": 1e-30})
    with pytest.raises(RuntimeError, match=r"test: training loss did not fall \(first tenth \d+\.\d+, last tenth"):
        fit(frozen, examples=examples[:1])
    assert not list(empty_store.rglob("training.json"))


def test_a_loss_that_is_not_a_number_does_not_pass_for_one_that_fell(fit):
    with pytest.raises(RuntimeError, match="did not fall"):
        fit(LORA.model_copy(update={"learning_rate": 1e30}))


def test_a_merged_adapter_computes_what_the_unmerged_one_does_and_not_what_the_base_does(
    fit, tiny, tiny_model, examples
):
    trained = fit()
    ids = tiny.tokenizer(examples[0].prompt, return_tensors="pt").input_ids
    merged = sft.load_trained(str(tiny_model), trained)
    assert not any("lora" in name for name, _ in merged.named_modules())
    unmerged = PeftModel.from_pretrained(load(tiny_model), trained.folder)
    with torch.inference_mode():
        logits = merged(ids).logits
        torch.testing.assert_close(logits, unmerged.eval()(ids).logits, rtol=0, atol=1e-4)
        assert (logits - tiny.model(ids).logits).abs().max() > 0.1


def test_the_key_covers_whatever_reaches_the_weights_and_not_the_number_of_epochs(tiny_model, examples):
    def key(source=str(tiny_model), precision="float32", examples=examples, seed=0, **changes):
        return sft.training_key(source, precision, examples, LORA.model_copy(update=changes), seed)

    assert key() == key(epochs=9) == key(seeds=(0, 1))
    others = [key(seed=1), key(precision="bfloat16"), key(examples=examples[1:])]
    others += [key(rank=8), key(alpha=4), key(learning_rate=1e-4), key(batch_size=2)]
    assert len({key(), *others}) == len(others) + 1


def test_the_key_changes_when_other_weights_stand_in_the_same_directory(tiny_model, examples, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")
    source = str(tmp_path / "model")
    before = sft.training_key(source, "float32", examples, LORA, 0)
    file = tmp_path / "model" / "model.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert sft.training_key(source, "float32", examples, LORA, 0) != before


def test_the_ledger_counts_every_token_of_every_epoch_and_the_last_epoch_s_loss(fit, tiny, examples):
    trained = fit()
    tokens = sum(len(sft.tokenize(tiny.tokenizer, example)["input_ids"]) for example in examples)
    assert trained.ledger["tokens"] == LORA.epochs * tokens
    assert trained.ledger["loss"] == pytest.approx(sum(row["loss"] for row in trained.log[3:]) / 3)
    assert trained.ledger["seconds"] > 0
    assert trained.ledger["peak_memory_gib"] > 0
