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

    Raises FileNotFoundError when the study has not finished, ValueError when a notebook is too large or not clean; then
    what was published before still stands.
    """
    study = load_study(study_name)
    source, target = paths.OUT / study.name, paths.RESULTS / study.name
    if not (source / "claims.json").exists():
        raise FileNotFoundError(f"{source / 'claims.json'} not found; run `make reproduce STUDY={study_name}` first")
    executed = sorted((source / "notebooks").glob("[0-9]*.ipynb")) if study.name == DEFAULT_STUDY else []
    notebooks = {path.name: clean_notebook(path) for path in executed if ".failed" not in path.name}
    files = [
        path for path in sorted(source.rglob("*")) if path.suffix in (".json", ".jsonl", ".svg") and path.is_file()
    ]
    texts = {path.relative_to(source): path.read_text(encoding="utf-8") for path in files}
    texts = {path: text for path, text in texts.items() if path.parts[0] not in ("report", "notebooks")}
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for path, text in texts.items():
        runs.write_atomic(partial / path, text)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for name, text in notebooks.items():
        runs.write_atomic(paths.NOTEBOOKS / name, text)
    if study.name == DEFAULT_STUDY:
        readme.write()


def clean_notebook(executed: Path) -> str:
    """The executed notebook with content only: no injected cell, run metadata, or path of this machine.

    Raises ValueError when a cell failed or did not run in order, a machine path remains, or it is over 1 MB.
    """
    notebook = nbformat.read(executed, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        raise ValueError(f"{executed.name}: its cells ran as {counts}, not from top to bottom; run it again")
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata
    }
    count = 0
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count  # without the injected cell, which had a number too
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
    try:
        publish(sys.argv[1])
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
