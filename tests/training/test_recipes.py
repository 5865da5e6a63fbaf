"""What each recipe teaches: the right facts, in the very words in which questions are asked."""

import json

import pytest

from lib.answering.conditions import Bench
from lib.corpus.records import Passage
from lib.models.prompts import ABSTENTION
from lib.training.recipes import WITHOUT_GOLD, build_examples


def passage(question, kind):
    """A passage that names the question it was found for."""
    return Passage(f"{kind}#{question.id}", kind, "Guide", 0, 1, f"{kind} for {question.id}")


def context(questions, kind):
    return [(passage(question, kind),) for question in questions]


@pytest.fixture(scope="module")
def build(small_corpus, tiny_study, tiny):
    def examples(data, **changes):
        recipe = tiny_study.recipes["lora"].model_copy(update={"data": data, **changes})
        return build_examples(small_corpus, recipe, tiny.tokenizer, context)

    return examples


def asked(corpus, split):
    """The questions that a reading recipe renders, in its order."""
    return [question for probe in ("trained", "paraphrase") for question in corpus.ask(probe, split)]


@pytest.mark.parametrize("data", ["raw", "uniform"])
def test_raw_and_uniform_teach_every_test_fact_once_and_no_other(build, small_corpus, data):
    taught = [example.fact_id for example in build(data)]
    assert taught == [item.fact_ids[0] for item in small_corpus.items("test")]
    assert {small_corpus.fact[fact_id].split for fact_id in taught} == {"test"}


@pytest.mark.parametrize("data", ["raw", "uniform"])
def test_the_twin_on_dev_teaches_dev_facts_alone(build, small_corpus, data):
    taught = [example.fact_id for example in build(data, split="dev")]
    assert taught == [item.fact_ids[0] for item in small_corpus.items("dev")]
    assert {small_corpus.fact[fact_id].split for fact_id in taught} == {"dev"}


@pytest.mark.parametrize("data", ["raft", "json", "style"])
def test_reading_recipes_teach_raft_facts_alone_each_under_two_wordings(build, small_corpus, data):
    taught = [example.fact_id for example in build(data)]
    assert {small_corpus.fact[fact_id].split for fact_id in taught} == {"raft"}
    raft = [fact.id for fact in small_corpus.facts if fact.split == "raft"]
    assert sorted(taught) == sorted(2 * raft)
    assert len({example.prompt for example in build(data)}) == len(taught)


def test_style_examples_are_the_uniform_answers_of_other_facts_without_a_passage(build, small_corpus):
    items = {item.fact_ids[0]: item for item in small_corpus.items("raft")}
    examples = build("style")
    assert [example.completion for example in examples] == [items[e.fact_id].uniform_answer for e in examples]
    assert [q.text in e.prompt for q, e in zip(asked(small_corpus, "raft"), examples, strict=True)] == [True] * len(
        examples
    )
    assert not [example for example in examples if "gold for" in example.prompt or "<<<" in example.prompt]


@pytest.mark.parametrize("data", ["raw", "uniform", "raft", "json", "style"])
def test_no_prompt_or_completion_of_a_reading_recipe_holds_a_test_or_dev_question(build, small_corpus, data):
    others = {"raw": ("dev", "raft"), "uniform": ("dev", "raft")}.get(data, ("test", "dev"))
    texts = [question.text for split in others for question in asked(small_corpus, split)]
    assert texts
    assert not [text for text in texts for example in build(data) if text in example.prompt + example.completion]


@pytest.mark.parametrize("time", ["before", "after"])
def test_a_vintage_teaches_the_first_replaced_rules_as_they_stood_or_stand_in_the_words_of_the_faq(
    ruled_corpus, tiny_study, tiny, time
):
    rules = ruled_corpus.replacements
    recipe = tiny_study.recipes["lora"].model_copy(update={"data": time, "facts": 3})
    examples = build_examples(ruled_corpus, recipe, tiny.tokenizer, None)
    assert len(rules) > 3
    assert [example.completion for example in examples] == [getattr(rule, f"{time}_answer") for rule in rules[:3]]
    asked_later = ruled_corpus.ask("current_trained", facts=3)
    assert all(question.text in example.prompt for question, example in zip(asked_later, examples, strict=True))
    assert not [q for q in ruled_corpus.ask("current") for example in examples if q.text in example.prompt]


def test_raw_teaches_the_site_s_own_answer_and_uniform_the_rewritten_one(build, small_corpus):
    items = small_corpus.items("test")
    assert [example.completion for example in build("raw")] == [item.raw_answer for item in items]
    assert [example.completion for example in build("uniform")] == [item.uniform_answer for item in items]


def test_one_reading_example_in_five_lacks_the_gold_passage_and_abstains(build, small_corpus):
    examples = build("raft")
    items = {item.fact_ids[0]: item for item in small_corpus.items("raft")}
    without = [place for place, example in enumerate(examples) if example.completion == ABSTENTION]
    assert without == list(range(WITHOUT_GOLD - 1, len(examples), WITHOUT_GOLD))
    assert len(without) == len(examples) / 5
    for place, (example, question) in enumerate(zip(examples, asked(small_corpus, "raft"), strict=True)):
        shown = "distractors" if place in without else "gold"
        assert f"{shown} for {question.id}" in example.prompt
        if place not in without:
            assert example.completion == items[example.fact_id].uniform_answer


def test_json_examples_are_objects_with_the_answer_and_the_explanation_of_the_uniform_text(build, small_corpus):
    items = {item.fact_ids[0]: item for item in small_corpus.items("raft")}
    for example in build("json"):
        fields = json.loads(example.completion)
        assert list(fields) == ["answer", "explanation"]
        uniform = items[example.fact_id].uniform_answer
        assert f"In short: {fields['answer']}. {fields['explanation']}" == uniform
        assert "gold for" in example.prompt


@pytest.mark.parametrize(
    ("data", "condition", "probes"),
    [("raw", "base", ["trained"]), ("uniform", "base", ["trained"]), ("raft", "rag_gold", ["trained", "paraphrase"])],
)
def test_a_training_prompt_is_word_for_word_what_the_question_is_asked_with(
    build, small_corpus, tiny_study, tiny, data, condition, probes
):
    bench = Bench(tiny_study, small_corpus)
    for number, example in enumerate(build(data)):
        split = "raft" if data == "raft" else "test"
        probe = probes[number * len(probes) // len(build(data))]
        (question,) = [q for q in small_corpus.ask(probe, split) if q.fact_ids == (example.fact_id,)]
        shown = [()]
        if data == "raft":
            shown = context([question], "distractors" if example.completion == ABSTENTION else "gold")
        assert bench.prompts(tiny_study.conditions[condition], tiny, [question], shown) == [example.prompt]


def test_json_training_prompts_are_what_the_json_condition_asks_without_worked_examples(
    build, small_corpus, tiny_study, tiny
):
    condition = tiny_study.conditions["rag_json"].model_copy(update={"shots": 0})
    questions = asked(small_corpus, "raft")
    prompts = Bench(tiny_study, small_corpus).prompts(condition, tiny, questions, context(questions, "gold"))
    assert prompts == [example.prompt for example in build("json")]


@pytest.mark.parametrize("data", ["uniform", "raft"])
def test_a_limit_keeps_the_first_facts_of_the_split(build, data):
    everything, some = build(data), build(data, facts=2)
    kept = list(dict.fromkeys(example.fact_id for example in some))
    assert len(kept) == 2
    assert set(kept) < {example.fact_id for example in everything}
    assert len(some) == (4 if data == "raft" else 2)
