"""Checkpoints that are whole or are not used: marked only after all their files are written.

Trainer's own choice is the highest number, whole or not.
"""

import json
import shutil
import time
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from lib import runs

SECONDS_BETWEEN_CHECKPOINTS = 120


class Checkpoints(TrainerCallback):
    """Save by the clock, with the seconds spent so far, and mark a checkpoint as whole only after all its files are written.

    `before` is what reaching the checkpoint that the run goes on from had cost. Of several processes all save at once, by
    the first one's clock, since each holds a part; the first one marks.
    """

    def __init__(self, save_at_end: bool, before: float):
        self.save_at_end, self.before = save_at_end, before

    def on_train_begin(self, args, state, control, **kwargs):
        self.started = self.saved = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        last = state.global_step >= state.max_steps
        (due,) = broadcast_object_list([time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS])
        if (last and self.save_at_end) or due:
            control.should_save = True
        return control

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        PartialState().wait_for_everyone()
        # The limit on checkpoints can delete the one just written, beside a longer run's newer ones.
        if state.is_world_process_zero and folder.exists():
            runs.write_json(folder / "seconds.json", self.before + time.monotonic() - self.started)
            runs.write_json(folder / "complete.json", _sizes(folder))
        self.saved = time.monotonic()


def last_whole_checkpoint(folder: Path, epochs: int, n_examples: int, batch_size: int) -> Path | None:
    """The newest checkpoint that is complete and does not lie beyond `epochs`; None when there is none.

    Broken ones are deleted, so that they cannot be chosen later.
    """
    steps = epochs * -(-n_examples // batch_size)
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        if _is_whole(checkpoint):
            whole.append((int(checkpoint.name.split("-")[1]), checkpoint))
        else:
            shutil.rmtree(checkpoint)
    return next((checkpoint for step, checkpoint in sorted(whole, reverse=True) if step <= steps), None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        return json.loads((checkpoint / "complete.json").read_text()) == _sizes(checkpoint)
    except (FileNotFoundError, ValueError):  # no marker, or itself cut short
        return False


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {str(file.relative_to(folder)): file.stat().st_size for file in files if file.name != "complete.json"}
