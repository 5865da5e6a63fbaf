"""Train the weights of a study before its notebooks ask for them: here one after another, or as jobs of a cluster.

python -m lib.workbook.sweep STUDY [here | local | slurm] [NAME=VALUE ...]

here: in this process. slurm: one job a family and seed, handed over by submitit; the folder must be on a disk that the
cluster shares. local: the same jobs as processes of this machine. NAME=VALUE are submitit's own parameters, such as
slurm_partition=gpu gpus_per_node=1 timeout_min=600. What is trained is not trained again, wherever it was, and a notebook
finds it in the cache.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import submitit

from lib import paths
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.studies import Study
from lib.study_file import load_study, locate_study
from lib.workbook.memory import used_recipes

PLACES = ("here", "local", "slurm")
# A job's limit where none is given; submitit's own is five minutes.
TIMEOUT_MIN = 24 * 60


class Part(NamedTuple):
    """Recipes with one seed that go on from each other, in ascending epochs: no two jobs may share their checkpoints."""

    seed: int
    recipes: tuple[str, ...]


def parts_of(study: Study) -> list[Part]:
    """What there is to train: every recipe that a grid uses, and those that choose a learning rate on dev."""
    used, families = used_recipes(study), {}
    for name, recipe in sorted(study.recipes.items(), key=lambda item: item[1].epochs):
        if name in used or recipe.split == "dev":
            for seed in recipe.seeds:
                same = recipe.model_dump_json(exclude={"epochs", "seeds"})
                families.setdefault((same, seed), []).append(name)
    return [Part(seed, tuple(names)) for (_, seed), names in families.items()]


def train_part(study: Study, part: Part) -> None:
    """Train a part here, or find it trained. Recipes on replaced rules are left out where the corpus has none."""
    bench = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    for name in part.recipes:
        if bench.corpus.replacements or study.recipes[name].data not in ("before", "after"):
            bench.train(name, part.seed)


def command_of(study_file: Path, part: Part) -> list[str]:
    """The command line of a job."""
    return [sys.executable, "-m", "lib.workbook.sweep", str(study_file), "part", str(part.seed), *part.recipes]


def hand_over(study: Study, study_file: Path, place: str, settings: dict[str, str | int]) -> dict[Part, submitit.Job]:
    """Hand every part to a cluster (slurm), or to processes of this machine (local); logs go to out/<study>/jobs/."""
    executor = submitit.AutoExecutor(paths.OUT / study.name / "jobs", cluster=place)
    executor.update_parameters(**{"name": study.name, "timeout_min": TIMEOUT_MIN, **settings})
    return {
        part: executor.submit(subprocess.run, command_of(study_file, part), cwd=paths.ROOT, check=True)
        for part in parts_of(study)
    }


def wait_for(jobs: dict[Part, submitit.Job]) -> None:
    """Wait until all have ended. Raises RuntimeError naming the parts that failed and where each says why."""
    failed = []
    for part, job in jobs.items():
        job.wait()
        if job.exception() is not None:
            failed.append(f"  {', '.join(part.recipes)}, seed {part.seed}: see {job.paths.stderr}")
    if failed:
        raise RuntimeError("\n".join([f"{len(failed)} of {len(jobs)} jobs failed; run again for those alone", *failed]))


def settings_from(words: Sequence[str]) -> dict[str, str | int]:
    """NAME=VALUE as submitit takes it, whole numbers as numbers. Raises ValueError for a word without `=`."""
    pairs = [word.partition("=") for word in words]
    if wrong := [name for name, separator, _ in pairs if not separator]:
        raise ValueError(f"{wrong[0]!r} is not NAME=VALUE, such as timeout_min=600")
    return {name: int(value) if value.isdigit() else value for name, _, value in pairs}


def main(study_name: str, place: str = "here", *words: str) -> None:
    """Train a study's weights at a place, or one part of them here, as a job does."""
    study = load_study(study_name)
    if place == "part":
        train_part(study, Part(int(words[0]), words[1:]))
        return
    if place not in PLACES:
        raise ValueError(f"{place!r} not one of {', '.join(PLACES)}")
    settings = settings_from(words)
    if place == "here":
        for part in parts_of(study):
            train_part(study, part)
        return
    jobs = hand_over(study, locate_study(study_name), place, settings)
    print(f"{len(jobs)} jobs handed over ({place}); logs in {paths.OUT / study.name / 'jobs'}", flush=True)
    wait_for(jobs)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
