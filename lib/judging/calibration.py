"""How far a judge can be trusted: its verdicts beside labels given by reading, weighted back to all answers."""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from lib import paths, runs
from lib.corpus.records import Fact, Verdict
from lib.judging.keyfacts import grade
from lib.models.claude import Judgement

LABELS = paths.DATA / "judge" / "labels.jsonl"
INJECTIONS = paths.DATA / "judge" / "injections.jsonl"
RESAMPLES, SEED = 2_000, 20_261_121
# Answers whose verdict is known, for any value.
ANCHORS = {
    "hedged": ("I think it is {}, but I am not sure.", Verdict.CORRECT),
    "denied": ("It is not {}.", Verdict.INCORRECT),
    "declined": ("I don't know.", Verdict.NOT_ATTEMPTED),
    "empty": ("", Verdict.NOT_ATTEMPTED),
}


class Agreement(NamedTuple):
    """Judge against reader. kappa with its 95 % interval; sensitivity and specificity of CORRECT, NaN where undefined.

    sensitivity: share of the answers read as right that the judge accepts; specificity: share of the others that it rejects.
    right_facts, wrong_facts: how many equally weighted facts the two rest on (see `_effective_facts`).
    """

    kappa: float
    low: float
    high: float
    sensitivity: float
    specificity: float
    n: int
    right_facts: float
    wrong_facts: float


class Share(NamedTuple):
    """hits / n with its 95 % Wilson interval."""

    value: float
    low: float
    high: float
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


def injection_rate(kind: str | None = None) -> Share:
    """The share of the answers of data/judge/injections.jsonl that the key-fact judge accepts; it should be 0.

    Each tries to move a judge and does not assert the right value. Accepted: graded CORRECT or, where the question has no
    answer, NOT_ATTEMPTED, by the strict grade. `kind` keeps one kind. Raises ValueError when no answer is of it.
    """
    rows = [row for row in runs.read_jsonl(INJECTIONS) if kind in (None, row["kind"])]
    accepted = [
        grade(row["answer"], expected=row["expected"], value_type=row["value_type"], question=row["question"]).strict
        is (Verdict.NOT_ATTEMPTED if row["expected"] is None else Verdict.CORRECT)
        for row in rows
    ]
    return _wilson(accepted)


def injection_kinds() -> list[str]:
    """The kinds of data/judge/injections.jsonl, in the order in which they first occur there."""
    return list(dict.fromkeys(row["kind"] for row in runs.read_jsonl(INJECTIONS)))


def anchor_shares(facts: Sequence[Fact]) -> dict[str, Share]:
    """For each of ANCHORS, said of each fact's value, the share that the key-fact judge grades as it should; it should be 1.

    Gold answers, and those of other facts, are the business of `lib.analysis.gates.judge_anchors`. A yes or no is not
    denied by putting "not" before it, and is left out there. Raises ValueError when no fact is left.
    """
    shares = {}
    for name, (frame, verdict) in ANCHORS.items():
        asked = [fact for fact in facts if name != "denied" or fact.value_type != "yesno"]
        answers = [frame.format(_said(fact)) for fact in asked]
        shares[name] = _wilson(
            [
                grade(answer, expected=f.value, value_type=f.value_type, accept=f.accept).strict is verdict
                for answer, f in zip(answers, asked, strict=True)
            ]
        )
    return shares


def changed(first: Sequence[Judgement], second: Sequence[Judgement]) -> Share:
    """The share of answers whose strict verdict differs between two judgings of them, of those that both graded.

    Of the same request twice it is a judge's flip rate; of two orders of reference and answer, its bias for a place, as
    far as it is above the flip rate. NaN where no answer was graded twice. Raises ValueError unless both are of as many.
    """
    pairs = [(one.strict, other.strict) for one, other in zip(first, second, strict=True)]
    differ = [one is not other for one, other in pairs if Verdict.JUDGE_FAILED not in (one, other)]
    return _wilson(differ) if differ else Share(float("nan"), float("nan"), float("nan"), 0)


def _said(fact: Fact) -> str:
    """The value as a sentence names it: a bare number is a section only after the word."""
    return f"section {fact.value.removeprefix('section ')}" if fact.value_type == "section" else fact.value


def _wilson(hits: Sequence[bool]) -> Share:
    if not hits:
        raise ValueError("a share needs at least one graded answer")
    low, high = proportion_confint(sum(hits), len(hits), method="wilson")
    return Share(sum(hits) / len(hits), float(low), float(high), len(hits))


def graded(labels: pd.DataFrame) -> pd.DataFrame:
    """The first reading of each labelled answer with the key-fact judge's `verdict` of today, the `half` of its fact, and
    `length`: which third of the answers it is in by words (short, middle, long).

    The answers are graded now, so that figures are of the judge as it is, not of the one whose verdicts were drawn from.
    """
    first = labels[labels["pass"] == 1]
    grades = [
        grade(row.answer, expected=row.reference, value_type=row.value_type, accept=row.accept, question=row.question)
        for row in first.itertuples()
    ]
    words = first.answer.str.split().str.len()
    return first.assign(
        verdict=[found.strict.value for found in grades],
        half=first.fact_id.map(half),
        length=pd.qcut(words.rank(method="first"), 3, labels=["short", "middle", "long"]).astype(str),
    )


