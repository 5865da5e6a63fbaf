"""Progress with remaining time: in the terminal for headless runs, in the notebook when a person sits before it."""

import os
import sys

from tqdm import tqdm


def bar(*, total: int, label: str, unit: str, done: int = 0) -> tqdm:
    """A progress bar. Headless runs write past the notebook to the terminal, so that saved outputs hold results only."""
    headless = bool(os.environ.get("WORKBOOK_HEADLESS"))
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        mininterval=1 if sys.__stderr__.isatty() else 20,
        file=sys.__stderr__ if headless else sys.stderr,
        disable=done >= total,
        leave=False,
        dynamic_ncols=True,
    )
