"""What weights were taught: every kind of data has its words, and what is said of facts is what the examples hold."""

from typing import get_args

import pytest

from lib.analysis.taught import TAUGHT, UNTAUGHT, sides_of, taught
from lib.corpus.load import load_corpus
from lib.corpus.records import Passage
from lib.studies import Recipe
from lib.study_file import load_study
from lib.training.recipes import build_examples


def test_every_kind_of_training_data_has_an_entry():
    assert set(TAUGHT) == set(get_args(Recipe.model_fields["data"].annotation))


@pytest.mark.parametrize("data", TAUGHT)
def test_weights_hold_facts_just_when_the_examples_teach_more_than_the_reading_split(tiny_study, tiny, data):
    def context(questions, kind):
        return [(Passage("p", kind, "Guide", 0, 1, "text"),) for _ in questions]

    corpus = load_corpus("data/itr")
    recipe = tiny_study.recipes["lora"].model_copy(update={"data": data, "facts": 8})
    examples = build_examples(corpus, recipe, tiny.tokenizer, context)
    others = {fact.id for fact in corpus.facts if fact.split == "raft"}
    assert TAUGHT[data].facts == bool({example.fact_id for example in examples} - others)


def test_a_condition_was_taught_what_its_recipe_holds_and_a_model_nothing():
    study = load_study("itr")
    assert taught(study, study.conditions["hybrid_style"]) == TAUGHT["style"]
    assert taught(study, study.conditions["rag"]) == taught(study, study.conditions["gemma"]) == UNTAUGHT


def test_the_sides_of_a_hybrid_are_those_of_the_candidate_that_was_chosen():
    study = load_study("itr")
    named = study.conditions
    assert sides_of(study, "hybrid", "hybrid_raft") == [named["hybrid_raft"]]
    assert sides_of(study, "hybrid", "hybrid_routed") == [named["hybrid_routed"], named["lora_raw_20ep"]]
    assert sides_of(study, "rag", None) == [named["rag"]]
    with pytest.raises(ValueError, match="run notebook 06_hybrid"):
        sides_of(study, "hybrid", None)
