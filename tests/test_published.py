"""What is published agrees with itself: README with results/, verdicts with rows, notebooks with the run."""

import json
import re

import nbformat
import pytest

from lib import paths, runs
from lib.analysis import claims, scoreboard
from lib.studies import Study
from lib.study_file import load_study
from lib.workbook import aims, readme

PUBLISHED = sorted(path.parent for path in paths.RESULTS.glob("*/scoreboard.json"))
NEEDED = {"held", "not_held", "undecided"}


needs_results = pytest.mark.skipif(not (paths.RESULTS / "itr").exists(), reason="nothing is published yet")


@needs_results
def test_every_generated_number_in_the_readme_equals_the_results():
    text = (paths.ROOT / "README.md").read_text()
    assert readme.filled(text) == text, "README.md differs from results/; run `make publish`"


@needs_results
def test_an_altered_number_in_the_readme_is_noticed():
    text = (paths.ROOT / "README.md").read_text()
    digit = re.search(r"<!-- generated: table -->\n(?:.*\n)*?.*?(\d)\d? %", text)
    altered = text[: digit.start(1)] + str((int(digit[1]) + 1) % 10) + text[digit.end(1) :]
    assert readme.filled(altered) != altered


@needs_results
def test_the_table_of_claims_has_each_once_and_those_that_held_first():
    rows = [line.split(" | ") for line in readme.claims_block().splitlines()[2:]]
    claims = json.loads((paths.RESULTS / "itr" / "claims.json").read_text())
    assert sorted(row[0].removeprefix("| ") for row in rows) == sorted(claims)
    verdicts = [row[2] for row in rows]
    assert verdicts == sorted(verdicts, key=["held", "not held", "undecided"].index)


def test_a_registration_that_changed_is_said_with_both_hashes_and_one_that_did_not_is_not():
    study = load_study("itr")
    moved = study.model_copy(update={"grids": {}})
    assert readme.changed_since(study, study, 122) == ""
    warning = readme.changed_since(moved, study, 122)
    assert moved.registration in warning
    assert study.registration in warning
    assert "122 test facts" in warning


def test_what_a_benchmark_did_not_measure_is_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BENCHMARKS", tmp_path)
    rows = [{"id": "train_ratio/trl_default", "value": 3.46, "unit": "ratio"}]
    (tmp_path / "latest.json").write_text(json.dumps({"machine": "a machine", "rows": rows}))
    lines = readme.speed_block().splitlines()
    assert lines[2].endswith("| 3.5 times | at least 5.0 times |") and lines[-3] == "Device: a machine."
    assert all("| not measured |" in line for line in lines[3:-4]) and len(lines) == len(aims.AIMS) + 6


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
class TestPublishedStudy:
    def test_verdicts_and_scoreboard_follow_from_the_published_rows(self, folder, monkeypatch):
        monkeypatch.setattr(paths, "OUT", paths.RESULTS)
        names = sorted(path.parent.name for path in folder.glob("*/records.jsonl"))
        summaries = scoreboard.load_summaries(folder.name, names)
        study = Study.model_validate(summaries[names[0]]["parameters"])
        evidence = scoreboard.gather(scoreboard.load_records(folder.name, names), summaries)
        assert claims.claims_json(study, evidence) == json.loads((folder / "claims.json").read_text())
        findings = [found for _, findings in claims.judge_claims(study.claims, evidence).values() for found in findings]
        again = json.loads(json.dumps(scoreboard.scoreboard(evidence, summaries, findings)))
        assert again == json.loads((folder / "scoreboard.json").read_text())

    def test_every_claim_has_a_verdict_and_says_why(self, folder):
        found = json.loads((folder / "claims.json").read_text())
        assert set(found) == {f"C{number}" for number in range(1, 18)}
        assert all(claim["verdict"] in NEEDED and claim["evidence"] for claim in found.values())

    def test_all_notebooks_ran_under_one_registration_and_a_change_since_is_shown(self, folder):
        ran = {
            Study.model_validate(json.loads(path.read_text())["parameters"]).registration
            for path in folder.glob("*/summary.json")
        }
        assert len(ran) == 1
        current = load_study(folder.name).registration
        if ran != {current}:
            assert folder.name == "itr", "only the README's study has a place that shows that its registration changed"
            shown = (paths.ROOT / "README.md").read_text()
            assert all(name in shown for name in (*ran, current, "are of an earlier run"))

    def test_every_cell_of_the_grid_is_one_row(self, folder):
        for path in folder.glob("*/records.jsonl"):
            rows = runs.read_jsonl(path)
            cells = {(row["condition"], row["seed"], row["question_id"], row["split"]) for row in rows}
            assert len(cells) == len(rows) > 0

    def test_no_machine_path_or_key_is_published(self, folder):
        for path in folder.rglob("*.json*"):
            assert not re.search(r"/root/|/home/|/Users/|sk-ant-", path.read_text()), path


@pytest.mark.parametrize("path", sorted(paths.NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_committed_notebooks_are_small_and_name_no_machine(path):
    text = path.read_text()
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"/root/|/home/|/Users/|sk-ant-|papermill", text)
    assert nbformat.validate(nbformat.reads(text, as_version=4)) is None
