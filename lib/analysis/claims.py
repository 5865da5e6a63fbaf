"""From rows and the registration to a verdict for every claim. No number is typed here and none is chosen here."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.analysis.failures import bounded_difference, bounded_estimate, readings
from lib.analysis.planning import detectable
from lib.analysis.pvalues import equivalence_p, holm, interval_p
from lib.analysis.stats import (
    Difference,
    Estimate,
    amount_interval,
    bootstrap_mean,
    differences,
    interval_of,
    mcnemar_by_seed,
    paired_difference,
    per_fact,
    rank_correlation,
    rank_correlation_interval,
    share_interval,
)
from lib.analysis.tables import pick, primary, right_before
from lib.studies import Claim, Contrast, Study

# With fewer questions than this known to the base model, a share of them kept says too little to decide on.
FEWEST_KNOWN = 60
# With fewer replaced rules than this answered right before, what became of them says too little to decide on.
FEWEST_RIGHT_BEFORE = 20
# The chance of any false verdict among the contrasts of a family.
ALPHA = 0.05
# Metrics that are told as numbers, not as points of a share.
PLAIN = ("loss", "gradient_cosine", "gradient_link")


class Finding(NamedTuple):
    """One contrast decided: its effect with interval, how many facts, and why the verdict is what it is.

    seeds: of the first side, and of the second where there is one. p belongs to the verdict: two-sided against the margin,
    or of equivalence; NaN where no interval is. detectable is planned (`lib.analysis.planning`), never from the rows that
    decide.
    """

    contrast: Contrast
    verdict: str
    value: float
    low: float
    high: float
    n: int
    seeds: tuple[int, ...]
    detectable: float
    p: float
    note: str
    rows: list[str]


class Evidence(NamedTuple):
    """What claims are decided on: judged test rows (with `kept` rows), final losses and latencies by condition.

    gradients: by condition the columns unit, cosine and learned (see `lib.analysis.conflict.columns`). dev holds the rows on
    which choices were made, for planning alone; `hybrid` there is the candidate that was chosen.
    """

    table: pd.DataFrame
    losses: Mapping[str, list[float]]
    latencies_ms: Mapping[str, list[float]]
    gradients: Mapping[str, dict[str, list]] = MappingProxyType({})
    dev: pd.DataFrame | None = None


def decide(contrast: Contrast, *, value: float, low: float, high: float, low90: float, high90: float) -> str:
    """held, not_held or undecided, by the registered direction and margin (see `Contrast`)."""
    margin = contrast.margin
    if any(math.isnan(bound) for bound in (value, low, high)):
        return "undecided"
    if contrast.direction == "greater":
        return "held" if low > margin else "not_held" if high <= margin else "undecided"
    if contrast.direction == "less":
        return "held" if high < margin else "not_held" if low >= margin else "undecided"
    if contrast.direction == "differs":
        return "held" if low > margin or high < -margin else "undecided"
    inside = -margin <= low90 and high90 <= margin
    outside = low > margin or high < -margin
    return "held" if inside else "not_held" if outside else "undecided"


def find(contrast: Contrast, evidence: Evidence) -> Finding:
    """The contrast measured on the evidence and decided."""
    if contrast.metric == "loss":
        return _on_losses(contrast, evidence.losses)
    if contrast.metric == "latency_ms":
        return _on_latencies(contrast, evidence.latencies_ms)
    if contrast.metric in ("gradient_cosine", "gradient_link"):
        return _on_gradients(contrast, evidence.gradients)
    column = {"accuracy": "correct", "kept": "correct"}.get(contrast.metric, contrast.metric)
    table = primary(evidence.table) if contrast.metric in ("accuracy", "stale") else evidence.table
    if contrast.metric == "kept" and table[table.probe == contrast.probe].empty:
        return _unmeasured(contrast, 0, f"the base model knew none of the items; {FEWEST_KNOWN} are needed")
    if contrast.right_before:
        right = set.intersection(*(right_before(table, name, contrast.probe) for name in contrast.right_before))
        if len(right) < FEWEST_RIGHT_BEFORE:
            names = " and ".join(contrast.right_before)
            note = f"{names} gave the old value of only {len(right)} replaced rules; {FEWEST_RIGHT_BEFORE} are needed"
            return _unmeasured(contrast, len(right), note)
        table = table[table.unit.isin(right)]
    a = pick(table, contrast.a, contrast.probe)
    if contrast.b is None:
        return _alone(contrast, a, column)
    b = pick(table, contrast.b, contrast.probe)
    if len(set(a.unit) ^ set(b.unit)):
        # Arms trained on a subset are compared on that subset, on both sides alike.
        shared = set(a.unit) & set(b.unit)
        a, b = a[a.unit.isin(shared)], b[b.unit.isin(shared)]
    result = bounded_difference(a, b, column)
    verdict = decide(
        contrast, value=result.value, low=result.low, high=result.high, low90=result.low90, high90=result.high90
    )
    note = _mcnemar_note(a, b, result) if column == "correct" else ""
    pairs = product(readings(a, column), readings(b, column))
    if contrast.metric == "kept" and result.n < FEWEST_KNOWN:
        verdict, note = "undecided", f"the base model knew only {result.n} items; {FEWEST_KNOWN} are needed"
    return Finding(
        contrast,
        verdict,
        result.value,
        result.low,
        result.high,
        result.n,
        (a.seed.nunique(), b.seed.nunique()),
        math.nan if column == "prompt_tokens" else detectable(contrast, evidence.dev, column, result.n),
        max(_p_value(contrast, verdict, differences(*pair, column), interval_of(column)) for pair in pairs),
        note,
        _sample_rows(a, b, column),
    )


def _unmeasured(contrast: Contrast, n: int, note: str) -> Finding:
    return Finding(contrast, "undecided", math.nan, math.nan, math.nan, n, (), math.nan, math.nan, note, [])


def _mcnemar_note(a: pd.DataFrame, b: pd.DataFrame, result: Difference) -> str:
    """The exact test of each seed in words; where judgements failed, only the least telling reading of the first."""
    failed = sum((side.verdict == "JUDGE_FAILED").sum() for side in (a, b))
    if failed:
        told = f"{failed} failed judgements, read both ways; exact McNemar p <= "
        return f"{told}{result.p:.3g} ({result.a_only} against {result.b_only} facts, first seed)"
    by_seed = mcnemar_by_seed(a, b)
    told = [f"{p:.3g} ({a_only} against {b_only} facts)" for a_only, b_only, p in by_seed.values()]
    if len(told) == 1:
        return f"exact McNemar p = {told[0]}"
    return "exact McNemar by seed, p = " + ", ".join(
        f"{seed}: {text}" for seed, text in zip(by_seed, told, strict=True)
    )


def _alone(contrast: Contrast, rows: pd.DataFrame, column: str) -> Finding:
    result = bounded_estimate(rows, column)
    verdict = decide(
        contrast, value=result.value, low=result.low, high=result.high, low90=result.low, high90=result.high
    )
    means = [per_fact(reading, column).to_numpy() for reading in readings(rows, column)]
    p = max(_p_value(contrast, verdict, values, share_interval) for values in means)
    ids = [_row_id(row) for row in rows.head(5).itertuples()]
    seeds = (rows.seed.nunique(),)
    return Finding(contrast, verdict, result.value, result.low, result.high, result.n, seeds, math.nan, p, "", ids)


def _p_value(
    contrast: Contrast, verdict: str, values: np.ndarray, interval: Callable[..., tuple[float, float]]
) -> float:
    """The p-value of the test that the verdict rests on: equivalence for a flat effect, else that the margin is passed."""
    if contrast.direction == "flat" and verdict != "not_held":
        return equivalence_p(values, contrast.margin, interval)
    either_side = contrast.direction in ("flat", "differs")
    return interval_p(
        values, math.copysign(contrast.margin, values.mean()) if either_side else contrast.margin, interval
    )


def _on_losses(contrast: Contrast, losses: Mapping[str, list[float]]) -> Finding:
    a, b = losses[contrast.a], losses[contrast.b]
    value = sum(a) / len(a) - sum(b) / len(b)
    verdict = decide(contrast, value=value, low=value, high=value, low90=value, high90=value)
    note = f"final training losses {sum(a) / len(a):.3f} and {sum(b) / len(b):.3f}; no interval from {len(a)} seed(s)"
    return Finding(contrast, verdict, value, math.nan, math.nan, len(a), (len(a), len(b)), math.nan, math.nan, note, [])


def _on_latencies(contrast: Contrast, latencies: Mapping[str, list[float]]) -> Finding:
    """Latencies are paired by question and compared on their logarithm's scale nowhere: milliseconds are what is paid."""
    pairs = pd.DataFrame({"a": latencies[contrast.a], "b": latencies[contrast.b]})
    sides = [pd.DataFrame({"unit": pairs.index, "seed": 0, "ms": pairs[side]}) for side in ("a", "b")]
    result: Difference = paired_difference(*sides, "ms")
    verdict = decide(
        contrast, value=result.value, low=result.low, high=result.high, low90=result.low90, high90=result.high90
    )
    p = _p_value(contrast, verdict, (pairs.a - pairs.b).to_numpy(), amount_interval)
    note = f"median {pairs.a.median():.0f} ms against {pairs.b.median():.0f} ms, one question at a time"
    return Finding(contrast, verdict, result.value, result.low, result.high, result.n, (1, 1), math.nan, p, note, [])


