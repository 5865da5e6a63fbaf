"""From inner products of gradients to cosines, conflicts and their link with what is learned, with honest intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.analysis.claims import score
from lib.analysis.stats import Estimate, bootstrap_mean, rank_correlation
from lib.training.gradients import Measured

# Which halves of an example's gradient are added up.
TOKENS = {"value": (0,), "style": (1,), "answer": (0, 1)}


def inner_products(measured: Measured, tokens: str, update: str = "plain") -> np.ndarray:
    """<g_i, g_j> of n examples for their value, style or all answer tokens, (n, n); update: plain or adam."""
    n = len(measured.facts)
    gram = np.array(getattr(measured, update)).reshape(2, n, 2, n)
    halves = TOKENS[tokens]
    return sum(gram[a, :, b, :] for a in halves for b in halves)


def cosines(products: np.ndarray) -> np.ndarray:
    """<g_i, g_j> / (|g_i| |g_j|), in [-1, 1]; NaN where a gradient vanishes."""
    norms = np.sqrt(np.diag(products))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(products / np.outer(norms, norms), -1, 1)


def alignment(products: np.ndarray) -> float:
    """||mean g||^2 / mean ||g||^2: 1 when all gradients are equal, 1 / n when they are orthogonal, 0 when they cancel."""
    return float(products.sum() / (len(products) * np.trace(products)))


def by_fact(pairs: np.ndarray, facts: Sequence[str]) -> pd.Series:
    """One value a fact, whose mean is the mean of a symmetric (n, n) matrix over its pairs; the diagonal is no pair.

    Where facts have several examples, the pairs are those within a fact, and a fact's value is their mean. Where every
    example has its own fact, all pairs count, and facts share pairs, so their plain means would vary half as much as they
    should. A fact's value is then its jackknife pseudo-value n * U - (n - 1) * U_without_it (Efron and Stein 1981), so
    that resampling facts gives the interval of a mean over pairs. It rises with the fact's own mean m_i, as 2 m_i - U
    does. NaN where a fact has no pair.
    """
    facts, n = np.asarray(facts), len(facts)
    pairs = np.where(np.eye(n, dtype=bool), 0.0, pairs)
    if len(set(facts)) < n:
        within = {fact: pairs[np.ix_(facts == fact, facts == fact)] for fact in dict.fromkeys(facts)}
        return pd.Series({fact: m.sum() / (m.size - len(m)) if len(m) > 1 else np.nan for fact, m in within.items()})
    own = pairs.sum(1) / (n - 1)
    return pd.Series((2 * (n - 1) * own - n * own.mean()) / (n - 2), index=facts)


def over_facts(values: pd.Series) -> Estimate:
    """The mean with its bootstrap interval over facts; facts without a pair are left out."""
    kept = values.dropna()
    return Estimate(float(kept.mean()), *bootstrap_mean(kept), len(kept))


def table(measured: Mapping[tuple[str, int], Measured]) -> pd.DataFrame:
    """One line for each data set, point of training, kind of tokens and update: mean cosine and share of pairs in conflict,
    with intervals over facts, and the alignment beside 1 / n, its value for orthogonal gradients.
    """
    lines = []
    for (data, epochs), found in measured.items():
        for update in ("plain", "adam"):
            for tokens in TOKENS:
                products = inner_products(found, tokens, update)
                angles = cosines(products)
                cosine = over_facts(by_fact(angles, found.facts))
                conflict = over_facts(by_fact(angles < 0, found.facts))
                lines.append(
                    {
                        "data": data,
                        "epochs": epochs,
                        "tokens": tokens,
                        "update": update,
                        "cosine": cosine.value,
                        "low": cosine.low,
                        "high": cosine.high,
                        "conflict_share": conflict.value,
                        "conflict_low": max(0.0, conflict.low),
                        "conflict_high": min(1.0, conflict.high),
                        "alignment": alignment(products),
                        "orthogonal": 1 / len(found.facts),
                        "facts": cosine.n,
                    }
                )
    return pd.DataFrame(lines)


def columns(measured: Measured, start: Sequence[dict], halfway: Sequence[dict]) -> dict[str, list]:
    """What claims are decided on, one entry a fact: cosine, of whole gradients with the others', and learned.

    learned = 1 - value_loss halfway / value_loss at the start: the share of the loss on its value that training took away.
    Raises ValueError when gradients and losses are not of the same facts.
    """
    agreement = by_fact(cosines(inner_products(measured, "answer")), measured.facts)
    before, after = (pd.DataFrame(rows).set_index("fact").value_loss for rows in (start, halfway))
    missing = sorted(set(agreement.index) ^ set(before.index) | set(agreement.index) ^ set(after.index))
    if missing:
        raise ValueError(f"gradients and losses are of different facts, for example {missing[:3]}")
    learned = (1 - after / before).reindex(agreement.index)
    return {"unit": list(agreement.index), "cosine": list(agreement), "learned": list(learned)}


def links(measured: Mapping[int, Measured], outcomes: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Rank correlation of each fact's mean cosine, at each point and for each kind of tokens, with each outcome by fact."""
    lines = []
    for epochs, found in measured.items():
        for tokens in TOKENS:
            agreement = by_fact(cosines(inner_products(found, tokens)), found.facts)
            for name, outcome in outcomes.items():
                x, y = agreement.align(outcome, join="inner")
                lines.append({"epochs": epochs, "tokens": tokens, "outcome": name, **rank_correlation(x, y)._asdict()})
    return pd.DataFrame(lines)


def scores(shown: pd.DataFrame, notebook: str) -> list[dict]:
    """Scoreboard lines of the plain gradients before training, for value and style tokens of each data set."""
    first = shown[(shown.epochs == 0) & (shown["update"] == "plain") & (shown.tokens != "answer")]
    lines = []
    for row in first.itertuples():
        name = f"{row.data}/{row.tokens}"
        cosine = Estimate(row.cosine, row.low, row.high, row.facts)
        conflict = Estimate(row.conflict_share, row.conflict_low, row.conflict_high, row.facts)
        lines.append(score(f"gradient/cosine/{name}", cosine, unit="cosine", notebook=notebook))
        lines.append(score(f"gradient/conflict_share/{name}", conflict, unit="share", notebook=notebook))
    return lines


def curves(losses: Mapping[tuple[str, int], Sequence[dict]]) -> pd.DataFrame:
    """Losses by (wording, epochs) as one line for each kind of tokens: mean over facts with its interval, nats per token.

    sure: the share of tokens with p > 0.5, mean over facts.
    """
    lines = []
    for (wording, epochs), rows in losses.items():
        facts = pd.DataFrame(rows)
        for tokens in ("value", "style"):
            result, sure = over_facts(facts[f"{tokens}_loss"]), float(facts[f"{tokens}_sure"].mean())
            lines.append({"wording": wording, "tokens": tokens, "epochs": epochs, **result._asdict(), "sure": sure})
    return pd.DataFrame(lines)


def ledger(measured: Mapping[tuple[str, int], Measured]) -> list[dict]:
    """What measuring took: one ledger line for each data set and point of training."""
    return [
        {"condition": f"{data}, {epochs} epochs", "seed": 0, "probe": "gradients", "seconds": found.seconds}
        for (data, epochs), found in measured.items()
    ]
