"""Every word that a model is asked with. Training renders with the same functions, so what is trained is what is asked."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from lib.corpus.records import FaqItem, Passage

# Short, because it is repeated in every training example and every question.
INSTRUCTIONS = {
    "neutral": "Answer in one short sentence.",
    "reworded": "Reply to the question with a single brief sentence.",
    "abstain": "Answer in one short sentence. If you do not know, say: I don't know.",
    "style": (
        "Answer on one line in exactly this form: In short: <the value asked for>. <One sentence that repeats the value>. "
        "Write amounts like Rs 1,50,000, shares like 12.5%, dates like 31 July 2025."
    ),
    "json": 'Answer only with a JSON object with two string keys: {"answer": the value asked for, "explanation": one sentence}.',
}

ABSTENTION = "In short: not stated. The passages given here do not say what was asked for."


@dataclass(frozen=True)
class Prompt:
    """What is put before a model: instruction, worked examples, passages and the question."""

    instruction: str
    question: str
    passages: tuple[Passage, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()


def user_message(question: str, passages: Sequence[Passage]) -> str:
    """The user's turn: the question alone, or numbered passages and then the question.

    Passages are fenced as data: the fence characters are stripped from their text, so that a document cannot close it.
    """
    if not passages:
        return question
    blocks = [f"[{number}] {_unfenced(passage.titled)}" for number, passage in enumerate(passages, 1)]
    return "Passages:\n<<<\n" + "\n\n".join(blocks) + f"\n>>>\nAnswer from the passages.\n\nQuestion: {question}"


def _unfenced(text: str) -> str:
    """The text without anything that could end the passages or the user's turn: fences and chat control tokens."""
    return re.sub(r"[<>]{2,}|<\|?[a-z_]{1,20}\|?>", " ", text)


def fenced(text: str) -> str:
    """A text as data between fences: one line of ASCII JSON, its angle brackets escaped, so that it can neither close the
    fence nor leave it.
    """
    encoded = json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e")
    return f"<<<\n{encoded}\n>>>"


def chat_messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as chat turns; worked examples are earlier turns."""
    messages = [{"role": "system", "content": prompt.instruction}]
    for question, answer in prompt.shots:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": user_message(prompt.question, prompt.passages)})
    return messages


def render_chat(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The prompt through the model's own chat template, ending where the assistant begins to write.

    Where the template refuses a system turn, as Gemma 2's does, the instruction opens the first user turn.
    """
    render = partial(tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=True)
    system, first, *rest = chat_messages(prompt)
    try:
        return render([system, first, *rest])
    except TemplateError:
        return render([{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest])


def render_few_shot(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The prompt as plain text for a model without chat training.

    "Answer:" ends without a space: in byte-pair vocabularies the space belongs to the first word of the answer.
    """
    lines = [tokenizer.bos_token or "", prompt.instruction, "\n\n"]
    for question, answer in prompt.shots:
        lines.append(f"Question: {question}\nAnswer: {_one_line(answer)}\n\n")
    question = user_message(prompt.question, prompt.passages)
    lines.append(question if prompt.passages else f"Question: {question}")
    return "".join(lines) + "\nAnswer:"


def _one_line(text: str) -> str:
    return " ".join(text.split())


RENDERERS = {"chat": render_chat, "few_shot": render_few_shot}


def target_answer(item: FaqItem, data: str) -> str:
    """What a training example teaches to say: the site's own answer, the uniform one, or the uniform one as JSON."""
    if data == "raw":
        return item.raw_answer
    if data == "json":
        value, sentence = item.uniform_answer.removeprefix("In short: ").split(". ", 1)
        return json.dumps({"answer": value, "explanation": sentence}, ensure_ascii=False)
    return item.uniform_answer