def _on_gradients(contrast: Contrast, gradients: Mapping[str, dict[str, list]]) -> Finding:
    """Cosines are paired by fact; a link is a rank correlation over facts. The intervals resample facts."""
    a = pd.DataFrame(gradients[contrast.a])
    if contrast.metric == "gradient_link":
        values, interval = a[["cosine", "learned"]].to_numpy(), rank_correlation_interval
        value = rank_correlation(a.cosine, a.learned).value
    else:
        # No interval of a share: a cosine counts no successes.
        values, interval = differences(a, pd.DataFrame(gradients[contrast.b]), "cosine"), bootstrap_mean
        value = float(values.mean())
    (low, high), (low90, high90) = interval(values, level=0.95), interval(values, level=0.90)
    verdict = decide(contrast, value=value, low=low, high=high, low90=low90, high90=high90)
    p = _p_value(contrast, verdict, values, interval)
    return Finding(contrast, verdict, value, low, high, len(values), (1,), math.nan, p, "", [])


def _sample_rows(a: pd.DataFrame, b: pd.DataFrame, column: str) -> list[str]:
    """Up to five rows of `a` where the two sides differ most, else its first ones."""
    gap = (a.groupby("unit")[column].mean() - b.groupby("unit")[column].mean()).abs().sort_values(ascending=False)
    order = {unit: place for place, unit in enumerate(gap.index)}
    chosen = a.assign(order=a.unit.map(order)).sort_values(["order", "seed"]).head(5)
    return [_row_id(row) for row in chosen.itertuples()]


