"""What stops a study before anything is computed, and how one of its notebooks is run."""

import subprocess
import sys

import nbformat
import pytest

from lib import paths
from lib.study_file import load_study, locate_study
from lib.workbook import execute


def test_a_study_that_claude_is_to_judge_stops_at_once_without_a_key(monkeypatch):
    monkeypatch.setenv("JUDGE", "claude")
    monkeypatch.setattr(execute, "execute", lambda *given: pytest.fail("a notebook was started"))
    with pytest.raises(RuntimeError, match="ANTHROPIC_API_KEY"):
        execute.main("smoke")


def test_a_run_with_nothing_to_do_need_not_load_torch_to_find_out():
    probe = "import sys, lib.workbook.execute; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=paths.ROOT).returncode == 0


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Writes a notebook of one parameter and one cell, of the smoke study, and runs it headless."""
    monkeypatch.setattr(paths, "OUT", tmp_path / "out")

    def run(source):
        written = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        parameter = nbformat.v4.new_code_cell('STUDY = "itr"', metadata={"tags": ["parameters"]})
        written.cells = [parameter, nbformat.v4.new_code_cell(source)]
        nbformat.write(written, tmp_path / "01_tiny.ipynb")
        study = load_study("smoke")
        return execute.execute(study, locate_study("smoke"), tmp_path / "01_tiny.ipynb")

    return run


def runs_of(tmp_path):
    return sorted(path.name for path in (tmp_path / "out" / "smoke" / "notebooks").iterdir())


def test_a_notebook_runs_headless_on_the_study_it_is_given_and_nothing_else_is_said(notebook, tmp_path, capfd):
    assert (
        notebook("import os, sys\nprint(STUDY, os.environ['WORKBOOK_HEADLESS'])\nprint('50 %', file=sys.__stderr__)")
        > 0
    )
    assert runs_of(tmp_path) == ["01_tiny.ipynb", "01_tiny.json"]
    executed = nbformat.read(tmp_path / "out" / "smoke" / "notebooks" / "01_tiny.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{locate_study('smoke')} 1\n"
    assert capfd.readouterr() == ("", "50 %\n"), "progress alone reaches the terminal"


@pytest.mark.parametrize(
    ("source", "said"),
    [("1 / 0", "ZeroDivisionError"), ("import os; os._exit(9)", "Kernel died")],
    ids=["error", "killed"],
)
def test_a_notebook_that_fails_says_why_and_leaves_its_copy_beside_the_runs(notebook, tmp_path, source, said):
    with pytest.raises(SystemExit, match=f"(?s){said}.*01_tiny.ipynb failed; read .*01_tiny.failed.ipynb"):
        notebook(source)
    assert runs_of(tmp_path) == ["01_tiny.failed.ipynb"]
