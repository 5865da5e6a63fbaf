"""Train in several processes: the same recipe under `accelerate launch`, on the devices that a config file names.

accelerate launch --config_file CONFIG --module lib.training.launch TASK

TASK is the JSON file that `launched` writes for the processes it starts; a notebook calls no more than that.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from accelerate import PartialState

from lib import paths, runs
from lib.models import registry
from lib.studies import Recipe
from lib.training.recipes import Example
from lib.training.sft import Task, fit

# Lines of a failed launch's output that its message repeats.
TAIL = 15


def launched(config: Path) -> Callable[[Task], None]:
    """What does a task under `accelerate launch` with this config file; given to `lib.training.sft.train` as `run`.

    The output goes to launch.log beside the checkpoints. Raises RuntimeError with its last lines when a process fails.
    """

    def run(task: Task) -> None:
        folder = task.checkpoints.parent
        runs.write_json(folder / "task.json", _fields(task))
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
        command += ["--module", "lib.training.launch", str(folder / "task.json")]
        environment = {**os.environ, "WORKBOOK_CACHE": str(paths.CACHE)}
        with (folder / "launch.log").open("w", encoding="utf-8") as log:
            finished = subprocess.run(
                command, cwd=paths.ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if finished.returncode:
            said = (folder / "launch.log").read_text(encoding="utf-8").splitlines()[-TAIL:]
            raise RuntimeError("\n".join([f"{task.label}: accelerate launch with {config.name} failed:", *said]))

    return run


def _fields(task: Task) -> dict:
    folders = {"checkpoints": str(task.checkpoints), "target": str(task.target)}
    return {**task._asdict(), **folders, "recipe": task.recipe.model_dump(mode="json")}


def read_task(file: Path) -> Task:
    """The task that `launched` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    examples = [Example(*example) for example in fields["examples"]]
    folders = {name: Path(fields[name]) for name in ("checkpoints", "target")}
    return Task(**{**fields, **folders, "examples": examples, "recipe": Recipe.model_validate(fields["recipe"])})


def main(file: Path) -> None:
    """Do the task as one of the processes that were started together."""
    task = read_task(file)
    processes = PartialState(cpu=registry.device().type == "cpu")
    # Processes outlive a notebook that is killed: who comes after them waits here, and may find all done.
    with runs.locked(file) if processes.is_main_process else nullcontext():
        processes.wait_for_everyone()
        if not (task.target / "training.json").exists():
            fit(task)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