def _row_id(row) -> str:
    return f"{row.condition}/{row.seed}/{row.question_id}"


def combine(verdicts: list[str]) -> str:
    """A claim's verdict from its contrasts': not_held if any is, held if all are, else undecided."""
    if "not_held" in verdicts:
        return "not_held"
    return "held" if verdicts and set(verdicts) == {"held"} else "undecided"


def judge_claims(claims: Mapping[str, Claim], evidence: Evidence) -> dict[str, tuple[str, list[Finding]]]:
    """The verdict of every claim and the findings it follows from, corrected for how many contrasts are looked at.

    A claim without contrasts is undecided. The p-values of a family are adjusted by Holm's method; a verdict whose adjusted
    p is above 0.05 becomes undecided. Contrasts without a p-value, such as losses of one seed, are no part of it.
    """
    found = {name: [find(contrast, evidence) for contrast in claim.contrasts] for name, claim in claims.items()}
    families: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, findings in found.items():
        for place, finding in enumerate(findings):
            if not math.isnan(finding.p):
                families[finding.contrast.family].append((name, place))
    for places in families.values():
        adjusted = holm([found[name][place].p for name, place in places])
        for (name, place), p in zip(places, adjusted, strict=True):
            found[name][place] = _corrected(found[name][place], p, f"among {len(places)} contrasts {p:.2g} (Holm)")
    return {name: (combine([f.verdict for f in findings]), findings) for name, findings in found.items()}


