"""Training in several processes is training in one."""

from types import SimpleNamespace

import pytest
import torch
import yaml

from lib import paths
from lib.training import sft
from lib.training.launch import launched, read_task
from tests.training.fitting import FULL, LORA, weights

CONFIGS = paths.STUDIES / "accelerate"


def test_two_processes_that_share_each_batch_give_what_one_gives_and_go_on_from_each_other(fit, examples):
    short, long = LORA, LORA.model_copy(update={"epochs": 4})
    shared = examples[:8]  # two full batches an epoch: none is filled up
    together = launched(CONFIGS / "data_parallel.yaml")
    for recipe, last in ((short, False), (long, True)):
        alone = fit(recipe, store="alone", longest=last, examples=shared)
        pair = fit(recipe, store="pair", longest=last, examples=shared, run=together)
        assert pair.key == alone.key
        assert [row["loss"] for row in pair.log] == pytest.approx([row["loss"] for row in alone.log], rel=1e-4)
        found, expected = weights(pair), weights(alone)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
        moved = max(tensor.abs().max() for name, tensor in expected.items() if "lora_B" in name)
        assert moved > 1e-2  # a hundred times what may differ


def test_a_batch_that_cannot_be_shared_evenly_is_refused(fit, monkeypatch):
    monkeypatch.setattr(sft, "PartialState", lambda cpu: SimpleNamespace(num_processes=3))
    with pytest.raises(ValueError, match="test: batch_size 4 cannot be shared by 3 processes; take a multiple"):
        fit()


def test_a_launch_that_fails_is_told_in_its_own_words(fit, tmp_path):
    with pytest.raises(RuntimeError, match="(?s)test: accelerate launch with nosuch.yaml failed:.*nosuch.yaml.*exist"):
        fit(run=launched(tmp_path / "nosuch.yaml"))


def test_a_task_survives_being_written_down(fit, monkeypatch, empty_store):
    told = []
    ended = SimpleNamespace(returncode=0)
    monkeypatch.setattr("lib.training.launch.subprocess.run", lambda *how, **more: told.append((*how, more)) or ended)
    monkeypatch.setattr(sft, "fit", told.append)
    with pytest.raises(FileNotFoundError):  # neither trained anything
        fit(FULL, run=launched(CONFIGS / "fsdp2.yaml"))
    with pytest.raises(FileNotFoundError):
        fit(FULL)
    (command, how), task = told
    (file,) = empty_store.glob("training/*/task.json")
    assert read_task(file) == task
    assert command[-3:] == ["--module", "lib.training.launch", str(file)]
    assert command[command.index("--config_file") + 1] == str(CONFIGS / "fsdp2.yaml")
    assert how["env"]["WORKBOOK_CACHE"] == str(empty_store)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_one_that_accelerate_reads_and_leaves_the_precision_to_the_study(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert (config.mixed_precision, config.use_cpu, config.num_machines) == ("no", False, 1)
    assert config.num_processes > 1
    if config.distributed_type == "FSDP":
        assert config.fsdp_config["fsdp_version"] == 2
        assert yaml.safe_load(path.read_text())["fsdp_config"]["fsdp_state_dict_type"] == "FULL_STATE_DICT"
