"""Two conditions side by side: pairs of their answers to the same questions, and how often either was preferred."""

from collections import Counter
from collections.abc import Sequence

from lib.corpus.load import Corpus
from lib.models.claude import Pair, Preference


def shared_pairs(corpus: Corpus, rows: Sequence[dict], a: str, b: str) -> list[Pair]:
    """A pair for each paraphrase question that conditions `a` and `b` both answered, in the order of the corpus.

    rows: of records.jsonl; those of split test count, and of several seeds the lowest.
    """
    first, second = _answers(rows, a), _answers(rows, b)
    questions = [q for q in corpus.ask("paraphrase") if q.id in first and q.id in second]
    return [Pair(q.text, q.expected, first[q.id], second[q.id]) for q in questions]


def _answers(rows: Sequence[dict], condition: str) -> dict[str, str]:
    """Answers by question; a lower seed overwrites a higher one."""
    said = [row for row in rows if row["condition"] == condition and row["split"] == "test"]
    return {row["question_id"]: row["answer"] for row in sorted(said, key=lambda row: -row["seed"])}


def count_preferences(preferences: Sequence[Preference]) -> dict[str, float]:
    """How often A won, tied, lost, or got no verdict, and `moved`: the share of verdicts that changed with the order.

    `moved` is the bias for a place, NaN when no pair got a verdict.
    """
    counts = Counter(preference.better for preference in preferences)
    moved = [preference.moved for preference in preferences if preference.moved is not None]
    return {
        "wins": counts["A"],
        "ties": counts["TIE"],
        "losses": counts["B"],
        "failures": counts["FAILED"],
        "moved": sum(moved) / len(moved) if moved else float("nan"),
    }
