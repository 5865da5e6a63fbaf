"""What an answer asserts: its claims about one value, without what it repeats, asks, declines to say or hides."""

import re
import unicodedata
from collections.abc import Sequence
from html import unescape
from typing import NamedTuple

from lib.corpus.matching import agrees
from lib.corpus.values import ACCEPTED_FORMS, Value, find_entity, find_values, parse_value


class Claim(NamedTuple):
    """A value that an answer names at text[start:end]."""

    start: int
    end: int
    value: Value
    denied: bool
    right: bool  # the value asked for, exactly
    near: bool  # the value asked for, but for a year or a sub-clause


_MARKUP = re.compile(r"(?is)<!--.{0,2000}?(?:-->|\Z)|</?[a-z][^<>]{0,40}>|&nbsp;")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FRACTION = re.compile(r"(\d)?\s?([¼-¾⅐-⅞])")
_ARTICLE = re.compile(r"(?i)\b(half\s)?an?\s(?=(?:dozen|hundred|thousand|lakh|lac|million|crore|billion)\b)")
_SENTENCE = r"(?:[^.?!\n]|\.(?=\d)|(?<=\brs)\.){0,300}"
_ASKED = re.compile(
    r"(?i)(?:^|(?<=[.!?\n:;,]\s))(?:is|are|was|were|do|does|did|can|could|may|might|must|shall|should|will|would|has|have|had"
    rf"|what|which|who|whom|whose|when|where|why|how)\b{_SENTENCE}\?"
)
_UNITS = r"(?:minute|hour|day|week|month|year|rupee|thousand|lakh|crore)s"
_COUNTED = re.compile(rf"(?i)\b(?:how many|number of)\s(?:[a-z]{{1,12}}\s)?({_UNITS})\b")
_ONE = re.compile(
    r"(?i)(^\W{0,9}|\b(?:within|for|in|of|after|than|is|about|least|most|only)\s)an?\s(?=(?:full\s)?(?:month|year|week|day|hour)\b)"
)
_OPENS = r"(?:^\W{0,3}|(?<=[.!?:;\n]\s)|(?<=\n))"
_CLOSES = r"(?=\W{0,3}(?:\Z|[.,;:!?\n]))"
_SUBJECT = r"(?:(?!\b(?:if|when|where|unless|which|whose|though|but|while|and|so)\b)[^.,;:!?\n])"
_NAMES_YEAR = re.compile(r"(?:19|20)\d\d-")
# "It does not include GST" is said of a fee, "they do not say" of the passages.
_REFUSAL_TEXT = (
    r"\b(?:i|we)\s(?:\w{1,10}\s)?(?:do not|don't|did not|cannot|can't|could not|couldn't)\s"
    r"(?:know|have(?!\sto\b)|say|tell|determine|find|answer|confirm|provide|help|assist|(?:give|offer)(?:\s\w{1,12}){0,2}\sadvice"
    r"|be (?:sure|certain))\b"
    r"|^\W{0,3}(?:do not|don't) know\b|\b(?:cannot|can't|can not|unable to|could not)\s(?:be\s)?"
    r"(?:answer|determine|confirm|establish)(?:ed|d)?\b|\bnot (?:sure|certain|clear|known)\b|\bunsure\b"
    r"|\bunclear\s(?:if|whether|what|which|who|when|how)\b"
    r"|\bno idea\b|\bunknown\b|\b(?:not enough|insufficient|no (?:(?:relevant|such)\s)?)\s?information\b"
    r"|\b(?:passages?|context|documents?|sources?|texts?|extracts?|information)\b"
    r"[^.?!\n]{0,40}?\b(?:do(?:es)?|did)(?:\snot|n't)\s(?:\w{1,12}\s)?(?:say|state|mention|contain"
    r"|include|specify|give|provide|answer|cover|tell|indicate|address)\b"
    r"|\b(?:they|it) (?:do(?:es)?|did)(?:\snot|n't)\s(?:\w{1,12}\s)?(?:say|state|mention|specify|tell|indicate"
    r"|(?:contain|include|give|provide)\s(?:\w{1,12}\s){0,3}(?:information|answer|details)\b)"
    r"|\bnot (?:stated|mentioned|specified|given|found|provided|covered|available|answered) in the"
    r" (?:\w{1,12} )?(?:passage|context|document|source|text|extract|information)"
    # As a sentence of its own only: "20% where the PAN is not given" refuses nothing, and "a refund is not given" is a no.
    rf"|{_OPENS}(?:not given|(?:(?:it|this|that|the\s{_SUBJECT}{{1,60}}?)\s(?:is|was|are|were)\s)?"
    rf"(?:not (?:stated|mentioned|specified)|unclear)){_CLOSES}|^\W{{0,3}}(?:in short:\s)?n/a{_CLOSES}"
)
_ADVICE_TEXT = r"\b(?:please|kindly|should|better to|advisable to)\s(?:\w{1,12}\s)?consult\b|^\W{0,3}consult\b"
_REFUSAL = re.compile(_REFUSAL_TEXT, re.IGNORECASE)
_ADVICE = re.compile(_ADVICE_TEXT, re.IGNORECASE)
_REFUSAL_OR_ADVICE = re.compile(f"{_REFUSAL_TEXT}|{_ADVICE_TEXT}", re.IGNORECASE)
# What a refusal goes on to name is not asserted: "I do not know whether it is 50,000".
_REST_OF_CLAUSE = re.compile(r"(?i)(?:(?!\b(?:but|however|though)\b)(?:[^.,;:!?\n]|[.,](?=\d)))*")
_OR = re.compile(r"(?i)\s?,?\s?or\s(?:(?:maybe|perhaps|possibly|even)\s)?")
# Ways to say a value that has no figure.
# fmt: off
SPOKEN = {
    "0 INR": (
        "nil", "zero", "free", "free of charge", "no fee", "no late fee", "no charge", "no penalty", "without fee",
        "without a fee", "without any fee",
    ),
    "0 %": ("nil", "zero", "no TDS", "no TCS", "no tax", "not deducted", "not collected"),
    "no limit": (
        "no upper limit", "no maximum limit", "no monetary limit", "unlimited", "no cap", "no ceiling", "without limit",
        "without any limit", "no maximum", "not capped",
    ),
}
# fmt: on


