"""The answer of a finished study in a few plain sentences, from its verdicts and scoreboard: for README and the index page."""

from collections.abc import Mapping

from lib.analysis.tables import estimate_of, percent
from lib.analysis.taught import sides_of, taught
from lib.studies import Study

# By the verdict of C9 (retrieval against fine-tuning) and of C16 (both against either; in braces, what the hybrid is).
RETRIEVE = {
    "held": "retrieve.",
    "not_held": "do not count on retrieval to beat fine-tuning.",
    "undecided": "this study cannot tell whether retrieval beats fine-tuning.",
}
BOTH = {
    "held": "A hybrid, {}, is better still",
    "not_held": "A hybrid, {}, did not help further",
    "undecided": "Whether a hybrid, {}, helps further, this study cannot tell",
}


def hybrid(study: Study, chosen: str | None) -> str:
    """What the candidate is that dev chose as `hybrid`: what its weights were tuned to, and what decides its answer.

    Raises ValueError when none was chosen.
    """
    tuned, *gives_way = (taught(study, side).words for side in sides_of(study, "hybrid", chosen))
    return f"{tuned} and fed by retrieval" + "".join(f", unless a model {one} is surer" for one in gives_way)


def short_answer(
    study: Study, lines: Mapping[str, dict], claims: Mapping[str, dict], chosen: str | None
) -> tuple[str, str]:
    """What to do; and what it was compared with, how good it gets, and for which model. Empty words for a study that does not
    register C9 and C16.

    chosen: the candidate that `hybrid` stands for.
    """
    if not {"C9", "C16"} <= set(claims):
        return "", ""
    gain = lines["delta/paraphrase/hybrid-vs-rag"]
    points = f"{100 * gain['value']:+.0f} points, {100 * gain['low']:+.0f} to {100 * gain['high']:+.0f}"
    shares = [lines[f"accuracy/paraphrase/{name}"] for name in study.decision.approaches.values()]
    best = max(shares, key=lambda line: line["value"])
    enough = "" if best["high"] >= study.decision.least_accuracy else "; none is good enough to rely on"
    further = BOTH[claims["C16"]["verdict"]].format(hybrid(study, chosen))
    tuned = " and ".join(contrast.b for contrast in study.claims["C9"].contrasts)
    return f"Short answer: {RETRIEVE[claims['C9']['verdict']]}", (
        f"Fine-tuning here is {tuned}, and no other arm. {further} ({points}). The best of the {len(shares)} approaches "
        f"that the decision below compares is right on {100 * best['value']:.0f} % of the facts"
        f"{enough}. All this was measured on {study.models['base']}: the method carries over to another model, the numbers "
        "need not."
    )


def measured(study: Study, lines: Mapping[str, dict], chosen: str | None) -> str:
    """What the headline conditions got right, in words; empty for a study without one of them.

    chosen: the candidate that `hybrid` stands for.
    """
    asked = [f"accuracy/paraphrase/{name}" for name in ("base", "lora_raw", "lora_raw_20ep", "rag", "hybrid")]
    asked += [f"accuracy/trained/{name}" for name in ("lora_raw", "lora_raw_20ep")]
    if not set(asked) <= set(lines):
        return ""
    shares = (percent(estimate_of(lines[name]), digits=0, counted=False) for name in asked)
    base, short, long, rag, both, short_trained, long_trained = shares
    recipes = study.recipes
    return (
        f"Asked in words that nobody trained on, the model alone is right on {base} of the facts. Fine-tuned on the FAQ for "
        f"{recipes['lora_raw'].epochs} epochs it is right on {short}, and on {short_trained} when asked in the trained "
        f"wording. After {recipes['lora_raw_20ep'].epochs} epochs, on fewer facts, it answers the trained wording on "
        f"{long_trained}, and other wordings of the same facts on {long}. With retrieval the untouched model is "
        f"right on {rag}; a hybrid, {hybrid(study, chosen)}, on {both}. Intervals are "
        "95 %, over facts; how another training run would turn out they do not say."
    )


def verdicts(claims: Mapping[str, dict]) -> str:
    """How many claims held, failed, or stay undecided, by name."""
    counted = []
    for verdict, word in (("held", "held"), ("not_held", "not held"), ("undecided", "undecided")):
        names = [name for name, claim in claims.items() if claim["verdict"] == verdict]
        counted.append(f"{word}: {len(names)} ({', '.join(names) or 'none'})")
    return f"Of {len(claims)} registered claims, {'; '.join(counted)}."
