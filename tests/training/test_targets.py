"""Tokens of the value and of the style: nothing of the value is missed, and nothing is counted twice."""

import pytest
import torch
import torch.nn.functional as F

from lib.corpus.load import load_corpus
from lib.corpus.matching import locate
from lib.models.prompts import INSTRUCTIONS, Prompt, render_chat
from lib.training import targets
from lib.training.recipes import build_examples
from lib.training.targets import encode, gradient_targets, token_losses, wording_targets


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("data/itr", test=12, dev=2, raft=2)


@pytest.fixture(scope="module")
def made(corpus, tiny):
    return gradient_targets(corpus, tiny.tokenizer, 12)


def test_the_tokens_of_the_value_spell_it_and_no_others_do(made, tiny):
    for target in [one for many in made.values() for one in many]:
        value = target.example.completion[target.start : target.end]
        row = encode(tiny.tokenizer, target)
        answer = row.ids[0, -row.is_value.numel() :]
        # The tiny vocabulary has one token a byte of ASCII, and merges only words that are no values.
        spelt = tiny.tokenizer.decode(answer[row.is_value])
        assert spelt.strip() == "".join(c for c in value if c.isascii()).strip(), target
        rest = tiny.tokenizer.decode(answer[~row.is_value])
        assert rest.endswith("<|im_end|>")
        assert 0 < row.is_value.sum() < row.is_value.numel()


def test_a_token_that_holds_one_character_of_the_value_is_a_value_token(tiny):
    class Merged:
        eos_token_id = 9

        def __call__(self, text, add_special_tokens, **how):
            from types import SimpleNamespace

            # "It is 30 days." as It| is| 30| da|ys.
            return SimpleNamespace(
                input_ids=[1, 2, 3, 4, 5], offset_mapping=[(0, 2), (2, 5), (5, 8), (8, 11), (11, 14)]
            )

    target = targets.Target(targets.Example("?", "It is 30 days.", "f"), 6, 13)
    assert encode(Merged(), target).is_value.tolist() == [False, False, True, True, True, False]


def test_a_row_is_what_training_sees(made, corpus, tiny, tiny_study):
    recipe = tiny_study.recipes["lora"]
    trained = build_examples(corpus, recipe, tiny.tokenizer, None)
    assert [target.example for target in made["uniform"]] == trained
    raw = build_examples(corpus, recipe.model_copy(update={"data": "raw"}), tiny.tokenizer, None)
    assert [target.example for target in made["raw"]] == raw


def test_raw_and_uniform_are_of_the_same_facts_in_the_same_order(made):
    assert [t.example.fact_id for t in made["raw"]] == [t.example.fact_id for t in made["uniform"]]


def test_a_shuffled_answer_states_another_value_and_every_answer_is_used_once(made, corpus):
    for own, other in zip(made["uniform"], made["shuffled"], strict=True):
        assert own.example.prompt == other.example.prompt
        assert corpus.fact[own.example.fact_id].value != corpus.fact[other.example.fact_id].value
    answers = [sorted(t.example.completion for t in made[data]) for data in ("uniform", "shuffled")]
    assert answers[0] == answers[1]


def test_answers_that_mostly_share_a_value_cannot_be_shuffled(corpus):
    item = corpus.items("test")[0]
    with pytest.raises(ValueError, match="3 of 4 items share one value"):
        targets._deranged(corpus, [item, item, item, corpus.items("test")[1]])


def test_paraphrases_are_three_wordings_of_each_of_a_third_of_the_facts(made):
    facts = [target.example.fact_id for target in made["paraphrases"]]
    assert facts == [t.example.fact_id for t in made["raw"][:4] for _ in range(3)]
    assert len({target.example for target in made["paraphrases"]}) == 12


def test_the_unseen_wording_changes_the_question_alone(corpus, tiny):
    found = wording_targets(corpus, tiny.tokenizer, "uniform", 12)
    assert len(found["trained"]) == len(found["paraphrase"]) > 0
    for trained, unseen in zip(found["trained"], found["paraphrase"], strict=True):
        assert (trained.example.completion, trained.start, trained.end) == (
            unseen.example.completion,
            unseen.start,
            unseen.end,
        )
        question = corpus.question[f"{unseen.example.fact_id}/paraphrase"].text
        assert unseen.example.prompt == render_chat(tiny.tokenizer, Prompt(INSTRUCTIONS["neutral"], question))
        assert unseen.example.prompt != trained.example.prompt


def test_an_answer_without_its_value_is_named(corpus, tiny):
    item = corpus.items("test")[0]
    with pytest.raises(ValueError, match=rf"{item.id}: the value .* is not stated in 'It depends"):
        targets._target(corpus, tiny.tokenizer, item.question, "It depends.", item)


def test_token_losses_are_those_of_plain_cross_entropy(made, tiny):
    row = encode(tiny.tokenizer, made["raw"][0])
    with torch.inference_mode():
        logits = tiny.model(row.ids).logits[0, :-1]
        expected = F.cross_entropy(logits, row.ids[0, 1:], reduction="none")[-row.is_value.numel() :]
        torch.testing.assert_close(token_losses(tiny.model, row), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "value", "value_type", "accept", "said"),
    [
        ("In short: Rs 5,000. It is Rs 5,000.", "5000 INR", "amount", (), "Rs 5,000"),
        ("By 31.07.2025, at the latest", "2025-07-31", "date", (), "31.07.2025"),
        ("No, that is not allowed.", "no", "yesno", (), "No"),
        ("The calendar year counts.", "calendar year", "entity", (), "calendar year"),
        ("An ROR may.", "resident and ordinarily resident", "entity", ("ROR",), "ROR"),
        ("Rs 4,000 and then Rs 5,000", "5000 INR", "amount", (), "Rs 5,000"),
        ("Rs 4,000", "5000 INR", "amount", (), None),
    ],
)
def test_the_first_statement_of_a_value_is_found(corpus, text, value, value_type, accept, said):
    from dataclasses import replace

    fact = replace(corpus.facts[0], value=value, value_type=value_type, accept=accept)
    span = locate(text, fact)
    assert (span and text[slice(*span)]) == said