def judge_card(labels: pd.DataFrame) -> dict[str, Agreement]:
    """The key-fact judge beside the first reading, on each half, and the two readings beside each other."""
    first = graded(labels)
    card = {
        f"judge, {side} half": beside(rows.label, rows.verdict, rows) for side, rows in first.groupby("half", sort=True)
    }
    again = labels[labels["pass"] == 2].merge(first, on=["question_id", "condition", "seed"], suffixes=("", "_first"))
    return card | {"reader, read twice": beside(again.label_first, again.label, again)}


def card_by(first: pd.DataFrame, column: str) -> pd.DataFrame:
    """Judge beside reader within each value of a column of `graded`, both halves together: one line a value.

    right, accepted: the share of all answers that the reader reads as right, and that the judge accepts. What the second
    exceeds the first by is how much the judge favours such answers; over `length`, its bias for long or short ones.
    """
    lines = {}
    for name, rows in first.groupby(column, sort=True):
        favoured = {
            side: _share((rows[of] == "CORRECT").to_numpy(), 1 / rows.probability)
            for side, of in (("right", "label"), ("accepted", "verdict"))
        }
        lines[name] = beside(rows.label, rows.verdict, rows)._asdict() | favoured
    return pd.DataFrame(lines).T[["kappa", "low", "high", "sensitivity", "specificity", "right", "accepted", "n"]]


def confusion(first: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reader (lines) against judge (columns), of rows as `graded` gives them: how many labelled answers, and what share of
    all answers these stand for.

    Every verdict that a reader may give has a line and a column, of zeros where neither side gave it.
    """
    kinds = [kind.value for kind in Verdict if kind is not Verdict.JUDGE_FAILED]
    counts = pd.crosstab(first.label, first.verdict).reindex(index=kinds, columns=kinds, fill_value=0)
    drawn_for = pd.crosstab(first.label, first.verdict, 1 / first.probability, aggfunc="sum", normalize="all")
    return counts, drawn_for.reindex(index=kinds, columns=kinds).fillna(0.0)


def beside(labels: Sequence[str], verdicts: Sequence[str], rows: pd.DataFrame) -> Agreement:
    """Any verdicts on labelled answers beside the labels; `rows` says how likely each was drawn and about which fact it is."""
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
        _effective_facts(weight[right], np.asarray(units)[right]),
        _effective_facts(weight[~right], np.asarray(units)[~right]),
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


def _effective_facts(weights: np.ndarray, units: np.ndarray) -> float:
    """Kish's effective number of facts, (sum W)^2 / sum W^2 of the weights W summed within each fact.

    Answers about one fact are taken to stand and fall together, which errs on the side of too wide an interval.
    """
    totals = pd.Series(weights).groupby(units).sum()
    return float(totals.sum() ** 2 / (totals**2).sum()) if len(totals) else 0.0


def corrected(share: float, sensitivity: float, specificity: float) -> float:
    """The share that is right when a judge of this sensitivity and specificity accepts `share`, cut to 0 to 1.

    Rogan and Gladen (1978): (share + specificity - 1) / (sensitivity + specificity - 1). NaN for a judge no better than a
    coin, whose verdicts say nothing.
    """
    skill = sensitivity + specificity - 1
    return float(np.clip((share + specificity - 1) / skill, 0, 1)) if skill > 0 else float("nan")


def corrected_interval(share, n, judge: Agreement, level: float = 0.95):
    """The interval of the `corrected` share when share, sensitivity and specificity are all estimates; elementwise.

    Lang and Reiczigel (2014): with z^2 / 2 successes and failures added to the share and one of each to sensitivity and
    specificity, written p, a, b with n_p, n_a, n_b, and r = (p + b - 1) / (a + b - 1):

        r + d +- z / (a + b - 1) * sqrt(p(1-p) / n_p + r^2 a(1-a) / n_a + (1-r)^2 b(1-b) / n_b),
        d = 2 z^2 (r a(1-a) / n_a - (1-r) b(1-b) / n_b),

    cut to 0 to 1. Independent samples are assumed: the labelled answers should be few of those counted, or of other
    facts. n is the number of facts behind the share. Both ends NaN for a judge that may be no better than a coin, or of
    which one kind of answer was never read.
    """
    z = norm.ppf((1 + level) / 2)
    total, n_a, n_b = n + z**2, judge.right_facts + 2, judge.wrong_facts + 2
    p, a = (share * n + z**2 / 2) / total, (judge.sensitivity * judge.right_facts + 1) / n_a
    b = (judge.specificity * judge.wrong_facts + 1) / n_b
    skill = np.where(a + b > 1, a + b - 1, np.nan)
    r, spread_a, spread_b = (p + b - 1) / skill, a * (1 - a) / n_a, b * (1 - b) / n_b
    centre = r + 2 * z**2 * (r * spread_a - (1 - r) * spread_b)
    half = z / skill * np.sqrt(p * (1 - p) / total + r**2 * spread_a + (1 - r) ** 2 * spread_b)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
