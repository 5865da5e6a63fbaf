"""Run a study's notebooks in order, each in a process of its own; skip those whose inputs have not changed.

python -m lib.workbook.execute STUDY
"""

import json
import os
import sys
import time
from itertools import takewhile
from pathlib import Path

from traitlets.config import Config

from lib import paths, runs
from lib.corpus.load import load_corpus
from lib.studies import Study
from lib.study_file import load_study, locate_study
from lib.workbook import asked, show

# Of one cell.
TIMEOUT_SECONDS = 6 * 3600
# What every kernel of a headless run finds in its environment, and how it is spoken to: nobody else on the machine listens.
KERNEL_ENVIRONMENT = {
    "WORKBOOK_HEADLESS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RUST_LOG": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
KERNEL = Config(KernelManager={"transport_encryption": "auto"})
FINDINGS = "08_findings"


def notebooks_of(study: Study) -> list[Path]:
    """The notebooks that the study runs: those with a grid, then the findings."""
    named = [paths.NOTEBOOKS / f"{name}.ipynb" for name in [*study.grids, FINDINGS]]
    missing = [path.name for path in named if not path.exists()]
    if missing:
        known = sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb"))
        raise FileNotFoundError(f"study {study.name}: grids names {missing}, not among the notebooks {known}")
    return named


def inputs_hash(study: Study, notebook: Path) -> str:
    """A hash of all that a notebook's run depends on: its cells and those of the notebooks before it, whose rows it may read,
    lib/, the study with what it extends, the data, its models' files, and whether Claude may be asked.

    Outputs and comments do not count. Models that are packaged or on the Hub go by their names.
    """
    before = takewhile(lambda other: other != notebook, notebooks_of(study))
    cells = [_cells(path) for path in (*before, notebook)]
    files = sorted((paths.ROOT / "lib").rglob("*.py"))
    for folder in (paths.ROOT / study.corpus.folder, paths.DATA / "judge", paths.DATA / "general"):
        files += [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files += [paths.RESULTS / "simulation.json"] if notebook.stem == FINDINGS else []
    texts = [path.read_text(encoding="utf-8") for path in files]
    asks_claude = study.claude is not None and bool(os.environ.get("ANTHROPIC_API_KEY", "").strip())
    fields = study.model_dump(mode="json")
    return runs.content_hash([cells, texts, fields, runs.versions(), _model_files(study), asks_claude])


def _cells(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]]


def _model_files(study: Study) -> list[list]:
    """Name, size and time of change of every file of a model or embedder that is a directory; gigabytes are not read."""
    embedders = [study.embedding, *(retrieval.embedder or "" for retrieval in study.retrievals.values())]
    folders = [paths.ROOT / Path(source).expanduser() for source in sorted({*study.models.values(), *embedders} - {""})]
    files = [(folder, path) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    stats = [(path.relative_to(folder), path.stat()) for folder, path in files]
    return [[name.as_posix(), stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def executed_copy(study: Study, notebook: Path) -> Path:
    """Where a notebook's run is; beside it, as JSON, the hash of its inputs and its seconds."""
    return paths.OUT / study.name / "notebooks" / notebook.name


def up_to_date(study: Study, notebook: Path) -> bool:
    """Whether a notebook has run on what there now is."""
    target = executed_copy(study, notebook)
    stamp = target.with_suffix(".json")
    return target.exists() and stamp.exists() and inputs_hash(study, notebook) in stamp.read_text()


def report_is_older(study: Study, notebooks: list[Path]) -> bool:
    """Whether the report is missing, or was last written before one of the executed notebooks."""
    index = _index(study)
    executed = [executed_copy(study, notebook).stat().st_mtime_ns for notebook in notebooks]
    return not index.exists() or index.stat().st_mtime_ns < max(executed)


def _index(study: Study) -> Path:
    return paths.OUT / study.name / "report" / "index.html"


def execute(study: Study, study_file: Path, notebook: Path) -> float:
    """Run one notebook into out/<study>/notebooks/; returns its seconds.

    The executed copy appears only when the run succeeded; a failed one is left beside it as *.failed.ipynb.
    """
    # Imported here: a run with nothing to do shall say so at once.
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    target, key = executed_copy(study, notebook), inputs_hash(study, notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".failed.ipynb")
    started = time.time()
    os.environ.update(KERNEL_ENVIRONMENT)
    try:
        papermill.execute_notebook(
            notebook,
            partial,
            parameters={"STUDY": str(study_file)},
            cwd=paths.ROOT,
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=TIMEOUT_SECONDS,
            config=KERNEL,
        )
    except (papermill.PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise SystemExit(f"{error}\n{notebook.name} failed; read {partial}") from None
    os.replace(partial, target)
    seconds = time.time() - started
    runs.write_json(target.with_suffix(".json"), {"inputs": key, "seconds": round(seconds, 1)})
    return seconds


def main(study_name: str) -> None:
    """Check the data, run what is not up to date, write the reports, print the scoreboard beside the published one.

    The report, Claude and the check of memory are imported where they are needed: they load torch and an SDK, and a run that
    has nothing to do shall say so at once.
    """
    study, study_file = load_study(study_name), locate_study(study_name)
    asked.refuse_missing(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    names = notebooks_of(study)
    stale = [notebook for notebook in names if not up_to_date(study, notebook)]
    if stale:
        from lib.workbook import memory

        if memory.must_be_fetched(study):
            memory.check_fits(study)  # before gigabytes are fetched
    if study.judge == "claude":
        from lib.models import claude

        claude.Client(study)  # to be told now that the key is missing, not after the first notebook's training
    for notebook in names:
        print(f"[{notebook.stem}] ", end="", flush=True)
        print(
            f"done in {execute(study, study_file, notebook):.0f} s" if notebook in stale else "up to date", flush=True
        )
    if report_is_older(study, names):
        from lib.workbook import report

        report.write_reports(study)
    show.print_scoreboard(study.name)
    state = (
        f"ran {', '.join(notebook.stem for notebook in stale)}" if stale else "nothing to do, everything is up to date"
    )
    print(f"\nStudy {study.name}: {state}. Report: {_index(study)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
