"""Whatever ends a training, what is saved is whole or not used, and the weights come out the same to the last bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib import paths
from lib.training import checkpoints, sft
from tests.training.fitting import DORA, FULL, LORA, STEPS, interrupt, same_bits, weights

# A process that trains, and what befalls it there. A disk is full for files of more than LIMIT bytes, truly cut off by the
# kernel: what a checkpoint or an adapter is made of is larger, a marker is smaller.
CHILD = """
import json, os, resource, signal, sys
import torch
torch.set_num_threads(1)
from pathlib import Path
from lib import paths
from lib.studies import Recipe
from lib.training import checkpoints, sft
from lib.training.recipes import Example

LIMIT = 8192
task = json.loads(sys.argv[1])
paths.CACHE = Path(task["cache"])
checkpoints.SECONDS_BETWEEN_CHECKPOINTS = 0

def disk_is_full():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))

FAULTS = {
    "nothing": (sft.Progress, "on_step_end", lambda: None),
    "SIGTERM after a step": (sft.Progress, "on_step_end", lambda: os.kill(os.getpid(), signal.SIGTERM)),
    "SIGKILL before a checkpoint is marked": (sft.Checkpoints, "on_save", lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "a full disk for a checkpoint": (sft.Progress, "on_step_end", disk_is_full),
    "a full disk for the finished weights": (sft, "_export", disk_is_full),
}
owner, name, fault = FAULTS[task["fault"]]
original = getattr(owner, name)

def faulty(*args, **kwargs):
    if name == "_export" or args[2].global_step == 4:
        fault()
    return original(*args, **kwargs)

setattr(owner, name, faulty)
examples = [Example(*example) for example in task["examples"]]
recipe = Recipe.model_validate(task["recipe"])
sft.train(task["source"], "float32", examples, recipe, seed=0, label="child", longest=True)
"""


@pytest.mark.parametrize("recipe, at", [(LORA, 1), (LORA, 4), (LORA, 6), (DORA, 3), (FULL, 5)])
def test_a_run_interrupted_at_any_step_resumes_and_ends_in_the_same_bits(fit, steps, recipe, at):
    whole = fit(recipe, store="whole")
    last = steps[-1]
    assert steps == list(range(1, last + 1))
    steps.clear()
    interrupt(fit, steps, at, recipe=recipe)
    resumed = fit(recipe)
    assert steps == list(range(at, last + 1))
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


@pytest.mark.parametrize(
    "fault, ends, marked, rerun",
    [
        ("nothing", 0, None, []),
        ("SIGTERM after a step", -signal.SIGTERM, [2, 3], [4, 5, 6]),
        ("SIGKILL before a checkpoint is marked", -signal.SIGKILL, [3], [4, 5, 6]),
        ("a full disk for a checkpoint", 1, [2, 3], [4, 5, 6]),
        ("a full disk for the finished weights", 1, [5, 6], []),
    ],
)
def test_what_befalls_a_process_changes_no_bit_of_what_the_next_one_makes(
    fit, steps, tiny_model, examples, empty_store, fault, ends, marked, rerun
):
    whole = fit(store="whole")
    task = {"cache": str(empty_store), "examples": examples, "recipe": LORA.model_dump(), "source": str(tiny_model)}
    command = [sys.executable, "-c", CHILD, json.dumps({**task, "fault": fault})]
    child = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=120)
    assert child.returncode == ends, child.stderr
    assert ("File too large" in child.stderr) == ("full disk" in fault)
    found = [int(file.parent.name.split("-")[1]) for file in empty_store.glob("training/*/checkpoints/*/complete.json")]
    assert sorted(found) == (marked or [])
    assert bool(list(empty_store.glob("training/*/epoch-*/training.json"))) == (fault == "nothing")
    steps.clear()
    resumed = fit()
    assert steps == rerun
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


def test_a_checkpoint_of_which_any_file_is_cut_short_or_gone_is_not_whole(fit, steps, empty_store, tmp_path):
    interrupt(fit, steps, 5)
    (written,) = empty_store.glob("training/*/checkpoints")
    files = [file.name for file in (written / "checkpoint-4").iterdir()]
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"} < set(files)
    for number, (name, lose) in enumerate((name, lose) for name in files for lose in (Path.unlink, halve)):
        folder = shutil.copytree(written, tmp_path / str(number))
        assert checkpoints.last_whole_checkpoint(folder, 2, 10, 4).name == "checkpoint-4"
        lose(folder / "checkpoint-4" / name)
        assert checkpoints.last_whole_checkpoint(folder, 2, 10, 4).name == "checkpoint-3", (name, lose)
        assert not (folder / "checkpoint-4").exists()


def halve(file):
    os.truncate(file, file.stat().st_size // 2)


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
    choose = [checkpoints.last_whole_checkpoint(tmp_path, epochs, 10, 4) for epochs in (1, 2, 3, 4)]
    assert [Path(c).name for c in choose] == ["checkpoint-3", "checkpoint-6", "checkpoint-6", "checkpoint-12"]
    assert checkpoints.last_whole_checkpoint(tmp_path, 2, 2, 4) is None


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


def test_optimiser_state_goes_once_nothing_will_go_on_from_it_and_nothing_pickled_is_kept(fit, empty_store):
    fit(longest=False)
    assert list(empty_store.glob("training/*/checkpoints/checkpoint-6/optimizer.pt"))
    fit()
    assert not list(empty_store.glob("training/*/checkpoints"))
    kept = {file.suffix for file in empty_store.rglob("*") if file.is_file()}
    assert kept == {".safetensors", ".json", ".lock"}
