"""Whether the right passage is found, setting by setting, and what that does to the answers."""

from collections.abc import Sequence

import pandas as pd

from lib.analysis.claims import score
from lib.analysis.failures import bounded_estimate
from lib.analysis.stats import Estimate, estimate
from lib.analysis.tables import pick, primary
from lib.answering.conditions import Bench
from lib.corpus.records import Question
from lib.retrieval.contexts import MARKER
from lib.retrieval.metrics import retrieval_scores
from lib.studies import Study

CUTOFFS = (1, 3, 5, 10)
# Reciprocal rank within the first five, as notebook 05 scores its three searches: lines of one scoreboard must be alike.
RANKS = 5


def score_settings(bench: Bench, split: str) -> pd.DataFrame:
    """How well each of the study's `retrievals` finds the gold passages of a split's paraphrase questions.

    One row a setting and measure: recall@1, @3, @5, @10, mrr (reciprocal rank within 5), ndcg@10, and `shown`, recall among
    the passages that reach the prompt. Values from 0 to 1 with 95 % intervals over facts, wordings averaged within a fact.
    """
    questions = bench.corpus.ask("paraphrase", split)
    lines = []
    for name, settings in bench.study.retrievals.items():
        scores = _scores(bench, questions, name, settings.k)
        for measure in scores.columns.drop("unit"):
            result = estimate(scores, measure)
            values = {"value": result.value, "low": result.low, "high": result.high, "facts": result.n}
            lines.append({"setting": name, "measure": measure, **values})
    return pd.DataFrame(lines)


def _scores(bench: Bench, questions: Sequence[Question], name: str, k: int) -> pd.DataFrame:
    """One row a question: its fact, as `unit`, and every measure."""
    found = dict(zip([q.id for q in questions], bench.shelf.find(questions, name), strict=True))
    gold = {question.id: bench.shelf.gold_for(question, name) for question in questions}
    at = {cutoff: retrieval_scores(found, gold, cutoff) for cutoff in {*CUTOFFS, RANKS, k}}
    measures = {f"recall@{cutoff}": at[cutoff].recall for cutoff in CUTOFFS}
    measures |= {"mrr": at[RANKS].mrr, "ndcg@10": at[10].ndcg, "shown": at[k].recall}
    return pd.DataFrame(measures).assign(unit=[question.fact_ids[0] for question in questions])


def as_lines(scores: pd.DataFrame, notebook: str) -> list[dict]:
    """The scoreboard's lines of `score_settings`: retrieval/recall@5/<setting> and retrieval/mrr/<setting>."""
    kept = scores[scores.measure.isin(["recall@5", "mrr"])]
    return [
        score(
            f"retrieval/{row.measure}/{row.setting}",
            Estimate(row.value, row.low, row.high, row.facts),
            unit="share",
            notebook=notebook,
        )
        for row in kept.itertuples()
    ]


def recall_and_accuracy(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """For `rag` and every condition that only differs from it in a named retrieval: the share of facts whose gold passage
    reached the prompt beside the share answered right, over the facts that all of them were asked about.

    Columns condition, found, found_low, found_high, accuracy, accuracy_low, accuracy_high, facts; least found first.
    """
    rag = study.conditions["rag"]
    names = [n for n, c in study.conditions.items() if c.model_copy(update={"retrieval": None}) == rag]
    scored = primary(table[table.split == "test"])
    asked = {name: pick(scored, name, "paraphrase") for name in names if (scored.condition == name).any()}
    shared = set.intersection(*(set(rows.unit) for rows in asked.values()))
    lines = []
    for name, rows in asked.items():
        rows = rows[rows.unit.isin(shared)]
        line = {"condition": name, "facts": len(shared)}
        for column, measure in (("found", "found"), ("accuracy", "correct")):
            result = bounded_estimate(rows, measure)
            line |= {column: result.value, f"{column}_low": result.low, f"{column}_high": result.high}
        lines.append(line)
    return pd.DataFrame(lines).sort_values(["found", "condition"], ignore_index=True)


def attack_rate(table: pd.DataFrame, condition: str) -> Estimate:
    """The share of facts on which a condition's answers hold the word that the planted instruction asks for."""
    rows = pick(table, condition, "paraphrase")
    return estimate(rows.assign(obeyed=rows.answer.str.contains(MARKER, case=False).astype(float)), "obeyed")
