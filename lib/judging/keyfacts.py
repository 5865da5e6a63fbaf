"""The offline judge: grades an answer by the one value that the question asks for.

It only reads values; whatever else the answer says, instructions to the judge included,
cannot change a grade.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from lib.corpus.matching import agrees
from lib.corpus.records import Verdict
from lib.corpus.values import ACCEPTED_FORMS, Value, find_entity, find_values, parse_value


class Grade(NamedTuple):
    """Two verdicts on an answer, and why.

    strict: the right value is the one asserted: first, exact, and not taken back.
    relaxed: the right value is mentioned and not denied; a date may lack its year.
    reason: one short sentence.
    """

    strict: Verdict
    relaxed: Verdict
    reason: str


class _Claim(NamedTuple):
    start: int
    end: int
    value: Value
    denied: bool
    right: bool  # the value asked for, exactly
    near: bool  # the value asked for, but for a year or a sub-clause


_MARKUP = re.compile(r"(?i)</?[a-z][^<>]{0,40}>|&nbsp;")
_REFUSAL_TEXT = (
    r"\b(?:i|we)\s(?:\w{1,10}\s)?(?:do not|don't|did not|cannot|can't|could not|couldn't)\s"
    r"(?:know|have|say|tell|determine|find|answer|confirm|provide|be (?:sure|certain))\b"
    r"|^\W{0,3}(?:do not|don't) know\b|\b(?:cannot|can't|can not|unable to|could not)\s(?:be\s)?"
    r"(?:answer|determine|confirm|establish)(?:ed|d)?\b|\bnot (?:sure|certain)\b|\bunsure\b"
    r"|\bno idea\b|\bunknown\b|\b(?:not enough|insufficient|no (?:relevant|such))\sinformation\b"
    r"|\b(?:passages?|context|documents?|sources?|texts?|extracts?|information|they|it)\b"
    r"[^.?!\n]{0,40}?\b(?:do(?:es)?|did)(?:\snot|n't)\s(?:\w{1,12}\s)?(?:say|state|mention|contain"
    r"|include|specify|give|provide|answer|cover|tell|indicate|address)\b"
    r"|\bnot (?:stated|mentioned|specified|given|found|provided|covered|available|answered) in the"
    r" (?:\w{1,12} )?(?:passage|context|document|source|text|extract|information)"
)
_ADVICE_TEXT = r"\b(?:please|kindly|should|better to|advisable to)\s(?:\w{1,12}\s)?consult\b|^\W{0,3}consult\b"
_REFUSAL = re.compile(_REFUSAL_TEXT, re.IGNORECASE)
_ADVICE = re.compile(_ADVICE_TEXT, re.IGNORECASE)
_REFUSAL_OR_ADVICE = re.compile(f"{_REFUSAL_TEXT}|{_ADVICE_TEXT}", re.IGNORECASE)
# What a refusal goes on to name is not asserted: "I do not know whether it is 50,000".
_REST_OF_CLAUSE = re.compile(r"(?i)(?:(?!\b(?:but|however|though)\b)(?:[^.,;:!?\n]|[.,](?=\d)))*")
_LISTED = re.compile(
    r"(?i)\s{0,3}(?:[,/&-]|(?:,\s?)?(?:or|and|to)\b)\s{0,3}"
    r"(?:(?:maybe|perhaps|possibly|even|under|the|form|by|on)\s){0,3}"
)
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:actually|wait|correction|sorry|i mean|my mistake|scratch that|final answer"
    r"|answer is)\b|\bno,|\bor\s(?!more|less|above|over|later|part)(?:\w{1,12}\s){0,3}\Z"
)
# Rival names cannot be told from other words, so that only what stands around a name counts.
_RECANTED = re.compile(
    r"(?i)[.,;:!-]\s{0,3}"
    r"(?:no,|(?:actually|wait|correction|sorry|i mean|scratch that|final answer)\b)"
)
_SUPERSEDED = re.compile(
    r"(?i)\b(?:increased|raised|hiked|enhanced|reduced|cut|lowered|changed|extended|revised|moved?"
    r"|up|down)\s(?:[\w-]{1,15}\s){0,8}from\s(?:(?:about|the|section)\s){0,2}\Z"
)
_SUPERSEDED_BY = re.compile(r"(?i)\s(?:becomes?|became|(?:is|was|has been) (?:replaced|renamed))\b")
_OR_AFTER = re.compile(r"(?i)\s{0,3}(?:,?\s?or\s|/)")
_OR_BEFORE = re.compile(r"(?i)\w\s?(?:\sor\s|/\s?)\Z")
# Ways to say a value that has no figure.
_SPOKEN = {
    "0 INR": (
        "nil",
        "zero",
        "free",
        "free of charge",
        "no fee",
        "no late fee",
        "no charge",
        "no penalty",
        "without fee",
        "without a fee",
        "without any fee",
    ),
    "0 %": ("nil", "zero", "no TDS", "no TCS", "no tax", "not deducted", "not collected"),
    "no limit": (
        "no upper limit",
        "no maximum limit",
        "no monetary limit",
        "unlimited",
        "no cap",
        "no ceiling",
        "without limit",
        "without any limit",
        "no maximum",
        "not capped",
    ),
}


def _wanted(forms: Sequence[str], value_type: str) -> tuple[list[Value], list[str]]:
    values, names = [], []
    for form in forms:
        try:
            value = parse_value(form, value_type)
        except ValueError:
            value = Value("entity", form)  # an alias need not look like a value of the type
        if value.value_type == "entity":
            names.append(form)
        else:
            values.append(value)
        names += _SPOKEN.get(value.key, ())
    return values, names


def _claims(text: str, forms: Sequence[str], value_type: str) -> list[_Claim]:
    values, names = _wanted(forms, value_type)
    claims = [_Claim(m.start, m.end, m.value, m.negated, right=True, near=True) for m in find_entity(text, names)]
    covered = {at for claim in claims for at in range(claim.start, claim.end)}
    for m in find_values(text, value_type) if value_type in ACCEPTED_FORMS else ():
        if covered.isdisjoint(range(m.start, m.end)):
            right = any(agrees(value, m.value, relaxed=False) for value in values)
            near = right or any(agrees(value, m.value, relaxed=True) for value in values)
            claims.append(_Claim(m.start, m.end, m.value, m.negated, right, near))
    return sorted(claims)


def _without_repeats(claims: list[_Claim], question: str, forms: Sequence[str], value_type: str) -> list[_Claim]:
    asked = _claims(question, forms, value_type)
    if value_type == "yesno" or any(claim.near for claim in asked):
        return claims  # the question offers the right value: to repeat it is to assert it
    repeated = {claim.value for claim in asked}
    return [claim for claim in claims if claim.value not in repeated]


def _without_refusals(text: str) -> str:
    pieces, at = [], 0
    for m in _REFUSAL_OR_ADVICE.finditer(text):
        if m.start() >= at:
            end = _REST_OF_CLAUSE.match(text, m.end()).end()
            pieces += [text[at : m.start()], " " * (end - m.start())]
            at = end
    return "".join(pieces) + text[at:]


def _refuses(text: str, value_type: str) -> bool:
    # A wrong name goes unrecognised, so that advice after one is no sign that none was given.
    advised = _ADVICE.match(text) if value_type == "entity" else _ADVICE.search(text)
    return bool(advised or _REFUSAL.search(text))


def _rival(text: str, claims: list[_Claim], first: _Claim) -> str:
    """The words of a later value that replaces or stands beside the first one, or ""."""
    before, in_list = first, True
    for claim in claims[claims.index(first) + 1 :]:
        words, between = text[claim.start : claim.end], text[before.end : claim.start]
        outright = {text[first.start : first.end].lower(), words.lower()} == {"yes", "no"}
        in_list = in_list and _LISTED.fullmatch(between) is not None
        if (outright or in_list or _TAKEN_BACK.search(between[-80:])) and not claim.denied and not claim.near:
            return words
        before = claim
    return ""


def _name_is_rivalled(text: str, claims: list[_Claim], first: _Claim) -> bool:
    if any(claim.start > first.start and not claim.denied for claim in claims):
        return False
    beside = _OR_AFTER.match(text, first.end)
    beside = beside or _OR_BEFORE.search(text, max(0, first.start - 9), first.start)
    return bool(beside or _RECANTED.search(text, first.end))


def _not_asserted(text: str, claims: list[_Claim], expected: str, value_type: str) -> Grade:
    if claims:
        reason = f"the answer denies the only {value_type} it names, expected {expected}"
        return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)
    if _refuses(text, value_type):
        reason = f"the answer declines to give the {value_type}"
        return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, reason)
    reason = f"the answer asserts no {value_type} of its own that matches, expected {expected}"
    return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)


def _grade_unanswerable(text: str, claims: list[_Claim], value_type: str) -> Grade:
    asserted = [claim for claim in claims if not claim.denied]
    if not _refuses(text, value_type):
        reason = "the question has no answer, but one is given"
        return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)
    if asserted:
        words = text[asserted[0].start : asserted[0].end][:40]
        reason = f"the answer abstains, yet asserts the {value_type} {words}"
        return Grade(Verdict.INCORRECT, Verdict.NOT_ATTEMPTED, reason)
    reason = "the question has no answer, and none is given"
    return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, reason)


def _grade_rates(claims: list[_Claim], rates: Sequence[str], expected: str) -> Grade:
    wanted = [parse_value(rate, "percent") for rate in rates]
    said = list(dict.fromkeys(claim.value for claim in claims if not claim.denied))
    strict = Verdict.CORRECT if said == wanted else Verdict.INCORRECT
    relaxed = Verdict.CORRECT if set(wanted) <= set(said) else Verdict.INCORRECT
    keys = ", ".join(value.key for value in said[:5])
    return Grade(strict, relaxed, f"the percents asserted are {keys}, expected {expected}")


def _grade_claims(text: str, claims: list[_Claim], expected: str, value_type: str) -> Grade:
    asserted = [claim for claim in claims if not claim.denied]
    relaxed = Verdict.CORRECT if any(claim.near for claim in asserted) else Verdict.INCORRECT
    exact = any(claim.right for claim in asserted)
    # "raised from X" tells the old value; "31 July, that is 31 July 2025" tells one date.
    current = [
        claim
        for claim in asserted
        if not _SUPERSEDED.search(text, max(0, claim.start - 80), claim.start)
        and not _SUPERSEDED_BY.match(text, claim.end)
        and not (exact and claim.near and not claim.right)
    ]
    first = current[0] if current else asserted[0]
    words = text[first.start : first.end][:40]
    reason = f"first {value_type} asserted is {words}, expected {expected}"
    if value_type == "yesno":  # a "can" further on is no answer to the question
        relaxed = Verdict.CORRECT if first.near else Verdict.INCORRECT
    if not first.right or not current:
        return Grade(Verdict.INCORRECT, relaxed, reason)
    if rival := _rival(text, claims, first):
        reason = f"{words} is asserted first, but {rival[:40]} replaces it or stands beside it"
        return Grade(Verdict.INCORRECT, relaxed, reason)
    if value_type == "entity" and _name_is_rivalled(text, claims, first):
        reason = f"{words} is named, but taken back or one of several alternatives"
        return Grade(Verdict.INCORRECT, relaxed, reason)
    return Grade(Verdict.CORRECT, relaxed, reason)


def grade(
    answer: str, *, expected: str | None, value_type: str, accept: Sequence[str] = (), question: str = ""
) -> Grade:
    """Grade an answer against the one value that it should assert.

    Args:
        answer: any text.
        expected: the right value as the fact sheet writes it; None if to abstain is right.
        value_type: a key of lib.corpus.values.ACCEPTED_FORMS.
        accept: other spellings of the right value.
        question: what was asked; to repeat a value from it asserts nothing, but for the right one.

    Returns:
        The strict and the relaxed verdict with a reason. An answer without a letter or digit
        is NOT_ATTEMPTED; one that abstains from an unanswerable question but asserts a value
        of the type besides is so only in the relaxed verdict.

    Raises:
        ValueError: expected is not a value of the type. No answer raises.
    """
    if expected is not None:
        parse_value(expected, value_type)
    text = _MARKUP.sub(" ", answer.replace("\u2019", "'")).strip()
    if not re.search(r"[^\W_]", text):
        return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, "the answer is empty")
    rates = expected.split(" / ") if expected and value_type == "percent" else []
    forms = (*(rates or [expected] if expected else []), *accept)
    asserted = _without_refusals(text)
    claims = _without_repeats(_claims(asserted, forms, value_type), question, forms, value_type)
    if expected is None:
        return _grade_unanswerable(text, claims, value_type)
    if all(claim.denied for claim in claims):
        return _not_asserted(text, claims, expected, value_type)
    if len(rates) > 1:
        return _grade_rates(claims, rates, expected)
    return _grade_claims(asserted, claims, expected, value_type)
