"""The code keeps the shape that the README draws: imports flow one way, notebooks hold no logic, names are plain."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from lib import paths

STAGES = ["corpus", "models", "training", "retrieval", "answering", "judging", "analysis", "workbook"]
# training and retrieval stand in one column of the README's table: they do not know each other.
SIBLINGS = {("training", "retrieval"), ("retrieval", "training")}
SHARED = {"paths", "runs", "studies", "study_file", "progress"}
MODULES = sorted((paths.ROOT / "lib").rglob("*.py"))
NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
# An outside package and the only stages or modules that may import it.
RESERVED = {
    "torch": ("models", "training"),
    "anthropic": ("models/claude_api.py",),
    "httpx2": ("models/claude_api.py",),
    "lancedb": ("retrieval",),
    "sentence_transformers": ("retrieval",),
    "peft": ("training",),
    "trl": ("training",),
    "accelerate": ("training",),
    "submitit": ("workbook",),
    "matplotlib": ("analysis",),
    "nbconvert": ("workbook",),
}


def imported(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def place(path: Path) -> str:
    return path.relative_to(paths.ROOT / "lib").as_posix()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_a_stage_imports_only_from_stages_to_its_left(path):
    stage = place(path).split("/")[0].removesuffix(".py")
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "lib" or len(parts) < 2 or parts[1] in SHARED | {stage}:
            continue
        if stage in SHARED or stage == "__init__":
            assert parts[1] == "corpus" and parts[2] == "records", f"{place(path)} imports {name}"
            continue
        assert (stage, parts[1]) not in SIBLINGS, f"{place(path)} imports {name}"
        assert STAGES.index(parts[1]) < STAGES.index(stage), f"{place(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_outside_packages_are_imported_where_they_belong(path):
    for name in imported(path):
        allowed = RESERVED.get(name.split(".")[0])
        assert allowed is None or place(path).startswith(allowed), f"{place(path)} imports {name}"


def test_every_module_stands_in_the_readme():
    table = (paths.ROOT / "README.md").read_text().split("<!-- architecture -->")[1].split("\n\n")[0]
    named = set(re.findall(r"[a-z_]+", table))
    for path in MODULES:
        if path.name != "__init__.py" and "/" in place(path):
            assert path.stem in named, f"{place(path)} is not in the README's table"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_public_functions_and_classes_say_what_they_are(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{place(path)}: {node.name} has no docstring"


def test_no_file_is_named_after_nothing():
    tracked = [path for path in MODULES if path.stem in ("utils", "util", "helpers", "common", "misc")]
    assert tracked == []


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_nothing_is_pickled_and_no_remote_code_runs(path):
    text = path.read_text()
    assert "pickle" not in imported(path) and "trust_remote_code=True" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_assemble_and_define_nothing(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    for source in code:
        assert not re.search(r"^\s*(def|class|try|while) |sys\.path|^[!%]", source, re.MULTILINE), source
        assert len(source.splitlines()) <= 20, source
    assert cells[0].source.startswith("# ") and "**Question.**" in cells[0].source and "**Answer.**" in cells[0].source
    prose = sum(cell.cell_type == "markdown" for cell in cells) / len(cells)
    assert 0.4 <= prose <= 0.65, f"{prose:.0%} of the cells are prose"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_one_parameter_and_generated_takeaways(path):
    cells = nbformat.read(path, as_version=4).cells
    tagged = {tag: cell.source for cell in cells for tag in cell.metadata.get("tags", [])}
    assert set(tagged) >= {"parameters", "record", "takeaways"}
    assert re.fullmatch(r'STUDY = "itr".*', tagged["parameters"])


def test_no_code_cell_is_pasted_from_notebook_to_notebook():
    seen: dict[str, str] = {}
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            long = cell.cell_type == "code" and len(cell.source.splitlines()) > 6 and "import" not in cell.source
            if long and cell.source in seen:
                raise AssertionError(f"{path.stem} repeats a cell of {seen[cell.source]}: {cell.source}")
            seen[cell.source] = path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_were_run_from_top_to_bottom(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1)) or set(counts) == {None}
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