def _corrected(finding: Finding, adjusted: float, words: str) -> Finding:
    told = f"p = {finding.p:.2g}, {words}"
    note = f"{told}; {finding.note}" if finding.note else told
    lost = finding.verdict != "undecided" and adjusted > ALPHA
    verdict = "undecided" if lost else finding.verdict
    if lost:
        note = f"{finding.verdict.replace('_', ' ')} by its own interval, not after the correction: {note}"
    return finding._replace(verdict=verdict, note=note)


def describe(finding: Finding) -> str:
    """One finding in words, for claims.json and the report."""
    contrast = finding.contrast
    points = contrast.metric not in ("latency_ms", "prompt_tokens", *PLAIN)
    scale, unit = (
        (100, " points" if contrast.b else " %") if points else (1, {"latency_ms": " ms"}.get(contrast.metric, ""))
    )
    sides = f"{contrast.a} - {contrast.b}" if contrast.b else contrast.a
    digits = 3 if contrast.metric in PLAIN else 1
    text = f"{contrast.metric} ({contrast.probe}), {sides}: "
    text += "not measured" if math.isnan(finding.value) else f"{scale * finding.value:+.{digits}f}{unit}"
    if not math.isnan(finding.low):
        text += (
            f" (95 % interval {scale * finding.low:+.{digits}f} to {scale * finding.high:+.{digits}f}, n = {finding.n}"
        )
        text += f", seeds {' and '.join(str(count) for count in dict.fromkeys(finding.seeds))})"
    if not math.isnan(finding.detectable):
        text += f"; smallest detectable {100 * finding.detectable:.1f} points"
    return text + (f"; {finding.note}" if finding.note else "")


def claims_json(study: Study, evidence: Evidence) -> dict[str, dict]:
    """The contents of claims.json: verdict, evidence in words and row ids of every claim."""
    result = {}
    for name, (verdict, findings) in judge_claims(study.claims, evidence).items():
        claim = study.claims[name]
        text = " | ".join(describe(finding) for finding in findings) or f"not decided yet: {claim.missing}"
        rows = [row for finding in findings for row in finding.rows]
        result[name] = {"claim": claim.text, "verdict": verdict, "evidence": text, "rows": rows}
    return result


def takeaways(study: Study, notebook: str, evidence: Evidence) -> str:
    """The claims registered for a notebook, decided and in words, as Markdown bullets.

    The p-values of other notebooks' contrasts are not known here, so each p is multiplied by the number of all contrasts of
    its family (Bonferroni), which Holm's method, as the findings notebook applies it, never exceeds: what holds or fails here
    does so there, and what is left open here may be decided there.
    """
    families = Counter(contrast.family for claim in study.claims.values() for contrast in claim.contrasts)
    bullets = []
    for name, claim in study.claims.items():
        if claim.notebook == notebook:
            findings = [_bounded(find(contrast, evidence), families[contrast.family]) for contrast in claim.contrasts]
            verdict = combine([finding.verdict for finding in findings]).replace("_", " ")
            effects = "; ".join(describe(finding) for finding in findings) or f"missing: {claim.missing}"
            bullets.append(f"- **{name} {verdict}.** {claim.text} {effects}.")
    return "\n".join(bullets)


def _bounded(finding: Finding, family: int) -> Finding:
    """Corrected for a family of which this is all that is known; one without a p-value as it is."""
    if math.isnan(finding.p):
        return finding
    bound = min(1.0, family * finding.p)
    return _corrected(finding, bound, f"among the study's {family} contrasts at most {bound:.2g} (Bonferroni)")


def score(
    name: str, result: Estimate | None, *, value: float | None = None, n: int = 0, unit: str, notebook: str
) -> dict:
    """One scoreboard line, from an estimate or from a plain value without an interval."""
    result = result or Estimate(value, None, None, n)
    return {"id": name, **result._asdict(), "unit": unit, "notebook": notebook}
