"""What training left in the weights behind a condition, from the data of its recipe: for the advice and for the words."""

from typing import NamedTuple

from lib.studies import Condition, Study


class Taught(NamedTuple):
    """What training leaves in the weights: in words, and whether facts that are asked about are among it."""

    words: str
    facts: bool


# By the `data` of a recipe (see `lib.training.recipes.build_examples`).
TAUGHT = {
    "raw": Taught("tuned on the facts themselves", True),
    "uniform": Taught("tuned on the facts themselves", True),
    "before": Taught("tuned on the rules that were replaced", True),
    "after": Taught("tuned on the rules that replaced others", True),
    "raft": Taught("tuned on other facts to read passages", False),
    "json": Taught("tuned on other facts to answer in JSON", False),
    "style": Taught("tuned on other facts to keep one style", False),
}
UNTAUGHT = Taught("not tuned", False)


def sides_of(study: Study, name: str, chosen: str | None) -> list[Condition]:
    """What answers under the name of a condition: itself, or for `hybrid` the candidate `chosen` on dev; then the condition
    that it gives way to, if any. Raises ValueError for a `hybrid` that nobody chose.
    """
    if name == "hybrid" and chosen is None:
        raise ValueError("no summary says which candidate `hybrid` stands for; run notebook 06_hybrid of this study")
    own = study.conditions[chosen if name == "hybrid" else name]
    return [own, study.conditions[own.unless_surer]] if own.unless_surer else [own]


def taught(study: Study, condition: Condition) -> Taught:
    """What training left in the weights of a condition."""
    return TAUGHT[study.recipes[condition.weights].data] if condition.weights in study.recipes else UNTAUGHT
