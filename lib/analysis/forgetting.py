"""What training takes away beside `kept`: neighbours answered with what was trained, preferences for the right value, and
plain text foreseen less well.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.analysis.claims import score
from lib.analysis.stats import Estimate, bootstrap_mean, estimate, paired_difference, share_interval
from lib.analysis.tables import pick
from lib.answering.conditions import Bench
from lib.corpus.distractors import with_distractors
from lib.corpus.load import Corpus
from lib.corpus.matching import same_value
from lib.corpus.records import Fact, Verdict
from lib.judging.judges import choice_margin
from lib.judging.keyfacts import grade
from lib.models.perplexity import TextLoss
from lib.studies import Recipe, Study

NEAR_HEADER = ["condition", "facts", "value", "low", "high", "base", "difference", "difference low", "difference high"]
PREFERENCE_HEADER = [
    "condition",
    "items",
    "change",
    "low",
    "high",
    "preferred",
    "preferred low",
    "preferred high",
    "seeds",
]


def near_facts(corpus: Corpus, recipe: Recipe) -> dict[str, list[Fact]]:
    """For each neighbour fact, the facts a recipe trains on that could be taken for it: same topic, same type of value, and
    another value. Neighbours without any are left out; all are, of a recipe that trains on no answers of test facts.
    """
    if recipe.data not in ("raw", "uniform"):
        return {}
    trained = [corpus.fact[fact_id] for item in corpus.items("test", recipe.facts) for fact_id in item.fact_ids]
    found = {
        fact.id: [near for near in trained if _is_near(fact, near)]
        for fact in corpus.facts
        if fact.split == "neighbour"
    }
    return {fact_id: near for fact_id, near in found.items() if near}


def _is_near(fact: Fact, trained: Fact) -> bool:
    alike = (fact.topic, fact.value_type) == (trained.topic, trained.value_type)
    return alike and not same_value(fact, trained)


def near_values(table: pd.DataFrame, corpus: Corpus, study: Study) -> pd.DataFrame:
    """Does training on near facts corrupt what is said of their neighbours? One line a tuned condition.

    value: the share of neighbour questions answered with the value of a near trained fact, as the key-fact judge reads
    answers; base: the untouched model's share by the same facts, which gives such values by chance; difference: the two
    paired over facts. 95 % intervals over the neighbours that have a near fact; their number is `facts`.

    table: rows as `frame` gives them, of probe neighbour for `base` and the conditions. A condition that was asked about no
    neighbour with a near fact has no line.
    """
    lines = []
    asked = table[table.probe == "neighbour"]
    for name in asked.condition.unique():
        recipe = study.recipes.get(study.conditions[name].weights)
        units = set(asked[asked.condition == name].unit)
        near = {fact: of for fact, of in near_facts(corpus, recipe).items() if fact in units} if recipe else {}
        if not near:
            continue
        tuned, base = (_near_rows(pick(asked, side, "neighbour"), corpus, near) for side in (name, "base"))
        share, gap = estimate(tuned, "near"), paired_difference(tuned, base, "near")
        line = [name, share.n, share.value, share.low, share.high, estimate(base, "near").value]
        lines.append([*line, gap.value, gap.low, gap.high])
    return pd.DataFrame(lines, columns=NEAR_HEADER)


def _near_rows(rows: pd.DataFrame, corpus: Corpus, near: Mapping[str, Sequence[Fact]]) -> pd.DataFrame:
    rows = rows[rows.unit.isin(near)]
    given = [
        any(_gives(row.answer, fact, corpus.question[row.question_id].text) for fact in near[row.unit])
        for row in rows.itertuples()
    ]
    return rows.assign(near=np.array(given, dtype=float))


def _gives(answer: str, fact: Fact, question: str) -> bool:
    found = grade(answer, expected=fact.value, value_type=fact.value_type, accept=fact.accept, question=question)
    return found.strict is Verdict.CORRECT


def margins(bench: Bench, conditions: Sequence[str], probes: Sequence[str]) -> pd.DataFrame:
    """How much likelier than the best distractor the right value is, for untrained questions that no format can lose.

    One row a condition, seed and fact: margin, in nats per character (`lib.models.likelihood`), and known, whether the base
    model prefers the right value in the question's other wording. Distractors: `lib.corpus.distractors`.
    """
    asked, screens = (
        with_distractors(bench.corpus, [question for probe in probes for question in ask(probe)])
        for ask in (bench.corpus.ask, bench.corpus.screen)
    )
    known = {answer.question_id for answer in bench.answer("base", screens, seed=0) if choice_margin(answer) > 0}
    rows = [
        {
            "condition": name,
            "seed": seed,
            "unit": bench.corpus.question[answer.question_id].fact_ids[0],
            "margin": choice_margin(answer),
            "known": answer.question_id in known,
        }
        for name in conditions
        for seed in bench.seeds(name)
        for answer in bench.answer(name, asked, seed=seed)
    ]
    # Without any item the column would hold no booleans, and could select nothing.
    return pd.DataFrame(rows, columns=["condition", "seed", "unit", "margin", "known"]).astype({"known": bool})


def preference_table(found: pd.DataFrame) -> pd.DataFrame:
    """What became of the preferences that the base model had: the fallback where it answers too few items right.

    Of the known rows of `margins`, with `base` among the conditions, one line a condition: change, its margin minus the
    base's, paired over items and seeds averaged within them, in nats per character, with the bootstrap interval over items;
    preferred, the share of items on which the right value is still the likeliest. Empty when the base preferred none.
    """
    known = found[found.known]
    before = known[known.condition == "base"].set_index("unit").margin
    lines = []
    for name, rows in known.groupby("condition", sort=False):
        change = (rows.groupby("unit").margin.mean() - before).to_numpy()
        still = rows.assign(right=rows.margin > 0).groupby("unit").right.mean()
        line = [name, len(change), change.mean(), *bootstrap_mean(change), still.mean(), *share_interval(still)]
        lines.append([*line, rows.seed.nunique()])
    return pd.DataFrame(lines, columns=PREFERENCE_HEADER)


def perplexity_table(losses: Mapping[str, Sequence[Sequence[TextLoss]]]) -> pd.DataFrame:
    """Perplexity on held-out text, one line a condition, and how many times the base model's it is.

        perplexity = exp(sum of losses / sum of tokens),   ratio = perplexity / perplexity of base

    losses: for `base` and each other condition, the losses of the same texts by each seed; seeds are averaged on the scale of
    losses. 95 % intervals over paragraphs, the ratio's paired; a ratio of 1 is nothing forgotten.

    Raises ValueError when two conditions did not read the same tokens: their losses do not compare.
    """
    tokens = np.array([loss.tokens for loss in losses["base"][0]])
    totals = {}
    for name, seeds in losses.items():
        if any([loss.tokens for loss in read] != tokens.tolist() for read in seeds):
            raise ValueError(f"{name} and base did not read the same texts in the same tokens")
        totals[name] = np.mean([[loss.total for loss in read] for read in seeds], axis=0)
    lines = []
    for name, total in totals.items():
        own, ratio = _per_token(total, tokens), _per_token(total - totals["base"], tokens)
        line = {"condition": name, "perplexity": np.exp(own.value), "low": np.exp(own.low), "high": np.exp(own.high)}
        line |= {"ratio": np.exp(ratio.value), "ratio low": np.exp(ratio.low), "ratio high": np.exp(ratio.high)}
        lines.append({**line, "paragraphs": len(tokens), "seeds": len(losses[name])})
    return pd.DataFrame(lines)


def _per_token(totals: np.ndarray, tokens: np.ndarray) -> Estimate:
    """sum(totals) / sum(tokens) with its bootstrap interval over paragraphs.

    Of a ratio of sums the linear part is resampled, so that paragraphs which differ in length alone add no width.
    """
    mean = totals.sum() / tokens.sum()
    parts = mean + (totals - mean * tokens) / tokens.mean()
    return Estimate(float(mean), *bootstrap_mean(parts), len(parts))


def scores(near: pd.DataFrame, preferences: pd.DataFrame, texts: pd.DataFrame, notebook: str) -> list[dict]:
    """The scoreboard's lines of the three tables: near_value/<condition> and its delta to base, kept_loglik/<condition>,
    perplexity/<condition> and perplexity_ratio/<condition>; base has no line of what it is compared with itself.
    """
    tuned = preferences[preferences.condition != "base"], texts[texts.condition != "base"]
    named = (
        ("near_value/{}", near, ["value", "low", "high", "facts"], "share"),
        (
            "delta/near_value/{}-vs-base",
            near,
            ["difference", "difference low", "difference high", "facts"],
            "difference",
        ),
        ("kept_loglik/{}", tuned[0], ["change", "low", "high", "items"], "nats per character"),
        ("perplexity/{}", texts, ["perplexity", "low", "high", "paragraphs"], "perplexity"),
        ("perplexity_ratio/{}", tuned[1], ["ratio", "ratio low", "ratio high", "paragraphs"], "ratio"),
    )
    return [
        score(name.format(condition), Estimate(*numbers), unit=unit, notebook=notebook)
        for name, table, columns, unit in named
        for condition, *numbers in table[["condition", *columns]].itertuples(index=False, name=None)
    ]
