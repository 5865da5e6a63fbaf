"""The offline judge: grades an answer by the one value that the question asks for.

It only reads values; whatever else the answer says, instructions to the judge included,
cannot change a grade.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from lib.corpus.records import Verdict
from lib.corpus.values import parse_value
from lib.judging.reading import SPOKEN, Claim, assertions, claims_of, plain, refuses


class Grade(NamedTuple):
    """Two verdicts on an answer, and why.

    strict: the right value is the one asserted: first, exact, and not taken back.
    relaxed: the right value is mentioned and not denied; a date may lack its year.
    reason: one short sentence.
    """

    strict: Verdict
    relaxed: Verdict
    reason: str


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
    r"|\bthat(?:'s|\sis)\s(?:wrong|incorrect|not\s(?:the|right|correct|true))\b"
)
_SUPERSEDED = re.compile(
    r"(?i)\b(?:increased|raised|hiked|enhanced|reduced|cut|lowered|changed|extended|revised|moved?"
    r"|up|down)\s(?:[\w-]{1,15}\s){0,8}from\s(?:(?:about|the|section)\s){0,2}\Z"
)
_SUPERSEDED_BY = re.compile(r"(?i)\s(?:becomes?|became|(?:is|was|has been) (?:replaced|renamed))\b")
_OR_AFTER = re.compile(r"(?i)\s{0,3}(?:,?\s?or\s|/)")
_OR_BEFORE = re.compile(r"(?i)\w\s?(?:\sor\s|/\s?)\Z")
# "120 days, reduced to 30 days", "Earlier X, now Y": the value before these words no longer holds.
_REPLACED = re.compile(
    r"(?i)(?:[\s,;.(]|\b(?:which|and|it|but|then|has|have|had|is|was|were|been|later|since|subsequently|now|further)\b){1,12}"
    r"(?:raised|increased|hiked|enhanced|extended|reduced|cut|lowered|changed|revised|moved)\s(?:by\s\w{1,15}\s)?to\s(?:the\s)?"
    r"|[\s,;.(]{0,3}(?:but\s|and\s)?(?:now|currently|today)\s(?:it\s)?(?:is\s|stands\sat\s|only\s)?"
)
_USED_TO_BE = re.compile(r"(?i)\b(?:used\sto\sbe|formerly|earlier(?!\sof\b|\sthan\b))\s(?:it\swas\s)?\Z")
_ASKS_FOR_FORMER = re.compile(r"(?i)\b(?:before|earlier|formerly|original(?:ly)?|at first|used to)\b")
_FIGURES = ("amount", "percent", "date", "duration", "count")
_ASKS_FOR_PROVISION = re.compile(r"(?i)\b(?:which|what)\s(?:[\w-]{1,15}\s){0,2}(?:form|section)\b")
_IN_SHORT = re.compile(r"(?i)in short:\s[^\n]{1,60}?\.\s")
_IS = re.compile(r"(?i)\b(?:is|are|was|were)\s\Z")
_LIST_BREAK = re.compile(r"[,;\n/]|\b(?:or|and)\b")
_LIMITED = re.compile(r"(?i)\b(?:not|no|never|only|unless|without|cannot|neither|nor|if|but)\b|n't\b")


def _rival(text: str, claims: list[Claim], first: Claim) -> str:
    """The words of a later value that replaces or stands beside the first one, or ""."""
    before, in_list = first, True
    frame = _words_before(text, first)
    in_short = _IN_SHORT.match(text) is not None
    for claim in claims[claims.index(first) + 1 :]:
        words, between = text[claim.start : claim.end], text[before.end : claim.start]
        outright = {text[first.start : first.end].lower(), words.lower()} == {"yes", "no"}
        in_list = in_list and _LISTED.fullmatch(between) is not None
        again = len(frame) > 1 and frame == _words_before(text, claim)  # "The limit is X. The limit is Y."
        repeated = in_short and _IS.search(between[-20:])  # "In short: X. The rate is Y."
        beside = outright or in_list or again or repeated or _TAKEN_BACK.search(between[-80:])
        if beside and not claim.denied and not claim.near:
            return words
        before = claim
    return ""


def _words_before(text: str, claim: Claim) -> list[str]:
    """The words but articles from the start of the claim's sentence to the claim, of the last 150 characters."""
    return re.findall(
        r"\b(?!(?:an?|the)\b)[^\W_]+",
        re.split(r"[.!?;\n](?!\d)", text[max(0, claim.start - 150) : claim.start].lower())[-1],
    )


def _former(text: str, asserted: list[Claim], question: str) -> set[Claim]:
    """The claims that the next one replaces, unless the question asks for what held before."""
    if _ASKS_FOR_FORMER.search(question):
        return set()
    return {
        one
        for one, other in zip(asserted, asserted[1:], strict=False)
        if _REPLACED.fullmatch(text, one.end, other.start)
        or _USED_TO_BE.search(text, max(0, one.start - 20), one.start)
    }


def _goes_back_on_no(text: str, question: str) -> bool:
    """Whether a sentence after the "no" affirms, in all its words of content, what was asked."""
    asked = {word for word in re.findall(r"[^\W_]+", question.lower()) if len(word) > 3}
    sentences = re.split(r"[.!?;\n](?!\d)", text)[1:]
    return bool(asked) and any(
        asked <= set(re.findall(r"[^\W_]+", sentence.lower())) and not _LIMITED.search(sentence)
        for sentence in sentences
    )


