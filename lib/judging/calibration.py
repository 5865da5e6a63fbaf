"""How far a judge can be trusted: its verdicts beside labels given by reading, weighted back to all answers."""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib import paths
from lib.corpus.records import Verdict
from lib.judging.keyfacts import grade

LABELS = paths.DATA / "judge" / "labels.jsonl"
RESAMPLES, SEED = 2_000, 20_261_121


class Agreement(NamedTuple):
    """Judge against reader. kappa with its 95 % interval; sensitivity and specificity of CORRECT, NaN where undefined.

    sensitivity: share of the answers read as right that the judge accepts; specificity: share of the others that it rejects.
    """

    kappa: float
    low: float
    high: float
    sensitivity: float
    specificity: float
    n: int


def load_labels() -> pd.DataFrame:
    """The labelled answers of data/judge/labels.jsonl. Raises ValueError naming file, line and the accepted labels."""
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").split("\n") if line]
    accepted = sorted({*Verdict} - {Verdict.JUDGE_FAILED})
    for number, row in enumerate(rows, 1):
        if row["label"] not in accepted:
            raise ValueError(
                f"{LABELS.name}:{number}: label {row['label']!r} not one of {accepted}; see data/judge/README.md"
            )
    return pd.DataFrame(rows)


def judge_card(labels: pd.DataFrame) -> dict[str, Agreement]:
    """The key-fact judge beside the first reading, on each half, and the two readings beside each other.

    The answers are graded now, so the card is of the judge as it is, not of the one whose verdicts were drawn from.
    """
    first = labels[labels["pass"] == 1]
    graded = [
        grade(row.answer, expected=row.reference, value_type=row.value_type, accept=row.accept, question=row.question)
        for row in first.itertuples()
    ]
    first = first.assign(verdict=[found.strict.value for found in graded], half=first.fact_id.map(half))
    card = {
        f"judge, {side} half": _between(rows.label, rows.verdict, rows)
        for side, rows in first.groupby("half", sort=True)
    }
    again = labels[labels["pass"] == 2].merge(first, on=["question_id", "condition", "seed"], suffixes=("", "_first"))
    return card | {"reader, read twice": _between(again.label_first, again.label, again)}


def _between(labels: pd.Series, verdicts: pd.Series, rows: pd.DataFrame) -> Agreement:
    return agreement(list(labels), list(verdicts), weights=list(1 / rows.probability), units=list(rows.fact_id))


def draw(rows: pd.DataFrame, per_cell: int, *, seed: int = SEED) -> pd.DataFrame:
    """Up to `per_cell` rows of each condition and verdict, with `probability`, the chance that the row was drawn.

    Verdicts of a small model are mostly wrong answers; drawn evenly from all, right ones would hardly be read.
    """
    drawn = []
    for _, cell in rows.groupby(["condition", "verdict"], sort=True):
        taken = cell.sample(min(per_cell, len(cell)), random_state=seed)
        drawn.append(taken.assign(probability=len(taken) / len(cell)))
    return pd.concat(drawn, ignore_index=True)


def half(fact_id: str) -> str:
    """`dev`, on which a judge's rules may be tuned, or `test`, which is opened once: fixed by the fact alone."""
    return "dev" if hashlib.sha256(fact_id.encode()).digest()[0] % 2 else "test"


def agreement(
    labels: Sequence[str], verdicts: Sequence[str], *, weights: Sequence[float], units: Sequence[str]
) -> Agreement:
    """Cohen's kappa over the verdicts, each answer weighted by 1 / its probability; the interval resamples whole units.

    kappa = (observed - chance) / (1 - chance); 1 when both sides say the same one thing throughout. Raises ValueError
    when there is nothing to compare.
    """
    classes = sorted({*labels, *verdicts})
    if not classes:
        raise ValueError("agreement needs at least one labelled answer")
    label, verdict = (np.array([classes.index(name) for name in side]) for side in (labels, verdicts))
    weight = np.asarray(weights, dtype=float)
    cell = label * len(classes) + verdict
    members = [np.asarray(rows) for rows in pd.Series(list(units)).groupby(list(units)).indices.values()]
    rng = np.random.default_rng(SEED)
    resampled = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        resampled.append(_kappa(np.bincount(cell[rows], weight[rows], len(classes) ** 2)))
    low, high = np.clip(np.quantile(resampled, [0.025, 0.975]), -1, 1)
    right, accepted = (np.array([name == "CORRECT" for name in side]) for side in (labels, verdicts))
    return Agreement(
        _kappa(np.bincount(cell, weight, len(classes) ** 2)),
        float(low),
        float(high),
        _share(accepted[right], weight[right]),
        _share(~accepted[~right], weight[~right]),
        len(label),
    )


def _kappa(cells: np.ndarray) -> float:
    """Cohen's kappa of a flattened confusion matrix of weights."""
    side = round(len(cells) ** 0.5)
    shares = cells.reshape(side, side) / cells.sum()
    observed, chance = np.trace(shares), shares.sum(axis=1) @ shares.sum(axis=0)
    # Both sides say the same one thing throughout: agreement that chance alone would give, and complete.
    return float((observed - chance) / (1 - chance)) if chance < 1 else 1.0


def _share(hits: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(hits, weights=weights)) if len(hits) else float("nan")


def corrected(share: float, sensitivity: float, specificity: float) -> float:
    """The share that is right when a judge of this sensitivity and specificity accepts `share`, cut to 0 to 1.

    Rogan and Gladen (1978): (share + specificity - 1) / (sensitivity + specificity - 1). NaN for a judge no better than a
    coin, whose verdicts say nothing.
    """
    skill = sensitivity + specificity - 1
    return float(np.clip((share + specificity - 1) / skill, 0, 1)) if skill > 0 else float("nan")
