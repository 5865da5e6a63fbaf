"""What to do: fine-tune, retrieve, both or neither, from measured numbers and the needs that a study file states.

Four rules, each a line that a reader can dispute. An approach meets a need, fails it, or its interval leaves that open:

    facts     accuracy on unseen wordings   interval above the need: met; below it: failed; around it: open
    style     share in the uniform style    likewise
    latency   median, one question at a time, at most the bound
    cost      USD a month = (answers * latency + updates * seconds to update) / 3600 * USD an hour, at most the budget

Of the approaches that meet all four the cheapest is advised, unless the interval of a dearer one's accuracy lies wholly
above the cheapest's. When none meets all but one is open, the evidence is not enough; when all fail, none suffices.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from lib.analysis.failures import bounded_estimate
from lib.analysis.stats import Estimate, estimate
from lib.analysis.tables import estimate_of, percent, primary
from lib.analysis.taught import sides_of, taught
from lib.studies import Condition, Decision, Study

OPEN, NONE = "not enough evidence", "none suffices"
WORDS = {
    "neither": "neither: the model as it is",
    "fine_tuning": "fine-tuning",
    "retrieval": "retrieval",
    "both": "both",
}
# The needs that can be moved to see where the advice flips, and the largest value that makes sense (None: no end).
MOVABLE = {
    "least_accuracy": 1.0,
    "least_style": 1.0,
    "most_latency_ms": None,
    "answers_per_month": None,
    "updates_per_month": None,
}


class Approach(NamedTuple):
    """One of the four ways, as it was measured. update_seconds: machine time until a changed fact is in."""

    name: str
    condition: str
    accuracy: Estimate
    style: Estimate
    latency_ms: float
    update_seconds: float


class Advice(NamedTuple):
    """What is advised (a key of WORDS, OPEN or NONE), and how every approach stands to every need: met, failed or open."""

    choice: str
    standing: dict[str, dict[str, str]]


def measured(study: Study, lines: Mapping[str, dict], chosen: str | None) -> list[Approach]:
    """The study's approaches from its scoreboard. Raises ValueError naming the scoreboard line that is missing.

    An approach is current when the documents are indexed again, if it retrieves, and all weights are trained again that were
    taught the facts; both where it does both. A model that does neither has no way to learn of a change: that costs and
    brings nothing. chosen: the candidate that `hybrid` stands for (`lib.analysis.scoreboard.chosen_hybrid`).
    """
    approaches = []
    for name, condition in study.decision.approaches.items():
        update = _update_seconds(study, lines, sides_of(study, condition, chosen))
        accuracy, style = (
            estimate_of(_line(lines, f"{kind}/{condition}")) for kind in ("accuracy/paraphrase", "style")
        )
        latency = _line(lines, f"cost/latency_ms/{condition}")["value"]
        approaches.append(Approach(name, condition, accuracy, style, latency, update))
    return approaches


def _update_seconds(study: Study, lines: Mapping[str, dict], sides: Sequence[Condition]) -> float:
    stale = [
        f"cost/train_seconds/{weights}"
        for weights in sorted({side.weights for side in sides if taught(study, side).facts})
    ]
    stale += ["cost/index_seconds"] if any(side.context != "none" for side in sides) else []
    return sum((_line(lines, name)["value"] for name in stale), 0.0)


def _line(lines: Mapping[str, dict], name: str) -> dict:
    if name not in lines:
        raise ValueError(
            f"the decision needs scoreboard line {name!r}, which no notebook measured; "
            "let its grid and its latencies cover every condition under `decision.approaches`"
        )
    return lines[name]


def usd_per_1000_answers(approach: Approach, needs: Decision) -> float:
    """Machine time of 1,000 answers given one at a time, in USD: the upper end, since batches cost less."""
    return approach.latency_ms / 3600 * needs.usd_per_machine_hour


def usd_per_update(approach: Approach, needs: Decision) -> float:
    """Machine time until one changed fact is in, in USD."""
    return approach.update_seconds / 3600 * needs.usd_per_machine_hour


def usd_per_month(approach: Approach, needs: Decision) -> float:
    """Answers and updates of a month, in USD."""
    answers = needs.answers_per_month / 1000 * usd_per_1000_answers(approach, needs)
    return answers + needs.updates_per_month * usd_per_update(approach, needs)


def advise(approaches: Sequence[Approach], needs: Decision) -> Advice:
    """The advice by the rules above."""
    standing = {approach.name: _standing(approach, needs) for approach in approaches}
    cheapest_first = sorted(approaches, key=lambda approach: usd_per_month(approach, needs))
    meeting = [approach for approach in cheapest_first if set(standing[approach.name].values()) == {"met"}]
    if not meeting:
        is_open = any("failed" not in stands.values() for stands in standing.values())
        return Advice(OPEN if is_open else NONE, standing)
    choice = meeting[0]
    for dearer in meeting[1:]:
        if dearer.accuracy.low > choice.accuracy.high:
            choice = dearer
    return Advice(choice.name, standing)


def _standing(approach: Approach, needs: Decision) -> dict[str, str]:
    return {
        "facts": _share(approach.accuracy, needs.least_accuracy),
        "style": _share(approach.style, needs.least_style),
        "latency": "met" if approach.latency_ms <= needs.most_latency_ms else "failed",
        "cost": "met" if usd_per_month(approach, needs) <= needs.most_usd_per_month else "failed",
    }


def _share(share: Estimate, least: float) -> str:
    return "met" if share.low >= least else "failed" if share.high < least else "open"


def ranges(approaches: Sequence[Approach], needs: Decision, need: str) -> list[tuple[float, float | None, str]]:
    """(from, to, advice) for every value of one need, the others as stated; `to` is None where there is no end.

    The advice is constant between the values at which a rule changes sides, so one look into each gap tells all.
    """
    end = MOVABLE[need]
    edges = sorted(
        {0.0, *(edge for edge in _edges(approaches, needs, need) if edge > 0 and (end is None or edge < end))}
    )
    found: list[tuple[float, float | None, str]] = []
    for low, high in zip(edges, [*edges[1:], end], strict=True):
        inside = (low + high) / 2 if high is not None else 2 * low + 1
        choice = advise(approaches, needs.model_copy(update={need: inside})).choice
        if found and found[-1][2] == choice:
            low = found.pop()[0]
        found.append((low, high, choice))
    return found


def _edges(approaches: Sequence[Approach], needs: Decision, need: str) -> list[float]:
    if need == "least_accuracy":
        return [edge for approach in approaches for edge in (approach.accuracy.low, approach.accuracy.high)]
    if need == "least_style":
        return [edge for approach in approaches for edge in (approach.style.low, approach.style.high)]
    if need == "most_latency_ms":
        return [approach.latency_ms for approach in approaches]
    # Cost is a straight line in either volume: it meets the budget once, and every other approach's line once.
    at_zero = needs.model_copy(update={need: 0.0})
    at_one = needs.model_copy(update={need: 1.0})
    fixed = [usd_per_month(approach, at_zero) for approach in approaches]
    slope = [usd_per_month(approach, at_one) - start for approach, start in zip(approaches, fixed, strict=True)]
    lines = [*zip(fixed, slope, strict=True), (needs.most_usd_per_month, 0.0)]
    return [(f - g) / (t - s) for f, s in lines for g, t in lines if t != s]


def break_even_updates(tuned: Approach, retrieved: Approach, needs: Decision) -> float | None:
    """Updates a month above which retrieval is the cheaper of two; None when one is the cheaper at any number.

    (answers / 1000 * difference per 1,000 answers) / (difference per update).
    """
    per_update = usd_per_update(tuned, needs) - usd_per_update(retrieved, needs)
    per_1000 = usd_per_1000_answers(retrieved, needs) - usd_per_1000_answers(tuned, needs)
    if per_update * per_1000 <= 0:
        return None
    return needs.answers_per_month / 1000 * per_1000 / per_update


def kept_current(table: pd.DataFrame, ledger: Sequence[dict], *, recipe: str, index_seconds: float) -> list[Approach]:
    """Tuning again (`tuned_after`) and replacing pages (`rag_after`), as both answer for replaced rules in unseen words.

    accuracy is the share of answers with the new value. latency_ms is what an answer took in batches, without retrieval, so
    that both cost less here than asked one at a time. update_seconds is the training of `recipe`, or the `index_seconds` that
    replacing the changed pages took. Empty when no replaced rule was asked about.
    """
    ways = []
    for name, condition in (("fine_tuning", "tuned_after"), ("retrieval", "rag_after")):
        rows = primary(table[(table.condition == condition) & (table.probe == "current")])
        if rows.empty:
            return []
        asked = [line for line in ledger if (line["condition"], line["probe"]) == (condition, "current")]
        latency = 1000 * sum(line["seconds"] for line in asked) / sum(line["answers"] for line in asked)
        trained = [line["seconds"] for line in ledger if (line["condition"], line["probe"]) == (recipe, "training")]
        update = sum(trained) / len(trained) if name == "fine_tuning" else index_seconds
        accuracy, style = bounded_estimate(rows), estimate(rows, "style")
        ways.append(Approach(name, condition, accuracy, style, latency, update))
    return ways


UPDATE_HEADER = ["way", "condition", "seconds", "training tokens", "USD per update", "seconds per answer, in batches"]


def update_rows(ways: Sequence[Approach], ledger: Sequence[dict], needs: Decision, *, recipe: str) -> list[list]:
    """What it took each way to become current, as rows of UPDATE_HEADER."""
    tokens = max(
        (line["tokens"] for line in ledger if (line["condition"], line["probe"]) == (recipe, "training")), default=0
    )
    return [
        [
            WORDS[way.name],
            way.condition,
            way.update_seconds,
            tokens if way.name == "fine_tuning" else 0,
            usd_per_update(way, needs),
            way.latency_ms / 1000,
        ]
        for way in ways
    ]


CARD_HEADER = [
    "approach",
    "condition",
    "facts right",
    "in style",
    "latency",
    "USD a month",
    "USD per 1,000 answers",
    "USD per update",
]


def card_rows(approaches: Sequence[Approach], needs: Decision) -> list[list[str]]:
    """The card's table: what was measured of each approach, behind how it stands to the need."""
    standing = advise(approaches, needs).standing
    rows = []
    for approach in approaches:
        measured = {
            "facts": percent(approach.accuracy, digits=0, counted=False),
            "style": percent(approach.style, digits=0, counted=False),
            "latency": f"{approach.latency_ms:,.0f} ms",
            "cost": f"{usd_per_month(approach, needs):.2f}",
        }
        stands = [f"{standing[approach.name][need]}: {value}" for need, value in measured.items()]
        costs = [f"{usd_per_1000_answers(approach, needs):.3f}", f"{usd_per_update(approach, needs):.4f}"]
        rows.append([WORDS[approach.name], approach.condition, *stands, *costs])
    return rows


