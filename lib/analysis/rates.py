"""Which learning rate each family of recipes is given: the one whose twin on dev facts knows them best in other words.

No test fact may choose a rate, and an arm that is trained on test facts says nothing about dev facts. So each family has
twins, recipes of split dev that differ in their rate alone: they learn dev facts in the FAQ's wording, as the arms learn test
facts, and are then shown the dev facts' unseen wordings. What counts is the loss on the value's tokens there: accuracy lies
too near the floor with 60 facts to tell three rates apart, and the loss in the trained wording falls with any rate that
memorises. Of equal losses the smaller rate wins.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from lib.studies import Recipe, Study

COLUMNS = ["family", "twin", "learning rate", "loss", "seeds", "chosen"]


def family(recipe: Recipe) -> str:
    """What sets a recipe apart apart from its size and its answers: full, or lora with what is changed about it.

    One rate serves all ranks and alphas of a family; whether it should is a question of its own.
    """
    if recipe.method == "full":
        return "full"
    changed = {"rslora": recipe.rslora, "dora": recipe.dora, "attention": recipe.target_modules == "attention"}
    return " ".join(name for name, is_so in changed.items() if is_so) or "lora"


def twins(study: Study) -> dict[str, Recipe]:
    """The recipes that choose a rate: those trained on dev."""
    return {name: recipe for name, recipe in study.recipes.items() if recipe.split == "dev"}


def rate_table(study: Study, losses: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """One line a twin: its family, rate and mean loss, and whether its rate is the chosen one.

    losses: for each twin one mean loss a seed, in nats a token of the value, in unseen wordings of the facts it learned.
    Raises ValueError when two twins of a family differ in more than their rate, since then more than a rate is chosen.
    """
    rows, alike = [], {}
    for name, recipe in twins(study).items():
        rest = alike.setdefault(family(recipe), recipe.model_copy(update={"learning_rate": 1.0}))
        if recipe.model_copy(update={"learning_rate": 1.0}) != rest:
            raise ValueError(f"recipes.{name}: differs from its family's other twins in more than the learning rate")
        mean = sum(losses[name]) / len(losses[name])
        rows.append([family(recipe), name, recipe.learning_rate, mean, len(losses[name]), False])
    table = pd.DataFrame(rows, columns=COLUMNS)
    best = table.sort_values(["loss", "learning rate"]).groupby("family", sort=False).head(1).index
    return table.assign(chosen=table.index.isin(best))


def disagreements(study: Study, table: pd.DataFrame) -> list[str]:
    """Where the study file gives an arm another rate than dev chose, one line each; empty when there is nowhere.

    The arms of a family are its recipes on test facts with the twins' answers and epochs.
    """
    chosen = table[table.chosen].set_index("family")
    told = []
    for name, recipe in study.recipes.items():
        if recipe.split == "dev" or family(recipe) not in chosen.index:
            continue
        best = chosen.loc[family(recipe)]
        twin = study.recipes[best.twin]
        own, rate = recipe.learning_rate, float(best["learning rate"])
        if (recipe.data, recipe.epochs) == (twin.data, twin.epochs) and own != rate:
            told.append(f"recipes.{name}: learning_rate {own:g}, dev chose {rate:g} for {family(recipe)}")
    return told
