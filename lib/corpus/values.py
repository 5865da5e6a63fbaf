"""Normalised values (amounts, dates, sections, ...) and their mentions in free text."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lib.corpus.patterns import Span, blanked, spans, without_years

ACCEPTED_FORMS = {
    "amount": "5000000 INR, Rs. 1,50,000/-, 1.5 lakh or no limit; give other currencies as entity",
    "date": "2025-07-31, 31.07.2025 or 15 June",
    "duration": "30 days or 5 years 3 months; minutes, hours, days, weeks, months, years (give other units as entity)",
    "percent": "12.5 %, 1 % per month or 5 % / 20 %",
    "form": "ITR-2 or Form 26QB",
    "section": "139(5) or section 115BAC",
    "count": "7, seven, 5 MB or 8-14 characters",
    "entity": "any words",
    "yesno": "yes or no",
}


@dataclass(frozen=True, order=True, slots=True)
class Value:
    """A typed value in normal form: equal values have equal keys, whatever their spelling."""

    value_type: str
    key: str


class Mention(NamedTuple):
    """A value found at text[start:end]; negated where the text denies it."""

    value: Value
    start: int
    end: int
    negated: bool


_FIRMLY = r"(?:certainly|absolutely|definitely|of course)"
_LEADING = re.compile(
    r"(?i)\W{0,9}(?:(?:(?:the |final |short )*answer(?: is)?|in short|well)\W{1,5})?"
    rf"(?:(?P<yes>yes|yeah|yep|true|correct|{_FIRMLY}(?!!|,?\snot\b)|(?:allowed|permitted|possible)(?=\W{{0,9}}\Z))"
    rf"|(?P<no>no|nope|not|false|incorrect|{_FIRMLY},?\snot))\b"
)
_OUTRIGHT = re.compile(r"(?i)\b(?:(?P<yes>yes)|(?P<no>no))\b(?=\s?(?:[,.!;:/]|or\b|$))(?!\.\s?\d)")
_SUBJECT = r"\s(?:i|we|you|he|she|it|they|one|an?|the|my|our|your|his|her|their|this|that|these|those)\b"
_SUPPOSED = re.compile(r"(?i)\b(?:whether|if)\s(?:[\w'-]{1,20}\s){0,5}\Z")
_POLARITY = re.compile(  # "may I" and "whether I may" assert nothing
    r"(?i)(?P<no>\b(?:cannot|can't|won't|never|no|ineligible)\b|\b(?:can|may|must|shall|should|is"
    r"|are|was|were|be|do|does|did|will|would|could|need|has|have)(?:\snot|n't)\b"
    r"|\bnot\s(?:be\s)?(?:allowed|permitted|required|available|eligible|possible|mandatory|compulsory|deductible|taxable))"
    rf"|(?P<yes>\b(?:can|may|must|shall|should)\b(?!{_SUBJECT})|\b(?:ha(?:s|ve) to|needs? to|eligible|entitled)\b"
    r"|\b(?:is|are|was|be|(?:it|that)'s)\s"
    r"(?:allowed|permitted|required|available|mandatory|compulsory|possible|deductible|taxable)\b)"
)
_DENIED_BEFORE = re.compile(
    r"(?i)(?:(?:\b(?:not|cannot|never|nor|neither|no longer|rather than|instead of|as opposed to|other than)"
    r"|n't)\s+(?:(?:an?|the|be|is|it|to|by|on|under|in|for|from|at|use|using|used|file|filing|filed"
    r"|choose|pay|claim|form|sections?|rs\.?|inr|exactly|about|any|even|just|merely|actually|really|longer|in fact"
    r"|called|named|known as|eligible for|(?:eligible|entitled|allowed|permitted|able) to)\s+){0,4}"
    r"|(?:\b(?:false|untrue|incorrect|wrong|a myth)\s+that|(?:\bnot|n't)\s+(?:think|believe|mean))"
    r"\s+(?:[\w'-]{1,20}\s+){0,6}(?:rs\.?\s+)?)[\"'(]?\Z"
)
_DENIED_AFTER = re.compile(
    r"(?i)[\"')]?\s{0,3}(?:\([^)]{0,30}\)\s)?(?:(?:is|was|are)(?:\s(?:not|never)|n't)\s(?:the\s)?"
    r"(?:right|correct|answer|form|section|limit|date|rate|amount|applicable|valid|permitted|allowed|available)\b"
    r"|(?:is|was) (?:wrong|incorrect|no longer)\b|(?:cannot|can't|(?:can|should|must|may)(?:\snot|n't)) be (?:used|filed)\b)"
)
# A text that is nothing but one number is a value of the asked type: the cue is understood.
_CUES = {"amount": "Rs {}", "percent": "{} %", "form": "Form {}", "section": "section {}"}
# One character for one character, so that offsets in the cleaned text hold in the given one.
_CLEAN = str.maketrans("‐‑‒–—−\u00a0\u2009\u202f\u2007*_`’‘", "------       ''")


# Signs that go on a letter, such as the vowel signs of Devanagari, are no letters to `re`: without them, two names are one.
_MARKS = "".join(sign for sign in map(chr, range(0x300, 0xFE00)) if unicodedata.category(sign) in ("Mn", "Mc"))
_MARK = re.compile(f"[{_MARKS}]")
# A plus or hash sign that ends a word belongs to the name: "A+" is not "A-", nor "C#" "C".
_NAME_PARTS = re.compile(rf"(?:\d+|[^\W\d_]+(?:[{_MARKS}]+[^\W\d_]*)*)(?:[+#]{{1,2}}(?!\w))?")


def _mentions(text: str, stretches: Iterable[Span], value_type: str) -> list[Mention]:
    mentions: list[Mention] = []
    for start, end, key in stretches:
        negated = _DENIED_BEFORE.search(text, max(0, start - 90), start)
        if mentions and text[mentions[-1].end : start].strip() == "or":  # "not X or Y"
            negated = negated or mentions[-1].negated
        negated = bool(negated or _DENIED_AFTER.match(text, end))
        mentions.append(Mention(Value(value_type, key), start, end, negated))
    return mentions


def _yesno_mentions(text: str) -> list[Mention]:
    leading = _LEADING.match(text) or _OUTRIGHT.search(text)
    later = _OUTRIGHT.finditer(text, leading.end()) if leading else _POLARITY.finditer(text)
    found = filter(
        None, (leading, *(m for m in later if not _SUPPOSED.search(text, max(0, m.start() - 80), m.start())))
    )
    # A "not" is here the value itself, not the denial of one.
    return [Mention(Value("yesno", m.lastgroup), *m.span(m.lastgroup), False) for m in found]


def find_values(text: str, value_type: str) -> list[Mention]:
    """Find every mention of a type of value in text, in order and without overlap.

    value_type is a key of ACCEPTED_FORMS, else ValueError. Assessment and financial years are
    never values. A text that opens with yes or no, or says it outright ("..., no."), gives only
    such; a text that is one bare number, that number. A text without a value of the type gives
    [], and so does type "entity", which has no general form: see find_entity.
    """
    if value_type not in ACCEPTED_FORMS:
        raise ValueError(f"unknown value type {value_type!r}: expected {', '.join(ACCEPTED_FORMS)}")
    clean = text.translate(_CLEAN)
    if value_type in ("entity", "yesno"):
        return _yesno_mentions(clean) if value_type == "yesno" else []
    dated = without_years(clean)
    found = spans(dated, value_type)
    core = dated.strip(" .\n")
    if not found and value_type in _CUES and re.fullmatch(r"[\w(),.-]{1,20}", core):
        at, understood = dated.index(core), spans(_CUES[value_type].format(core), value_type)
        found = [(at, at + len(core), key) for _, _, key in understood[:1]]
    return _mentions(clean, found, value_type)


def _entity_key(text: str, form: str = "NFC") -> str:
    return " ".join(_NAME_PARTS.findall(unicodedata.normalize(form, text.lower())))


def find_entity(text: str, surface_forms: Sequence[str]) -> list[Mention]:
    """Find names in text as whole words, whatever their case, punctuation and spacing.

    surface_forms are the spellings to look for: "e-Pay Tax" also finds "ePay tax". The result
    is in text order without overlap, and empty if no form occurs or holds a letter or digit.
    """
    keys = {_entity_key(name, form) for name in surface_forms for form in ("NFC", "NFD")}  # "é" may be one sign or two
    clean = text.translate(_CLEAN)
    forms = "|".join(map(re.escape, sorted(keys - {""}, key=len, reverse=True))).replace(r"\ and\ ", "&")
    forms = forms.replace(r"\ ", r"(?:[\W_]{0,3}|,?\s(?:to|and)\s)")
    forms = forms.replace("&", r"(?:[\W_]{0,3}|,?\sand\s)") or r"(?!)"  # which never matches
    found = re.finditer(rf"(?i)(?<![^\W_])(?<!\d[.,])(?:{forms})(?![^\W_])(?![.,]\d)(?![+#]{{1,2}}(?!\w))", clean)
    whole = (m for m in found if not _MARK.match(clean, m.end()) and not _MARK.match(clean, max(0, m.start() - 1)))
    return _mentions(clean, ((*m.span(), _entity_key(m[0])) for m in whole), "entity")


def parse_value(text: str, value_type: str) -> Value:
    """Read a text that is one value and nothing else.

    The text may have any form that find_values knows. Several rates keep their order, as in
    "5 % / 20 %". A quantity that only text can tell ("no limit", "8-14 characters") comes back
    as an entity. ValueError if the type is unknown or the text, say "", is not one value of it.
    """
    key = _entity_key(text)
    if value_type == "entity" and key:
        # Signs are no part of a name, so that "$29" would be any 29.
        if key.replace(" ", "").isdigit() and re.search("[$€£¥<>]", text):
            raise ValueError(
                f"cannot read {text!r} as entity: write its sign in words, as in 29 USD, and list in accept how else it is said"
            )
        return Value("entity", key)
    if value_type == "percent" and " / " in text:
        rates = (parse_value(part, "percent").key for part in text.split(" / "))
        return Value("percent", " / ".join(rates))
    found = find_values(text, value_type)
    rest = blanked(text, ((m.start, m.end) for m in found)).strip(" .,;()\n")
    if not rest and len({m.value for m in found}) == 1:
        return found[0].value
    textual = {"amount": r"no .*limit|unlimited", "count": r"\d.* [a-z]+"}.get(value_type)
    if textual and re.fullmatch(textual, key):
        return Value("entity", key)
    raise ValueError(f"cannot read {text!r} as {value_type}: use {ACCEPTED_FORMS[value_type]}")