def flips(approaches: Sequence[Approach], needs: Decision) -> list[list[str]]:
    """For each need that can be moved: its stated value, and the advice over all its values, in words."""
    return [
        [need.replace("_", " "), _value(need, getattr(needs, need)), "; ".join(_range(need, *part) for part in parts)]
        for need in MOVABLE
        for parts in [ranges(approaches, needs, need)]
    ]


def sentence(approaches: Sequence[Approach], needs: Decision) -> str:
    """The advice in one or two sentences, with the needs that it answers."""
    choice = advise(approaches, needs).choice
    style = f"at least {100 * needs.least_style:.0f} % of answers in" if needs.least_style else "no need of"
    wanted = (
        f"at least {100 * needs.least_accuracy:.0f} % of facts right and {style} the uniform style, within "
        f"{needs.most_latency_ms:,.0f} ms, {needs.answers_per_month:,.0f} answers and {needs.updates_per_month:,.0f} updates "
        f"a month for at most {needs.most_usd_per_month:,.0f} USD"
    )
    return f"Advice: {WORDS.get(choice, choice)}. The needs: {wanted}."


def _value(need: str, value: float) -> str:
    if need.startswith("least"):
        return f"{100 * value:.0f} %"
    return f"{value:,.0f}" + (" ms" if need.endswith("_ms") else "")


def _range(need: str, low: float, high: float | None, choice: str) -> str:
    bounds = f"from {_value(need, low)}" if high is None else f"{_value(need, low)} to {_value(need, high)}"
    return f"{bounds}: {WORDS.get(choice, choice)}"
