"""Compare two finished studies in one HTML page.

python -m lib.workbook.compare A B
"""

import html
import sys
from pathlib import Path

import pandas as pd

from lib import paths, runs
from lib.analysis.comparison import HEADER, compare
from lib.analysis.tables import frame
from lib.study_file import load_study
from lib.workbook.markup import page, table_html


def rows_of(study: str) -> pd.DataFrame:
    """The test rows of a study's own run, or of its published one when it has not run here; each cell once.

    Raises FileNotFoundError naming the command when there is neither.
    """
    for root in (paths.OUT, paths.RESULTS):
        found = sorted((root / study).glob("*/records.jsonl"))
        if found:
            table = pd.concat([frame(runs.read_jsonl(path)) for path in found], ignore_index=True)
            return table.drop_duplicates(["condition", "seed", "question_id", "split"])
    raise FileNotFoundError(f"no rows of study {study}; run `make reproduce STUDY=studies/{study}.yaml` first")


def write_comparison(first: str, second: str) -> Path:
    """out/compare/<first>-<second>.html; returns its path."""
    studies = [load_study(first), load_study(second)]
    rows = compare(*(rows_of(study.name) for study in studies))
    one, two = (f"<b>{html.escape(study.name)}</b> ({html.escape(study.title)})" for study in studies)
    body = (
        f"<h1>Two studies side by side</h1><p>First {one}, second {two}. Strict accuracy, yes/no facts left out; seeds are "
        f"averaged within a fact. Intervals are not corrected for the {len(rows)} rows: to look is not to test.</p>"
        + table_html(HEADER, rows)
    )
    path = paths.OUT / "compare" / f"{studies[0].name}-{studies[1].name}.html"
    runs.write_atomic(path, page(f"{studies[0].name} and {studies[1].name}", body))
    return path


if __name__ == "__main__":
    try:
        print(write_comparison(*sys.argv[1:3]))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
