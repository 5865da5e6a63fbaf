"""Rates are chosen by dev losses alone, and a study file that says otherwise is told so."""

import pytest

from lib.analysis.rates import disagreements, family, rate_table, twins
from lib.studies import Recipe
from lib.study_file import load_study

RECIPE = Recipe(data="uniform", rank=8, alpha=8, learning_rate=1e-4, epochs=20)


def study(**recipes):
    return load_study("itr").model_copy(
        update={"recipes": {"story": RECIPE.model_copy(update={"data": "raw"}), **recipes}}
    )


def arm(rate, **changes):
    return RECIPE.model_copy(update={"learning_rate": rate, **changes})


@pytest.fixture
def swept():
    lora = {f"dev_{rate:g}": arm(rate, split="dev", rank=64, seeds=(0, 1)) for rate in (1e-5, 1e-4, 1e-3)}
    dora = {f"dev_dora_{rate:g}": arm(rate, split="dev", dora=True) for rate in (1e-5, 1e-4)}
    arms = {"r8": arm(1e-4), "r16": arm(1e-3, rank=16), "dora": arm(1e-4, dora=True), "short": arm(1e-5, epochs=3)}
    return study(**lora, **dora, **arms)


LOSSES = {
    "dev_1e-05": [3.0, 3.0],
    "dev_0.0001": [2.0, 2.4],  # best on the mean, not with the second seed
    "dev_0.001": [2.3, 2.3],
    "dev_dora_1e-05": [1.5],
    "dev_dora_0.0001": [1.5],
}


def test_each_family_has_the_rate_of_its_own_least_mean_loss_and_the_smaller_of_two_alike(swept):
    table = rate_table(swept, LOSSES)
    chosen = table[table.chosen].set_index("family")["learning rate"].to_dict()
    assert chosen == {"lora": 1e-4, "dora": 1e-5}
    assert list(table.loss) == pytest.approx([3.0, 2.2, 2.3, 1.5, 1.5])
    assert list(table.seeds) == [2, 2, 2, 1, 1]


def test_arms_with_another_rate_are_named_and_the_story_s_own_recipe_and_shorter_ones_are_not(swept):
    told = disagreements(swept, rate_table(swept, LOSSES))
    assert told == [
        "recipes.r16: learning_rate 0.001, dev chose 0.0001 for lora",
        "recipes.dora: learning_rate 0.0001, dev chose 1e-05 for dora",
    ]


def test_twins_that_differ_in_more_than_their_rate_choose_nothing(swept):
    recipes = {**swept.recipes, "dev_other": arm(1e-2, split="dev", rank=64, alpha=128, seeds=(0, 1))}
    with pytest.raises(ValueError, match="recipes.dev_other: differs from its family's other twins"):
        rate_table(swept.model_copy(update={"recipes": recipes}), {**LOSSES, "dev_other": [1.0]})


def test_a_family_is_what_is_changed_about_the_adapter():
    named = {
        "lora": RECIPE,
        "rslora": arm(1, rslora=True),
        "rslora dora attention": arm(1, rslora=True, dora=True, target_modules="attention"),
        "full": arm(1, method="full"),
    }
    assert {name: family(recipe) for name, recipe in named.items()} == {name: name for name in named}


def test_the_sweep_has_three_twins_a_family_and_an_arm_in_each():
    swept = load_study("sweep")
    table = rate_table(swept, {name: [1.0] for name in twins(swept)})
    assert (table.groupby("family").size() == 3).all()
    arms = set(swept.grids["04_rank_sweep"][1].conditions)
    assert {family(swept.recipes[name]) for name in arms} == set(table.family)
    assert {recipe.seeds for name, recipe in swept.recipes.items() if name in arms} == {(0, 1, 2, 3, 4)}
    assert not arms & set(twins(swept))
    shapes = {(r.rank, r.alpha) for n, r in swept.recipes.items() if n in arms and family(r) == "lora"}
    assert shapes == {(rank, times * rank) for rank in (1, 8, 16, 64, 256) for times in (1, 2)}


def test_the_sweep_s_raw_arm_differs_from_its_uniform_twin_in_its_answers_alone():
    swept = load_study("sweep")
    raw, uniform = (swept.recipes[getattr(swept.gradients, side)] for side in ("raw", "uniform"))
    assert raw.model_copy(update={"data": "uniform", "seeds": uniform.seeds}) == uniform
