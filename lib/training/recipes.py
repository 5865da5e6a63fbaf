"""What a recipe trains on: FAQ items as (prompt, completion) pairs, rendered exactly as questions are asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from lib.corpus.load import Corpus
from lib.corpus.records import FaqItem, Passage, Question
from lib.models.prompts import ABSTENTION, INSTRUCTIONS, Prompt, render_chat, target_answer
from lib.studies import Recipe

# One in five examples lacks the passage that holds the answer, so that abstaining is learned too (RAFT uses 20 %).
WITHOUT_GOLD = 5

Context = Callable[[Sequence[Question], str], list[tuple[Passage, ...]]]


class Example(NamedTuple):
    """One training example: the rendered prompt, the completion, and the fact it teaches."""

    prompt: str
    completion: str
    fact_id: str


def build_examples(
    corpus: Corpus, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, context: Context | None
) -> list[Example]:
    """The examples of a recipe, in FAQ order.

    raw and uniform teach the recipe's split without passages; before and after teach the replaced rules likewise, each as it
    stood or as it stands; raft, json and style teach the raft split alone, each fact under two wordings, raft and json
    with passages that `context(questions, kind)` finds (kind: gold or distractors).
    """
    if recipe.data in ("raw", "uniform"):
        return [
            render_example(tokenizer, "neutral", item.question, (), target_answer(item, recipe.data), item.fact_ids[0])
            for item in corpus.items(recipe.split, recipe.facts)
        ]
    if recipe.data in ("before", "after"):
        return [
            render_example(
                tokenizer,
                "neutral",
                rule.faq_question,
                (),
                getattr(rule, f"{recipe.data}_answer"),
                getattr(rule, recipe.data),
            )
            for rule in corpus.replacements[: recipe.facts]
        ]
    items = {fact_id: item for item in corpus.items("raft", recipe.facts) for fact_id in item.fact_ids}
    asked = [q for probe in ("trained", "paraphrase") for q in corpus.ask(probe, "raft") if q.fact_ids[0] in items]
    if recipe.data == "style":
        return [
            render_example(
                tokenizer, "neutral", q.text, (), target_answer(items[q.fact_ids[0]], "style"), q.fact_ids[0]
            )
            for q in asked
        ]
    return _reading_examples(recipe, tokenizer, context, items, asked)


def _reading_examples(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    context: Context,
    items: Mapping[str, FaqItem],
    asked: Sequence[Question],
) -> list[Example]:
    gold, distractors = context(asked, "gold"), context(asked, "distractors")
    instruction = "json" if recipe.data == "json" else "neutral"
    examples = []
    for place, question in enumerate(asked):
        completion, passages = target_answer(items[question.fact_ids[0]], recipe.data), gold[place]
        if recipe.data == "raft" and place % WITHOUT_GOLD == WITHOUT_GOLD - 1:
            completion, passages = ABSTENTION, distractors[place]
        examples.append(
            render_example(tokenizer, instruction, question.text, passages, completion, question.fact_ids[0])
        )
    return examples


def render_example(
    tokenizer: PreTrainedTokenizerBase,
    instruction: str,
    question: str,
    passages: Sequence[Passage],
    completion: str,
    fact_id: str,
) -> Example:
    """One training example; `instruction` is a key of `INSTRUCTIONS`."""
    prompt = Prompt(INSTRUCTIONS[instruction], question, tuple(passages))
    return Example(render_chat(tokenizer, prompt), completion, fact_id)
