"""The whole story on a tiny real slice: every notebook end to end, killed on the way, resumed, run again, looked at."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from lib import paths, runs
from lib.study_file import load_study

pytestmark = pytest.mark.models
RUN = [sys.executable, "-m", "lib.workbook.execute", "smoke"]


def environment(root):
    own = {**os.environ, "WORKBOOK_OUT": str(root / "out"), "WORKBOOK_CACHE": str(root / "cache")}
    own.pop("OMP_NUM_THREADS", None)  # the unit tests beside it take one core each; a study takes all, as for a reader
    return {**own, "OMP_WAIT_POLICY": "passive"}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke study's folder, run by the command of the Makefile after being killed once during training."""
    root = tmp_path_factory.mktemp("smoke")
    (root / "cache").mkdir()
    (root / "cache" / "weights").symlink_to(paths.ROOT / ".cache" / "weights")
    first = subprocess.Popen(RUN, env=environment(root), cwd=paths.ROOT, start_new_session=True)
    deadline = time.time() + 300
    while not list((root / "cache").glob("training/*")) and first.poll() is None and time.time() < deadline:
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in (root / "cache").glob("answers/*/journal.jsonl")}
    finished = subprocess.run(RUN, env=environment(root), cwd=paths.ROOT, capture_output=True, text=True, timeout=1200)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    assert before and all(path.stat().st_mtime_ns == made for path, made in before.items()), (
        "finished answers were redone"
    )
    return root


def test_every_notebook_ran_and_every_declared_cell_is_a_row(smoke):
    study = load_study("smoke")
    for name, blocks in study.grids.items():
        rows = runs.read_jsonl(smoke / "out/smoke" / name / "records.jsonl")
        conditions = {condition for block in blocks for condition in block.conditions}
        assert {row["condition"] for row in rows if row["split"] == "test"} == {
            c for block in blocks for c in block.conditions if block.split == "test"
        }
        assert {row["condition"] for row in rows} <= conditions | {"base"}


def test_every_claim_is_decided_and_the_scoreboard_is_in_order(smoke):
    found = json.loads((smoke / "out/smoke/claims.json").read_text())
    assert {claim["verdict"] for claim in found.values()} <= {"held", "not_held", "undecided"} and len(found) == 17
    lines = json.loads((smoke / "out/smoke/scoreboard.json").read_text())
    assert len({line["id"] for line in lines}) == len(lines)
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines if line["low"] is not None)
    assert {"accuracy/paraphrase/base", "accuracy/paraphrase/hybrid", "judge/gold/keyfacts"} <= {x["id"] for x in lines}


def test_a_second_run_does_nothing_within_fifteen_seconds(smoke):
    started = time.time()
    again = subprocess.run(RUN, env=environment(smoke), cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert "nothing to do, everything is up to date" in again.stdout
    assert time.time() - started < 15


def test_a_malformed_study_stops_before_anything_is_computed(smoke, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text((paths.STUDIES / "smoke.yaml").read_text().replace("max_new_tokens: 12", "max_new_tokens: many"))
    command = [*RUN[:-1], str(broken)]
    failed = subprocess.run(command, env=environment(tmp_path), cwd=paths.ROOT, capture_output=True, text=True)
    assert (
        failed.returncode and "broken.yaml:7: generation.max_new_tokens" in failed.stderr and "'many'" in failed.stderr
    )
    assert not (tmp_path / "out").exists()


def test_the_executed_notebooks_hold_no_errors_and_no_machine_paths_after_cleaning(smoke):
    from lib.workbook.publish import clean_notebook

    for path in sorted((smoke / "out/smoke/notebooks").glob("[0-9]*.ipynb")):
        notebook = nbformat.reads(clean_notebook(path), as_version=4)
        assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_reports_ask_nothing_of_the_network(smoke):
    pages = list((smoke / "out/smoke/report").rglob("*.html"))
    assert {"answers.html", "judge_card.html", "sources.html", "rag.html"} <= {path.name for path in pages}
    for path in pages:
        text = path.read_text()
        assert not re.search(r"<script|<link|(src|href)=[\"']?https?:", text), path.name
        assert len(text) > 2000


@pytest.mark.browser
def test_a_browser_shows_index_and_reports_without_a_request_or_an_error(smoke):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        reports = [*sorted((smoke / "out/smoke/report").glob("*.html")), smoke / "out/smoke/report/answers/rag.html"]
        for path in reports:
            page.goto(path.as_uri())
            assert page.locator("h1").count() >= 1
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path.name} overflows"
        page.goto((smoke / "out/smoke/report/index.html").as_uri())
        assert page.locator("table").count() >= 2 and page.locator("svg").count() >= 1
        browser.close()
    assert errors == [] and all(url.startswith(("file:", "data:")) for url in requests)
    assert len(reports) == 12  # seven notebooks, index, judge's card, sources, and two of traced answers
