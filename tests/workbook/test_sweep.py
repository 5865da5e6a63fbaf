"""Weights that a cluster's jobs train are those that a notebook would have trained, and a failed job is named."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from safetensors.torch import load_file

from lib import paths
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.study_file import load_study
from lib.workbook import sweep
from lib.workbook.sweep import Part, parts_of
from tests.training.fitting import same_bits


def changed(study, **recipes):
    recipes = {name: study.recipes["lora"].model_copy(update=how) for name, how in recipes.items()}
    conditions = {**study.conditions, **{name: study.conditions["lora"].model_copy() for name in recipes}}
    conditions = {
        name: condition.model_copy(update={"weights": name}) if name in recipes else condition
        for name, condition in conditions.items()
    }
    block = study.grids["some"][0].model_copy(update={"conditions": tuple(recipes)})
    update = {"recipes": recipes, "conditions": conditions, "grids": {"some": (block,)}}
    return study.model_copy(update=update)


def test_recipes_that_go_on_from_each_other_are_one_part_in_ascending_epochs(tiny_study):
    study = changed(
        tiny_study,
        long={"epochs": 9, "seeds": (0,)},
        short={"epochs": 2, "seeds": (0, 1)},
        other={"rank": 2, "seeds": (0,)},
    )
    assert set(parts_of(study)) == {Part(0, ("short", "long")), Part(1, ("short",)), Part(0, ("other",))}


def test_what_no_grid_uses_is_not_trained_unless_it_chooses_a_rate(tiny_study):
    study = changed(tiny_study, used={"seeds": (0,)}, unused={"rank": 2}, twin={"rank": 3, "seeds": (0,)})
    recipes = {**study.recipes, "twin": study.recipes["twin"].model_copy(update={"split": "dev"})}
    block = study.grids["some"][0].model_copy(update={"conditions": ("used",)})
    study = study.model_copy(update={"grids": {"some": (block,)}, "recipes": recipes})
    assert parts_of(study) == [Part(0, ("used",)), Part(0, ("twin",))]


def test_the_sweep_is_one_job_for_each_arm_and_seed():
    study = load_study("sweep")
    trained = [(name, part.seed) for part in parts_of(study) for name in part.recipes]
    assert len(trained) == len(set(trained)) == sum(len(recipe.seeds) for recipe in study.recipes.values())


@pytest.fixture
def handed_over(tiny_study, tmp_path, monkeypatch):
    """A study file of one arm, a cache and an output folder that jobs of another process share."""
    study = tiny_study.model_dump(mode="json", exclude={"gradients", "claude"})
    study["corpus"] = {"folder": "data/itr", "test": 2, "dev": 2, "raft": 2}
    study["recipes"] = {"lora": {**study["recipes"]["lora"], "epochs": 4, "seeds": [0]}}
    study["conditions"] = {name: study["conditions"][name] for name in ("base", "rag", "lora")}
    study["grids"] = {"some": [{"conditions": ["base", "lora"], "probes": ["trained"]}]}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(study))))
    monkeypatch.setattr(paths, "OUT", tmp_path / "out")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "jobs")
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "jobs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return file


def test_a_local_job_leaves_the_weights_that_a_notebook_would_have_trained(handed_over, monkeypatch, capsys):
    sweep.main(str(handed_over), "local", "timeout_min=10")
    assert "1 jobs handed over (local)" in capsys.readouterr().out
    (found,) = paths.CACHE.glob("training/*/epoch-004/adapter_model.safetensors")
    monkeypatch.setattr(paths, "CACHE", paths.CACHE.parent / "here")
    study = load_study(str(handed_over))
    trained = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits)).train("lora", 0)
    assert trained.key.split("-")[0] == found.parent.parent.name
    assert same_bits(load_file(found), load_file(trained.folder / "adapter_model.safetensors"))


def test_a_job_that_fails_is_named_with_its_log(handed_over, monkeypatch):
    monkeypatch.setattr(sweep, "command_of", lambda file, part: [sys.executable, "-c", "raise SystemExit('no room')"])
    with pytest.raises(RuntimeError, match=r"1 of 1 jobs failed.*\n  lora, seed 0: see (.*)") as failed:
        sweep.main(str(handed_over), "local")
    log = Path(str(failed.value).split("see ")[1])
    assert "no room" in log.read_text()


def test_a_job_s_command_line_trains_its_own_part_and_no_other(handed_over, monkeypatch):
    trained = []
    monkeypatch.setattr(sweep, "train_part", lambda study, part: trained.append((study.name, part)))
    words = sweep.command_of(handed_over, Part(3, ("short", "long")))
    assert words[:3] == [sys.executable, "-m", "lib.workbook.sweep"]
    sweep.main(*words[3:])
    assert trained == [("tiny", Part(3, ("short", "long")))]


def test_here_trains_every_part_in_turn(handed_over, monkeypatch):
    trained = []
    monkeypatch.setattr(sweep, "train_part", lambda study, part: trained.append(part))
    sweep.main(str(handed_over))
    assert trained == [Part(0, ("lora",))]


def test_the_parameters_of_a_cluster_reach_submitit_as_it_takes_them(handed_over, monkeypatch):
    told = {}

    class Executor:
        def __init__(self, folder, cluster):
            told.update(folder=folder, cluster=cluster)

        def update_parameters(self, **settings):
            told.update(settings)

        def submit(self, function, command, **how):
            told.update(command=command, how=how)
            return SimpleNamespace(wait=lambda: None, exception=lambda: None)

    monkeypatch.setattr(sweep.submitit, "AutoExecutor", Executor)
    sweep.main(str(handed_over), "slurm", "slurm_partition=gpu", "gpus_per_node=1")
    assert told["folder"] == paths.OUT / "tiny" / "jobs" and told["cluster"] == "slurm"
    assert told["slurm_partition"] == "gpu" and told["gpus_per_node"] == 1 and told["timeout_min"] == sweep.TIMEOUT_MIN
    assert told["command"] == sweep.command_of(handed_over, Part(0, ("lora",)))
    assert told["how"] == {"cwd": paths.ROOT, "check": True}


@pytest.mark.parametrize(
    "words, said",
    [(("cloud",), "'cloud' not one of here, local, slurm"), (("local", "fast"), "'fast' is not NAME=VALUE")],
)
def test_a_wrong_word_is_named(handed_over, words, said):
    with pytest.raises(ValueError, match=said):
        sweep.main(str(handed_over), *words)


def test_recipes_on_replaced_rules_are_left_out_where_there_are_none(handed_over, monkeypatch):
    study, trained = load_study(str(handed_over)), []
    ruled = study.recipes["lora"].model_copy(update={"data": "before"})
    study = study.model_copy(update={"recipes": {"lora": study.recipes["lora"], "ruled": ruled}})
    monkeypatch.setattr(Bench, "train", lambda self, name, seed: trained.append(name))
    corpus = load_corpus(study.corpus.folder, **study.corpus.limits)
    for rules in (corpus.replacements, ()):
        monkeypatch.setattr(sweep, "load_corpus", lambda *a, rules=rules, **k: replace(corpus, replacements=rules))
        sweep.train_part(study, Part(0, ("lora", "ruled")))
    assert corpus.replacements and trained == ["lora", "ruled", "lora"]
