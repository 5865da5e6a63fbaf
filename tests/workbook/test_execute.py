"""What stops a study before anything is computed, and how one of its notebooks is run."""

import os
import subprocess
import sys
from types import SimpleNamespace

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
def copied(tmp_path, monkeypatch):
    """The smoke study over copies of the notebooks, of data/general and of the simulation, which a test may change."""
    for name in ("NOTEBOOKS", "DATA", "RESULTS"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(paths, name, tmp_path / name)
    for name in [*load_study("smoke").grids, execute.FINDINGS]:
        write_notebook(tmp_path / "NOTEBOOKS" / f"{name}.ipynb", name)
    (tmp_path / "DATA" / "general").mkdir()
    (tmp_path / "DATA" / "general" / "text.jsonl").write_text("a text")
    (tmp_path / "RESULTS" / "simulation.json").write_text("{}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    study = load_study("smoke")
    return study.model_copy(update={"models": {**study.models, "other": str(model)}})


def write_notebook(path, source):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)


def hashes(study):
    return {path.stem: execute.inputs_hash(study, path) for path in execute.notebooks_of(study)}


def changed_by(study, change):
    """Which notebooks must run again after a change."""
    before = hashes(study)
    change()
    after = hashes(study)
    return [name for name in before if before[name] != after[name]]


def test_a_changed_notebook_runs_again_with_all_that_come_after_it(copied):
    names = [path.stem for path in execute.notebooks_of(copied)]
    place = names.index("05_rag_comparison")
    assert changed_by(copied, lambda: write_notebook(paths.NOTEBOOKS / f"{names[place]}.ipynb", "1")) == names[place:]


def test_outputs_of_a_notebook_do_not_count(copied):
    path = execute.notebooks_of(copied)[0]
    read = nbformat.read(path, as_version=4)
    read.cells[0].outputs = [nbformat.v4.new_output("stream", text="said")]
    assert changed_by(copied, lambda: nbformat.write(read, path)) == []


def test_general_text_weights_and_the_simulation_are_inputs(copied):
    names = [path.stem for path in execute.notebooks_of(copied)]
    text, simulation = paths.DATA / "general" / "text.jsonl", paths.RESULTS / "simulation.json"
    weights = paths.ROOT / copied.models["other"] / "model.safetensors"
    assert changed_by(copied, lambda: text.write_text("another")) == names
    assert changed_by(copied, lambda: os.utime(weights, (1, 1))) == names
    assert changed_by(copied, lambda: weights.write_text("longer weights")) == names
    assert changed_by(copied, lambda: simulation.write_text("[]")) == [execute.FINDINGS]


def test_a_key_for_claude_is_an_input_where_claude_is_asked_and_which_key_it_is_is_not(copied, monkeypatch):
    names = [path.stem for path in execute.notebooks_of(copied)]
    asking = copied.model_copy(update={"claude": load_study("itr").claude})
    alone = copied.model_copy(update={"claude": None})
    for study, wanted in ((asking, names), (alone, [])):
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        assert changed_by(study, lambda: monkeypatch.setenv("ANTHROPIC_API_KEY", "one")) == wanted
        assert changed_by(study, lambda: monkeypatch.setenv("ANTHROPIC_API_KEY", "two")) == []


def test_a_report_that_failed_after_its_notebooks_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    study, notebooks = SimpleNamespace(name="made_up"), [paths.NOTEBOOKS / f"{name}.ipynb" for name in ("01", "08")]
    index = tmp_path / "made_up" / "report" / "index.html"
    for place, path in enumerate([*(execute.executed_copy(study, one) for one in notebooks), index]):
        assert place < 2 or execute.report_is_older(study, notebooks), "there is none"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (place, place))
    assert not execute.report_is_older(study, notebooks)
    os.utime(execute.executed_copy(study, notebooks[0]), (9, 9))
    assert execute.report_is_older(study, notebooks)


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
