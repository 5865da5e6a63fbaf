"""Publish a finished study: results/, the executed notebooks, and the generated parts of README.md.

python -m lib.workbook.publish STUDY
"""

import re
import shutil
import sys
from pathlib import Path

import nbformat

from lib import paths, runs
from lib.study_file import load_study
from lib.workbook import readme
from lib.workbook.report import lasting

DEFAULT_STUDY = "itr"
LARGEST_NOTEBOOK_BYTES = 1_000_000


def publish(study_name: str) -> None:
    """Copy out/<study>/ to results/<study>/ without HTML; for the default study also the notebooks and README.md.

    Raises FileNotFoundError when the study has not finished, ValueError when a notebook is too large or not clean.
    """
    study = load_study(study_name)
    source, target = paths.OUT / study.name, paths.RESULTS / study.name
    if not (source / "claims.json").exists():
        raise FileNotFoundError(f"{source / 'claims.json'} not found; run `make reproduce STUDY={study_name}` first")
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(source.rglob("*")):
        kept = path.suffix in (".json", ".jsonl", ".svg") and not {"report", "notebooks"} & set(path.parts)
        if path.is_file() and kept:
            runs.write_atomic(target / path.relative_to(source), path.read_text(encoding="utf-8"))
    if study.name == DEFAULT_STUDY:
        for executed in sorted((source / "notebooks").glob("[0-9]*.ipynb")):
            if ".failed" not in executed.name:
                runs.write_atomic(paths.NOTEBOOKS / executed.name, clean_notebook(executed))
        readme.write()


def clean_notebook(executed: Path) -> str:
    """The executed notebook with content only: no injected cell, run metadata, or path of this machine.

    Raises ValueError when a cell failed or did not run in order, a machine path remains, or it is over 1 MB.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata
    }
    count = 0
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "error":
                    raise ValueError(
                        f"{executed.name}: cell {count} ended in {output.ename}; a failed run is not published"
                    )
                if output.output_type == "execute_result":
                    output.execution_count = count
            cell.outputs = lasting(cell.outputs)
    text = nbformat.writes(notebook) + "\n"
    leaks = re.findall(rf"{re.escape(str(paths.ROOT))}|{re.escape(str(Path.home()))}/", text)
    if leaks or len(text.encode()) > LARGEST_NOTEBOOK_BYTES:
        raise ValueError(
            f"{executed.name}: {len(text.encode())} bytes, machine paths {leaks[:2]}; both must be cured first"
        )
    return text


if __name__ == "__main__":
    publish(sys.argv[1])
