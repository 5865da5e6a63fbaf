"""The scoreboard: one line a published number, computed from the records and summaries of all notebooks."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lib import paths, runs
from lib.analysis.claims import Evidence, Finding, score
from lib.analysis.failures import bounded_difference, bounded_estimate
from lib.analysis.stats import Estimate, estimate, wilson
from lib.analysis.tables import frame, primary, screened_kept
from lib.corpus.load import CURRENT, UNTRAINED
from lib.studies import Study

EITHER = "either of them"


def load_records(study: str, notebooks: list[str]) -> pd.DataFrame:
    """All test rows of the notebooks, each cell once (its first notebook's), with the column `notebook`.

    Raises FileNotFoundError naming the command when a notebook has not run.
    """
    tables = []
    for name in notebooks:
        path = paths.OUT / study / name / "records.jsonl"
        if not path.exists():
            raise FileNotFoundError(f"{path} not found; run `make reproduce STUDY=studies/{study}.yaml`")
        tables.append(frame(runs.read_jsonl(path)).assign(notebook=name))
    table = pd.concat(tables, ignore_index=True)
    return table.drop_duplicates(["condition", "seed", "question_id", "split"])


def load_summaries(study: str, notebooks: list[str]) -> dict[str, dict]:
    """summary.json of each notebook, by name."""
    return {name: json.loads((paths.OUT / study / name / "summary.json").read_text()) for name in notebooks}


def saved_summaries(folder: Path) -> dict[str, dict]:
    """summary.json of every notebook that has one in a study's folder, of out/ or results/, by name."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/summary.json"))}


def chosen_hybrid(summaries: Mapping[str, dict]) -> str | None:
    """The candidate that `hybrid` stands for, as the notebook that chose it on dev wrote it down; None where none did."""
    return next((found["metrics"]["hybrid"] for found in summaries.values() if "hybrid" in found["metrics"]), None)


def check_registration(study: Study, summaries: dict[str, dict]) -> None:
    """Raises ValueError when a notebook ran under another registration than the study file now holds."""
    for name, summary in summaries.items():
        ran = Study.model_validate(summary["parameters"]).registration
        if ran != study.registration:
            raise ValueError(
                f"{name} ran under registration {ran}, the study file now has {study.registration}; run it again"
            )


def gather(table: pd.DataFrame, summaries: dict[str, dict]) -> Evidence:
    """What the claims are decided on: test rows with the forgetting rows; losses, latencies, gradients by condition."""
    test = table[table.split == "test"]
    screen = table[table.split == "screen"]
    losses, latencies, gradients = {}, {}, {}
    for summary in summaries.values():
        losses.update(summary["metrics"].get("loss", {}))
        latencies.update(summary["metrics"].get("latency_ms", {}))
        gradients.update(summary["metrics"].get("gradients", {}))
    forgetting = screened_kept(test[test.probe.isin(UNTRAINED)], screen)
    dev = table[table.split == "dev"]
    chosen = chosen_hybrid(summaries)
    dev = dev.assign(condition=dev.condition.replace({chosen: "hybrid"} if chosen else {}))
    return Evidence(pd.concat([test, forgetting], ignore_index=True), losses, latencies, gradients, dev)


def scoreboard(evidence: Evidence, summaries: dict[str, dict], findings: list[Finding]) -> list[dict]:
    """Every line of scoreboard.json. An id never occurs twice; raises ValueError when two contrasts would have the same."""
    table = evidence.table
    lines = [
        *_accuracies(table),
        *_styles(table, summaries),
        *_kept(table),
        *_hallucination(table),
        *_costs(table, evidence),
    ]
    lines += [
        *citations(table),
        *_currency(table),
        *_deltas(findings),
        *_union(table),
        *_training(summaries),
        *_from_summaries(summaries),
    ]
    lines = list({line["id"]: line for line in reversed(lines)}.values())[::-1]
    return lines


def _accuracies(table: pd.DataFrame):
    scored = primary(table)
    scored = scored[~scored.probe.isin(["unanswerable", "kept", *CURRENT])]
    for (probe, condition), rows in scored.groupby(["probe", "condition"], sort=False):
        notebook = rows.notebook.iloc[0]
        yield score(f"accuracy/{probe}/{condition}", bounded_estimate(rows), unit="share", notebook=notebook)


def _styles(table: pd.DataFrame, summaries: dict[str, dict]):
    """JSON of conditions that were asked for it, else the uniform style."""
    conditions = {k: v for summary in summaries.values() for k, v in summary["parameters"]["conditions"].items()}
    asked = table[table.probe == "paraphrase"]
    for condition, rows in asked.groupby("condition", sort=False):
        column = "json_valid" if conditions.get(condition, {}).get("instruction") == "json" else "style"
        yield score(f"{column}/{condition}", estimate(rows, column), unit="share", notebook=rows.notebook.iloc[0])


def _kept(table: pd.DataFrame):
    for condition, rows in table[table.probe == "kept"].groupby("condition", sort=False):
        yield score(f"kept/{condition}", bounded_estimate(rows), unit="share", notebook=rows.notebook.iloc[0])


def _hallucination(table: pd.DataFrame):
    for condition, rows in table[table.probe == "unanswerable"].groupby("condition", sort=False):
        result = bounded_estimate(rows, "answered")
        yield score(f"hallucination/{condition}", result, unit="share", notebook=rows.notebook.iloc[0])


def citations(table: pd.DataFrame):
    """Of the passages aligned with answers (`lib.retrieval.citations`), how many are gold, and how often gold is found so.

    precision: share of answers with an aligned passage where that passage is gold. recall: share of answers with a gold
    passage in the prompt where the aligned passage is gold. Names and yes or no are never aligned and not counted. Of
    claude_rag it is the passage that Claude itself cites first.
    """
    asked = table[(table.probe == "paraphrase") & ~table.value_type.isin(["entity", "yesno"])]
    for condition in ("rag", "hybrid", "claude_rag"):
        rows = asked[asked.condition == condition]
        sides = {
            "precision": rows[rows.cites_gold.notna()],
            "recall": rows[rows.found == 1].fillna({"cites_gold": 0.0}),
        }
        for measure, counted in sides.items():
            if len(counted):
                result, notebook = estimate(counted, "cites_gold"), counted.notebook.iloc[0]
                yield score(f"citation/{measure}/{condition}", result, unit="share", notebook=notebook)


def _currency(table: pd.DataFrame):
    """Of the replaced rules, how many are answered with the new and how many with the old value, in the FAQ's words or not."""
    asked = primary(table[table.probe.isin(CURRENT)])
    for (condition, probe), rows in asked.groupby(["condition", "probe"], sort=False):
        for name, column in (("current", "correct"), ("stale", "stale")):
            line = f"currency/{name}/{condition}" + ("/unseen" if probe == "current" else "")
            yield score(line, bounded_estimate(rows, column), unit="share", notebook=rows.notebook.iloc[0])


def _costs(table: pd.DataFrame, evidence: Evidence):
    for condition, rows in table[table.probe == "paraphrase"].groupby("condition", sort=False):
        notebook = rows.notebook.iloc[0]
        result = estimate(rows, "prompt_tokens")
        yield score(f"cost/prompt_tokens/{condition}", result, unit="tokens", notebook=notebook)
    for condition, times in evidence.latencies_ms.items():
        median = float(pd.Series(times).median())
        yield score(f"cost/latency_ms/{condition}", None, value=median, n=len(times), unit="ms", notebook="06_hybrid")
    for condition, losses in evidence.losses.items():
        mean = sum(losses) / len(losses)
        yield score(f"loss/{condition}", None, value=mean, n=len(losses), unit="nats", notebook="04_rank_sweep")


def _deltas(findings: list[Finding]):
    seen: dict[str, dict] = {}
    for finding in findings:
        contrast = finding.contrast
        if contrast.b is None or finding.n == 0 or contrast.metric in ("loss", "latency_ms"):
            continue
        kind = contrast.probe if contrast.metric == "accuracy" else contrast.metric
        kind += "_right_before" if contrast.right_before else ""
        result = Estimate(finding.value, finding.low, finding.high, finding.n)
        name = f"delta/{kind}/{contrast.a}-vs-{contrast.b}"
        line = score(name, result, unit="difference", notebook="08_findings")
        if seen.setdefault(name, line) != line:
            raise ValueError(
                f"two contrasts with different results share the scoreboard line {name}; register one of them"
            )
        yield line


def _union(table: pd.DataFrame):
    """Facts that fine-tuning alone, retrieval alone, both or neither got right: the hybrid's head-room."""
    for row in head_room(table, "lora_raw_20ep", "rag", ["hybrid"]).itertuples():
        result = Estimate(row.value, row.low, row.high, row.facts)
        name = "ft_or_rag" if row.condition == EITHER else row.condition
        yield score(f"union/{name}", result, unit="share", notebook="06_hybrid")


def discordance(table: pd.DataFrame, tuned: str, retrieved: str) -> pd.Series:
    """Counts of facts by who is right (both, only the tuned, only the retrieved, neither), paraphrase, first seed."""
    right = _right(table, [tuned, retrieved])
    a, b = right[tuned], right[retrieved]
    parts = {"both": a & b, f"only {tuned}": a & ~b, f"only {retrieved}": ~a & b, "neither": ~a & ~b}
    return pd.Series({name: int(rows.sum()) for name, rows in parts.items()})


def head_room(table: pd.DataFrame, tuned: str, retrieved: str, combined: list[str]) -> pd.DataFrame:
    """Share of facts right by either of two conditions, by each alone, and by what combines them; one row each.

    What a combination can win over the better one alone is the first row less that one. Over the facts that all were
    asked, first seed, as `discordance` counts them; columns as figures.intervals takes them. A combination that was not
    asked is left out. No row where no fact was asked of all, as in a study without one of the two conditions.
    """
    right = _right(table, [tuned, retrieved, *(name for name in combined if name in set(table.condition))])
    right.insert(0, EITHER, right[tuned] | right[retrieved])
    shares = {name: wilson(int(column.sum()), len(column)) for name, column in right.items()} if len(right) else {}
    rows = [(name, share.value, share.low, share.high, share.n, 1) for name, share in shares.items()]
    return pd.DataFrame(rows, columns=["condition", "value", "low", "high", "facts", "seeds"])


def _right(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Whether each condition's first seed got a fact right, over the paraphrase questions that all of them were asked.

    A question on which a judgement failed is left out: counts cannot be read two ways.
    """
    asked = primary(table[(table.probe == "paraphrase") & (table.split == "test") & (table.seed == 0)])
    asked = asked[asked.verdict != "JUDGE_FAILED"]
    sides = {name: asked[asked.condition == name].set_index("question_id").correct > 0 for name in names}
    return pd.DataFrame(sides, columns=names).dropna().astype(bool)


def _training(summaries: dict[str, dict]):
    """Seconds that training took, as the mean over seeds; a notebook that found the weights in the cache says the same."""
    for notebook, summary in summaries.items():
        ledger = pd.DataFrame([line for line in summary["ledger"] if line["probe"] == "training"])
        for condition, runs_of_it in ledger.groupby("condition") if len(ledger) else ():
            mean = float(runs_of_it.seconds.mean())
            name = f"cost/train_seconds/{condition}"
            yield score(name, None, value=mean, n=len(runs_of_it), unit="s", notebook=notebook)


def _from_summaries(summaries: dict[str, dict]):
    """Lines that a notebook measured itself: retrieval, the judge's anchors, training seconds."""
    for notebook, summary in summaries.items():
        for line in summary["metrics"].get("scoreboard", []):
            yield {**line, "notebook": notebook}


def write_scoreboard(study: str, lines: list[dict], claims: dict[str, dict]) -> Path:
    """Write scoreboard.json and claims.json into out/<study>/; returns that folder."""
    folder = paths.OUT / study
    runs.write_json(folder / "scoreboard.json", lines)
    runs.write_json(folder / "claims.json", claims)
    return folder


def compare_paired(table: pd.DataFrame, a: str, b: str, probe: str = "paraphrase"):
    """The paired difference of primary accuracy between two conditions, for a notebook's own table."""
    scored = primary(table[(table.probe == probe) & (table.split == "test")])
    left, right = scored[scored.condition == a], scored[scored.condition == b]
    shared = set(left.unit) & set(right.unit)
    return bounded_difference(left[left.unit.isin(shared)], right[right.unit.isin(shared)])