def _name_is_rivalled(text: str, claims: list[Claim], first: Claim) -> bool:
    if any(claim.start > first.start and not claim.denied for claim in claims):
        return False
    beside = _OR_AFTER.match(text, first.end)
    beside = beside or _OR_BEFORE.search(text, max(0, first.start - 9), first.start)
    return bool(beside or _RECANTED.search(text, first.end) or _is_bare_list(text, first))


def _is_bare_list(text: str, named: Claim) -> bool:
    """Whether the text is nothing but three or more short items, of which the name is one."""
    rest = f"{text[: named.start]}x{text[named.end :]}"  # a name may itself be a list
    items = [item.split() for item in _LIST_BREAK.split(rest.strip(" .\n"))]
    return len(items) > 2 and ["x"] in items and all(len(item) < 4 for item in items)


def _not_asserted(text: str, claims: list[Claim], expected: str, value_type: str) -> Grade:
    if claims:
        reason = f"the answer denies the only {value_type} it names, expected {expected}"
        return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)
    if refuses(text, value_type):
        reason = f"the answer declines to give the {value_type}"
        return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, reason)
    reason = f"the answer asserts no {value_type} of its own that matches, expected {expected}"
    return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)


def _grade_unanswerable(text: str, asserted_text: str, question: str, value_type: str) -> Grade:
    if not refuses(text, value_type):
        reason = "the question has no answer, but one is given"
        return Grade(Verdict.INCORRECT, Verdict.INCORRECT, reason)
    # Such a question mostly has no type: a value of any counts, but a form or section only where one is asked for.
    asked_for = ("form", "section") if _ASKS_FOR_PROVISION.search(question) else ()
    for kind in (*_FIGURES, *asked_for) if value_type == "entity" else (value_type,):
        for claim in claims_of(asserted_text, question, (), kind):
            words = asserted_text[claim.start : claim.end][:40]
            if not claim.denied and words.lower() != "one":  # "one way to find out" counts nothing
                reason = f"the answer abstains, yet asserts the {kind} {words}"
                return Grade(Verdict.INCORRECT, Verdict.NOT_ATTEMPTED, reason)
    reason = "the question has no answer, and none is given"
    return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, reason)


def _grade_rates(claims: list[Claim], rates: Sequence[str], expected: str) -> Grade:
    wanted = [parse_value(rate, "percent") for rate in rates]
    zero = parse_value("0 %", "percent")
    spoken = {parse_value(words, "entity") for words in SPOKEN[zero.key]}  # "nil up to 3 lakh and 5% above it"
    asserted = (zero if claim.value in spoken else claim.value for claim in claims if not claim.denied)
    said = list(dict.fromkeys(asserted))
    strict = Verdict.CORRECT if said == wanted else Verdict.INCORRECT
    relaxed = Verdict.CORRECT if set(wanted) <= set(said) else Verdict.INCORRECT
    keys = ", ".join(value.key for value in said[:5])
    return Grade(strict, relaxed, f"the percents asserted are {keys}, expected {expected}")


def _grade_claims(text: str, claims: list[Claim], expected: str, value_type: str, question: str) -> Grade:
    asserted = [claim for claim in claims if not claim.denied]
    relaxed = Verdict.CORRECT if any(claim.near for claim in asserted) else Verdict.INCORRECT
    exact = any(claim.right for claim in asserted)
    # "raised from X" tells the old value; "31 July, that is 31 July 2025" tells one date.
    former = _former(text, asserted, question)
    current = [
        claim
        for claim in asserted
        if claim not in former
        and not _SUPERSEDED.search(text, max(0, claim.start - 80), claim.start)
        and not _SUPERSEDED_BY.match(text, claim.end)
        and not (exact and claim.near and not claim.right)
    ]
    first = current[0] if current else asserted[0]
    words = text[first.start : first.end][:40]
    reason = f"first {value_type} asserted is {words}, expected {expected}"
    if value_type == "yesno":  # a "can" further on is no answer to the question
        relaxed = Verdict.CORRECT if first.near else Verdict.INCORRECT
    if value_type == "yesno" and first.value.key == "no" and _goes_back_on_no(text, question):
        return Grade(
            Verdict.INCORRECT, relaxed, f"{words} is asserted first, but a later sentence affirms what was asked"
        )
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
        of the type (of any, for a name) besides is so only in the relaxed verdict.

    Raises:
        ValueError: expected is not a value of the type. No answer raises.
    """
    if expected is not None:
        parse_value(expected, value_type)
    text = plain(answer)
    if not re.search(r"[^\W_]", text):
        return Grade(Verdict.NOT_ATTEMPTED, Verdict.NOT_ATTEMPTED, "the answer is empty")
    rates = expected.split(" / ") if expected and value_type == "percent" else []
    forms = (*(rates or [expected] if expected else []), *accept)
    question = plain(question)
    asserted = assertions(text, question, value_type)
    if expected is None:
        return _grade_unanswerable(text, asserted, question, value_type)
    claims = claims_of(asserted, question, forms, value_type)
    if all(claim.denied for claim in claims):
        return _not_asserted(text, claims, expected, value_type)
    if len(rates) > 1:
        return _grade_rates(claims, rates, expected)
    return _grade_claims(asserted, claims, expected, value_type, question)
