"""The uniform style and its checker: the rules that the rewritten answers keep, machine-checked.

In short: <value>. <one sentence of 8 to 28 words that repeats the value.>
"""

import json
import re

_FORM = re.compile(r"In short: (?P<value>[^\n]{1,60}?)\. (?P<sentence>[^\n]+\.)")
_FOREIGN = re.compile(r"[<>*_#₹\"]|&nbsp;|\b(?:lakhs?|crores?|per cent|percent)\b", re.IGNORECASE)
# A full stop inside a sentence is fine in a number (12.5%) or an abbreviation, not before a new capital.
_SECOND_SENTENCE = re.compile(r"(?<!\bRs)[.!?] +[A-Z]")


def style_problems(answer: str) -> list[str]:
    """Which rules of the uniform style the answer breaks; empty when it keeps all. Facts are not judged here."""
    match = _FORM.fullmatch(answer.strip())
    if not match:
        return ["not of the form: In short: <value>. <one sentence>."]
    value, sentence = match["value"], match["sentence"]
    problems = []
    if not 8 <= len(sentence.split()) <= 28:
        problems.append(f"the sentence has {len(sentence.split())} words, not 8 to 28")
    if _SECOND_SENTENCE.search(sentence):
        problems.append("more than one sentence after the value")
    if _FOREIGN.search(answer):
        problems.append(f"markup, ₹, lakh, crore or per cent: {_FOREIGN.search(answer)[0]!r}")
    if value.lower() not in ("yes", "no", "not stated") and value.lower() not in sentence.lower():
        problems.append("the sentence does not repeat the value")
    return problems


def is_uniform(answer: str) -> bool:
    """Whether the answer keeps every rule of the uniform style."""
    return not style_problems(answer)


def parse_json_answer(answer: str) -> dict[str, str] | None:
    """The object, when the whole answer is one JSON object with exactly the string keys `answer` and `explanation`."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(value, dict) and set(value) == {"answer", "explanation"}
    return value if whole and all(isinstance(part, str) for part in value.values()) else None
