"""The claims as a reader meets them: a table to start from, then each with its evidence and answers to read."""

from collections.abc import Mapping

import pandas as pd

from lib.corpus.load import Corpus
from lib.studies import Claim

# In the order in which a reader meets them: first what can be relied on.
VERDICTS = {"held": "held", "not_held": "not held", "undecided": "undecided"}


def by_verdict(decided: Mapping[str, dict]) -> dict[str, dict]:
    """The claims by name: those that held, those that did not, the undecided; in each group by number, C2 before C10."""
    order = list(VERDICTS)
    return dict(sorted(decided.items(), key=lambda item: (order.index(item[1]["verdict"]), len(item[0]), item[0])))


def overview(decided: Mapping[str, dict]) -> str:
    """All claims with their verdicts as a Markdown table, those that held first; each name leads to the claim's section."""
    lines = [
        f"| [{name}](#{name}) | {VERDICTS[one['verdict']]} | {one['claim']} |"
        for name, one in by_verdict(decided).items()
    ]
    return "\n".join(["| | verdict | claim |", "|---|---|---|", *lines])


def brief(evidence: str) -> list[str]:
    """Each contrast of a claim's evidence up to its interval: what was compared, by how much, on how many facts."""
    return [contrast.split(";")[0] for contrast in evidence.split(" | ")]


def section(name: str, claim: Claim, decided: dict) -> str:
    """One claim in Markdown: verdict, every contrast on its own line, the margin's reason, and what had been expected.

    The last is told only of a claim that does not hold: it was registered for that case, and no row has been asked about it.
    """
    parts = [f"### {name}", f"**{VERDICTS[decided['verdict']].capitalize()}.** {decided['claim']}"]
    parts.append("\n".join(f"- {effect}" for effect in decided["evidence"].split(" | ")))
    if claim.margin_reason:
        parts.append(f"*Margin:* {claim.margin_reason}")
    if claim.otherwise and decided["verdict"] != "held":
        parts.append(
            f"*Registered for the case that it does not hold, and not checked against these rows:* {claim.otherwise}"
        )
    return "\n\n".join(parts)


def answers(table: pd.DataFrame, corpus: Corpus, rows: list[str], n: int = 5) -> pd.DataFrame:
    """The first `n` of the answers named by `rows` (condition/seed/question id), whole, beside question and expected value.

    Empty where a claim rests on no answers: on losses, latencies or gradients.
    """
    keys = table.condition + "/" + table.seed.astype(str) + "/" + table.question_id
    found = table.assign(key=keys).drop_duplicates("key").set_index("key")
    found = found.loc[[row for row in dict.fromkeys(rows) if row in found.index][:n]]
    asked = [corpus.question[question_id] for question_id in found.question_id]
    return pd.DataFrame(
        {
            "condition": list(found.condition),
            "question": [question.text for question in asked],
            "expected": [question.expected for question in asked],
            "answer": list(found.answer),
            "verdict": list(found.verdict),
            "row of": list(found.notebook),
        }
    )