def plain(answer: str) -> str:
    """The answer as a reader sees it, in the signs that values are written with.

    Comments and tags go, entities (&amp;) become what they stand for; invisible format characters go; digits of any
    script and full-width forms become ASCII; "1½" becomes "1.5", "a lakh" "one lakh", "half a lakh" "0.5 lakh".
    """
    text = unescape(_MARKUP.sub(" ", answer)).replace("\u2019", "'").translate(_FULL_WIDTH)
    text = "".join(
        str(unicodedata.decimal(sign)) if sign.isdecimal() else sign
        for sign in text
        if unicodedata.category(sign) != "Cf"
    )
    text = _FRACTION.sub(lambda m: (m[1] or "0") + f"{unicodedata.numeric(m[2]):.4f}"[1:].rstrip("0"), text)
    return _ARTICLE.sub(lambda m: "0.5 " if m[1] else "one ", text).strip()


def assertions(text: str, question: str, value_type: str) -> str:
    """The text with questions and refusals blanked, and a number of the unit that is asked for in the type's own form.

    Asked "How many days ...?", "7 days" is the count 7 and the bare "30" is the duration 30 days.
    """
    text = _ASKED.sub(lambda m: " " * len(m[0]), text)
    counted = _COUNTED.search(question)
    if value_type == "count" and counted:
        unit = counted[1].lower().removesuffix("s")
        text = re.sub(rf"(?i)(?<=[\w])[\s-]{unit}s?\b", " ", text)
        text = re.sub(r"(?i)(?:₹|\brs\.?|\binr\b)\s?(?=\d)", "", text) if unit == "rupee" else text
    elif value_type == "duration":
        text = _ONE.sub(r"\1one ", text)
        if counted and re.fullmatch(r"\W*[\d,]{1,9}\W*", text):
            text = f"{text.rstrip('. ')} {counted[1]}"
    pieces, at = [], 0
    for m in _REFUSAL_OR_ADVICE.finditer(text):
        if m.start() >= at:
            end = _REST_OF_CLAUSE.match(text, m.end()).end()
            pieces += [text[at : m.start()], " " * (end - m.start())]
            at = end
    return "".join(pieces) + text[at:]


def refuses(text: str, value_type: str) -> bool:
    """Whether the text declines to answer."""
    # A wrong name goes unrecognised, so that advice after one is no sign that none was given.
    advised = _ADVICE.match(text) if value_type == "entity" else _ADVICE.search(text)
    return bool(advised or _REFUSAL.search(text))


def claims_of(text: str, question: str, forms: Sequence[str], value_type: str) -> list[Claim]:
    """The claims of a text that are its own, in order; `forms` are the spellings of the right value.

    A value that stands in the question asserts nothing when it is repeated, unless it is the right one or one of
    several that the answer leaves open with "or". A date may leave out its year where the question names it.
    """
    claims, asked = _found(text, forms, value_type), _found(question, forms, value_type)
    if value_type == "date" and any(form[:4] in question for form in forms if _NAMES_YEAR.match(form)):
        claims = [claim._replace(right=claim.right or claim.near and "--" in claim.value.key) for claim in claims]
    if value_type == "yesno" or any(claim.near for claim in asked):
        return claims  # the question offers the right value: to repeat it is to assert it
    repeated = {claim.value for claim in asked}
    left_open = set()
    for one, other in zip(claims, claims[1:], strict=False):
        if _OR.fullmatch(text, one.end, other.start):
            left_open |= {one, other}
    return [claim for claim in claims if claim.value not in repeated or claim in left_open]


def _found(text: str, forms: Sequence[str], value_type: str) -> list[Claim]:
    values, names = _wanted(forms, value_type)
    claims = [Claim(m.start, m.end, m.value, m.negated, right=True, near=True) for m in find_entity(text, names)]
    covered = {at for claim in claims for at in range(claim.start, claim.end)}
    for m in find_values(text, value_type) if value_type in ACCEPTED_FORMS else ():
        if covered.isdisjoint(range(m.start, m.end)):
            right = any(agrees(value, m.value, relaxed=False) for value in values)
            near = right or any(agrees(value, m.value, relaxed=True) for value in values)
            claims.append(Claim(m.start, m.end, m.value, m.negated, right, near))
    return sorted(claims)


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
        names += SPOKEN.get(value.key, ())
    return values, names
