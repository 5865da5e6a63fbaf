"""Rows as tables: what is counted, by condition and probe, with n and intervals."""

from collections.abc import Sequence

import pandas as pd

from lib.analysis.failures import bounded_estimate, readings
from lib.analysis.stats import Estimate, per_fact
from lib.corpus.load import Corpus


def frame(rows: Sequence[dict]) -> pd.DataFrame:
    """The rows with the columns that metrics need.

    correct / relaxed: the strict / relaxed verdict is CORRECT. answered: the model did not abstain. unit: the one fact
    asked about, or the question itself when it asks for none or for two.
    """
    table = pd.DataFrame(rows)
    table["correct"] = (table.verdict == "CORRECT").astype(float)
    table["relaxed"] = (table.verdict_relaxed == "CORRECT").astype(float)
    table["answered"] = (table.verdict != "NOT_ATTEMPTED").astype(float)
    table["unit"] = [
        facts[0] if len(facts) == 1 else question
        for facts, question in zip(table.fact_ids, table.question_id, strict=True)
    ]
    for column in ("style", "json_valid"):
        table[column] = table[column].astype(float)
    return table


def primary(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of primary accuracy: yes/no facts apart, since a constant "no" would score on them."""
    return table[table.value_type != "yesno"]


def pick(table: pd.DataFrame, condition: str, probe: str) -> pd.DataFrame:
    """The rows of one condition and probe. Raises ValueError naming both when there are none."""
    found = table[(table.condition == condition) & (table.probe == probe)]
    if found.empty:
        raise ValueError(f"no rows for condition {condition!r} and probe {probe!r}")
    return found


def accuracy_table(table: pd.DataFrame, column: str = "correct") -> pd.DataFrame:
    """One line a condition and probe: value, 95 % interval, facts, seeds, and the value if judge failures were wrong or right."""
    lines = []
    for (condition, probe), rows in table.groupby(["condition", "probe"], sort=False):
        result = bounded_estimate(rows, column)
        worst, best = (per_fact(reading, column).mean() for reading in (readings(rows, column) * 2)[:2])
        lines.append(
            {
                "condition": condition,
                "probe": probe,
                "value": result.value,
                "low": result.low,
                "high": result.high,
                "facts": result.n,
                "seeds": rows.seed.nunique(),
                "worst if failures were wrong": worst,
                "best if failures were right": best,
            }
        )
    return pd.DataFrame(lines)


def screened_kept(table: pd.DataFrame, screen: pd.DataFrame) -> pd.DataFrame:
    """The rows on questions that the base model answered right under their other wording: the forgetting test.

    Screening on one wording and testing on another keeps a lucky guess from counting as knowledge.
    """
    known = set(screen[screen.correct == 1].unit)
    return table[table.unit.isin(known)].assign(probe="kept")


def read_answers(
    table: pd.DataFrame, corpus: Corpus, condition: str, probe: str, *, right: bool, n: int = 5
) -> pd.DataFrame:
    """The first `n` right or wrong answers of a condition, whole, beside the question, the expected value and the reason."""
    rows = pick(table, condition, probe)
    rows = rows[(rows.correct == 1) == right].sort_values(["question_id", "seed"]).head(n)
    asked = [corpus.question[question_id] for question_id in rows.question_id]
    return pd.DataFrame(
        {
            "question": [question.text for question in asked],
            "expected": [question.expected for question in asked],
            "answer": list(rows.answer),
            "verdict": list(rows.verdict),
            "reason": list(rows.reason),
        }
    )


def percent(result: Estimate) -> str:
    """An estimate as text: 12.3 % (8.1 to 18.0, n = 120)."""
    return f"{100 * result.value:.1f} % ({100 * result.low:.1f} to {100 * result.high:.1f}, n = {result.n})"
