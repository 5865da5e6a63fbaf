"""What is published, what is refused, and that a refusal leaves everything as it was."""

import os
import subprocess
import sys

import nbformat
import pytest

from lib import paths, runs
from lib.workbook import publish, readme


def executed(path, counts=(1, 2, 3)):
    """An executed notebook as papermill leaves it: the second cell is the injected one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell(f"# {place}", execution_count=count) for place, count in enumerate(counts)]
    cells[1].metadata["tags"] = ["injected-parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_cells_are_numbered_as_they_ran_without_the_injected_one(tmp_path):
    cells = nbformat.reads(publish.clean_notebook(executed(tmp_path / "01.ipynb")), as_version=4).cells
    assert [(cell.source, cell.execution_count) for cell in cells] == [("# 0", 1), ("# 2", 2)]


@pytest.mark.parametrize("counts", [(7, 2, None), (1, 3, 2), (1, 2, 4), (1, 2, None), (2, 3, 4)])
def test_cells_that_did_not_run_in_order_are_refused(tmp_path, counts):
    with pytest.raises(ValueError, match="01.ipynb: its cells ran as .* not from top to bottom"):
        publish.clean_notebook(executed(tmp_path / "01.ipynb", counts))


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished default study, and an older one that is published."""
    for name in ("OUT", "RESULTS", "NOTEBOOKS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    written = []
    monkeypatch.setattr(readme, "write", lambda: written.append("README"))
    source = paths.OUT / publish.DEFAULT_STUDY
    for name in ("claims.json", "headline.svg", "01/records.jsonl", "report/x.json", "notebooks/01.json", "01/x.html"):
        runs.write_atomic(source / name, "new")
    executed(source / "notebooks" / "01.ipynb")
    for name in ("claims.json", "gone/records.jsonl"):
        runs.write_atomic(paths.RESULTS / publish.DEFAULT_STUDY / name, "old")
    return written


def published():
    return {p.relative_to(paths.RESULTS).as_posix(): p.read_text() for p in paths.RESULTS.rglob("*") if p.is_file()}


def test_the_results_are_replaced_whole(finished):
    publish.publish(publish.DEFAULT_STUDY)
    names = ("claims.json", "headline.svg", "01/records.jsonl")
    assert published() == {f"{publish.DEFAULT_STUDY}/{name}": "new" for name in names}
    assert (paths.NOTEBOOKS / "01.ipynb").exists() and finished == ["README"]


def test_a_notebook_that_is_refused_leaves_what_was_published(finished):
    executed(paths.OUT / publish.DEFAULT_STUDY / "notebooks" / "02.ipynb", (7, 2, None))
    before = published()
    with pytest.raises(ValueError, match="02.ipynb"):
        publish.publish(publish.DEFAULT_STUDY)
    assert published() == before and not paths.NOTEBOOKS.exists() and finished == []


@pytest.mark.parametrize(
    ("study", "said"), [("smoke", "run `make reproduce STUDY=smoke` first"), ("none", "not found")]
)
def test_what_cannot_be_published_is_said_without_a_traceback(tmp_path, study, said):
    command = [sys.executable, "-m", "lib.workbook.publish", study]
    environment = {**os.environ, "WORKBOOK_OUT": str(tmp_path)}
    failed = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    assert failed.returncode == 1 and said in failed.stderr and "Traceback" not in failed.stderr


def test_the_figure_of_the_readme_appears_whole(tmp_path, monkeypatch):
    for name in ("ROOT", "BENCHMARKS"):
        monkeypatch.setattr(paths, name, tmp_path)
    (tmp_path / "README.md").write_text("no blocks")
    monkeypatch.setattr(readme, "_speeds", lambda: ("a machine", {}))
    whole = []
    monkeypatch.setattr(runs, "write_atomic", lambda path, text: whole.append((path.name, text)))
    readme.write()
    assert [name for name, _ in whole] == ["README.md", "speed.svg"] and whole[1][1].endswith("</svg>\n")
    assert not (tmp_path / "speed.svg").exists()
