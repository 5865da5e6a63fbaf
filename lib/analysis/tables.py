"""Rows as tables: what is counted, by condition and probe, with n and intervals."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd

from lib.analysis.failures import bounded_estimate, readings
from lib.analysis.stats import Estimate, estimate, per_fact
from lib.corpus.load import CURRENT, Corpus

CURRENCY_HEADER = ["condition", "wording", "facts", "current", "current low", "current high", "stale", "stale low"]
CURRENCY_HEADER += ["stale high", "other", "right before", "stale of those", "current of those"]


def frame(rows: Sequence[dict]) -> pd.DataFrame:
    """The rows with the columns that metrics need.

    correct / relaxed: the strict / relaxed verdict is CORRECT. answered: the model did not abstain. unit: the one fact
    asked about, or the question itself when it asks for none or for two. stale: the answer gives a replaced rule's old
    value; NaN where no replaced rule is asked about.
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
    table["found"] = [float(bool(row["gold"])) if _traced(row) else math.nan for row in rows]
    table["cites_gold"] = [
        float(row["cited"] in row["gold"]) if _traced(row) and row["cited"] else math.nan for row in rows
    ]
    table["stale"] = table.stale.astype(float) if "stale" in table else math.nan
    return table


def _traced(row: dict) -> bool:
    return bool("gold" in row and row["passages"] and row["fact_ids"])


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


def knowledge_strata(table: pd.DataFrame) -> pd.Series:
    """For each fact, whether the base model knew it: known, maybe known or unknown, indexed by fact.

    Of `table`, the rows of split `screen` and probe `paraphrase` count: several prompts to the untouched model, in a wording
    that no arm is asked. A fact is known when all of them bring its value, unknown when none does. SliCK (Gekhman et al.
    2024) samples many prompts and temperatures and cuts finer; greedy answers to two prompts are what two cores afford.
    Empty where nothing was screened.
    """
    screen = table[(table.split == "screen") & (table.probe == "paraphrase")]
    share = screen.groupby("unit").correct.mean()
    return share.map(lambda right: {0.0: "unknown", 1.0: "known"}.get(right, "maybe known")).astype(object)


def by_stratum(table: pd.DataFrame, strata: pd.Series, conditions: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each condition (columns) in each stratum of facts (index) as text, "17 % of 30": of so many facts that this
    condition was asked about; empty where it was asked about none.

    strata: a label for each fact; facts without one are left out. Seeds and wordings are averaged within a fact first.
    Failed judgements are in neither number.
    """
    table = table[table.verdict != "JUDGE_FAILED"]
    asked = table[table.condition.isin(conditions) & table.unit.isin(strata.index)]
    asked = asked.assign(stratum=asked.unit.map(strata))
    per_unit = asked.groupby(["condition", "stratum", "unit"]).correct.mean().groupby(["condition", "stratum"])
    told = per_unit.agg(lambda shares: f"{100 * shares.mean():.0f} % of {len(shares)}")
    return told.unstack("condition", fill_value="").reindex(
        columns=[n for n in conditions if n in set(asked.condition)]
    )


def right_before(table: pd.DataFrame, condition: str, probe: str) -> set[str]:
    """The replaced rules whose old value a condition gave, asked in the words of a probe."""
    return set(table[(table.condition == condition) & (table.probe == probe) & (table.stale == 1)].unit)


def currency_table(table: pd.DataFrame, before: Mapping[str, str]) -> pd.DataFrame:
    """What became of replaced rules, one line a condition and wording: shares of answers with the new value (current), the
    old one (stale) and neither (other), with 95 % intervals of the first two.

    Args:
        table: rows as `frame` gives them; only those on replaced rules count, yes/no rules apart.
        before: for each condition asked after the replacement, the condition that shows what it had right before. The last
            columns keep to those rules: how many they are, and the stale and the current share of them (NaN of none).

    Returns:
        No line when no replaced rule was asked about.
    """
    lines = []
    asked = primary(table[table.probe.isin(CURRENT)])
    for (condition, probe), rows in asked.groupby(["condition", "probe"], sort=False):
        current, stale = bounded_estimate(rows), estimate(rows, "stale")
        line = {"condition": condition, "wording": probe, "facts": current.n}
        for name, share in (("current", current), ("stale", stale)):
            line |= {name: share.value, f"{name} low": share.low, f"{name} high": share.high}
        line["other"] = 1 - current.value - stale.value
        known = right_before(asked, before[condition], probe) if condition in before else set()
        kept = rows[rows.unit.isin(known)]
        line |= {
            "right before": len(known),
            "stale of those": kept.stale.mean(),
            "current of those": fmean(reading.correct.mean() for reading in readings(kept, "correct")),
        }
        lines.append(line)
    return pd.DataFrame(lines, columns=CURRENCY_HEADER)


def read_replacements(corpus: Corpus, n: int = 3) -> pd.DataFrame:
    """The first `n` replaced rules: the question, and the pages' own words before and after."""
    rules = corpus.replacements[:n]
    return pd.DataFrame(
        {
            "question": [rule.question for rule in rules],
            "page before": [rule.before_quote for rule in rules],
            "page after": [rule.after_quote for rule in rules],
            "old value": [corpus.fact[rule.before].value for rule in rules],
            "new value": [corpus.fact[rule.after].value for rule in rules],
        }
    )


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


def estimate_of(line: Mapping) -> Estimate:
    """What a line of the scoreboard measured: value, low, high and n. Raises KeyError where it is no such line."""
    return Estimate(*(line[field] for field in Estimate._fields))


def percent(result: Estimate, *, digits: int = 1, counted: bool = True) -> str:
    """A share and its 95 % interval as text: 12.3 % (8.1 to 18.0, n = 120); a dash where nothing was measured (NaN).

    Args:
        result: an estimate of a share, 0 to 1.
        digits: how many stand after the point.
        counted: whether n is told; a table that has it in a column of its own leaves it out.
    """
    if math.isnan(result.value):
        return "–"
    value, low, high = (f"{100 * share:.{digits}f}" for share in (result.value, result.low, result.high))
    return f"{value} % ({low} to {high}{f', n = {result.n}' if counted else ''})"
