"""Normalised values (amounts, dates, sections, ...) and their mentions in free text."""

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

ACCEPTED_FORMS = {
    "amount": "5000000 INR, Rs. 1,50,000/-, 1.5 lakh or no limit",
    "date": "2025-07-31, 31.07.2025 or 15 June",
    "duration": "30 days or 5 years 3 months",
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


_Span = tuple[int, int, str]  # start, end, normal key
_SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "k": 10**3,
    "lakh": 10**5,
    "lac": 10**5,
    "l": 10**5,
    "million": 10**6,
    "crore": 10**7,
    "cr": 10**7,
    "billion": 10**9,
}
_NAMES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]
_WORDS = dict(zip(_NAMES, map(Decimal, (*range(20), *range(20, 100, 10))), strict=True))
_WORDS |= {"nil": Decimal(0), "twice": Decimal(2), "half": Decimal("0.5")}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_IN_MONTHS = {"month": 1, "year": 12, "yr": 12, "annum": 12}
_IN_MINUTES = {"minute": 1, "min": 1, "hour": 60, "hr": 60, "day": 1440, "week": 10080}

# Every repetition is bounded, so that no text, however long, makes a search quadratic.
_DIGITS = r"(?<!\d)(?<!\d[.,])\d{1,15}(?:,\d{2,3}){0,6}(?:\.\d{1,6})?(?!\d)"
_WORD = rf"\b(?:(?:{'|'.join(_NAMES[20:])})[\s-](?:{'|'.join(_NAMES[1:10])})|{'|'.join(_WORDS)})\b"
_SCALE = r"[\s-]{0,4}(?:(?:hundred|thousand|lakh|lac|crore|million|billion)s?|k|cr|l)\b"
_NUMBER = (
    rf"(?:{_DIGITS}|{_WORD})(?:\sand\sa\shalf)?"
    rf"(?:{_SCALE}(?:(?:\sand)?\s(?:{_WORD}|{_DIGITS}(?={_SCALE})))?){{0,5}}"
)
_QTY = rf"(?<![a-z])(?P<qty>{_NUMBER})"
_UNIT = "|".join((*_IN_MONTHS, *_IN_MINUTES))
_PER = rf"(?P<per>(?:\s?(?:/|(?:for )?(?:per|an?|each|every)\s)(?:{_UNIT}|ton)\b){{0,2}})"
_PERCENT_SIGN = r"\s{0,3}(?:%|per\s?cent\b|pct\b)"
_MONTH = (  # "may" is a month only as May or MAY
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|(?-i:May|MAY)|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"
)
_YEAR = r"(?:[\s,-]{1,3}(?:19|20)\d\d(?!\d))?"
_SUB = r"\(\s?(?:\d{1,2}[a-z]{0,2}|[a-z]|[ivx]{2,4})\s?\)"
_YEAR_SPAN = re.compile(
    r"(?i)(?:(?<![\d-])(?:19|20)\d\d\s?-\s?|\b(?:[AFP]\.?Y\.?|(?:assessment|financial|previous|tax)"
    r" year)\s{0,2}(?:(?:19|20)?\d\d\s?-\s?)?)(?:19|20)?\d\d(?![\d-])"
)
_AMOUNT = re.compile(
    rf"(?i)(?:(?:₹|(?<![a-z])(?:rs\.?|inr|rupees?))\s{{0,3}}(?P<money>{_NUMBER})|{_QTY})"
    rf"(?P<after>\s{{0,3}}(?:/-|(?:inr|rupees?|rs)\b))?{_PER}"
)
_SCALED = re.compile(r"(?i)\d\s{0,4}(?:k|cr|l)\b|thousand|lakh|lac|crore|[mb]illion")
_THOUSANDS = re.compile(r"(?<!\d[ -])(?!(?:19|20)\d\d\b)0{0,9}[1-9]\d{3,14}(?!\w|[ -]\d)")
_PERCENT = re.compile(rf"(?i){_QTY}(?:{_PERCENT_SIGN}{_PER}|(?=\s?(?:-|to|or|/)\s?{_DIGITS}{_PERCENT_SIGN}))")
_DURATION = re.compile(
    rf"(?i)(?:(?<![a-z])(?P<low>{_NUMBER})(?:(?<=\d)-(?=\d)|\s(?:-|to)\s))?{_QTY}(?:(?:\s?\(\w{{1,20}}\))?"
    rf"[\s-]{{0,4}}(?:(?:financial|assessment|previous|calendar|tax|full)\s)?(?P<unit>{_UNIT})s?\b"
    rf"|(?<=aged\s\d\d)|(?<=age\sof\s\d\d))(?:(?:(?<=years)|(?<=yrs))\.?,?\s(?:and\s)?(?P<more>{_NUMBER})[\s-]months?\b)?"
)
_DATE = re.compile(
    r"(?i)(?<![\d.-])(?:\d{4}-\d\d?-\d\d?|\d\d?([./-])\d\d?\1\d{4})(?!\d)"
    rf"|(?<![\d.])\d\d?\s?(?:st|nd|rd|th)?(?:\s(?:day\s)?of)?[\s,-]{{0,3}}{_MONTH}{_YEAR}"
    rf"|\b{_MONTH}\.?\s{{1,3}}\d\d?(?:st|nd|rd|th)?\b{_YEAR}"
)
_FORM = re.compile(
    r"(?i)(?:\b(?:form\s)?ITR[\s-]{0,3}|(?<=itr.\d or )|(?<=itr.\d/))(?P<itr>[1-7]|(?<![\s/])[UV])\b"
    r"|\bforms?\s{0,2}(?:no\.?|number)?\s{0,3}(?P<code>\d{1,3}(?:-?[a-z]{1,3}"
    r"|\s(?-i:(?!(?:AND|OR|IS|TO|FOR|OF|IN|ON|BY)\b)[A-Z]{1,3}))?)\b"
    r"|\b(?P<bare>26\s?AS|2[467]Q|26Q[BCD]|10-?IEA?|10BA|10E|16[ABC]|15[GHC]|3C[ABD]|12BB|49AA?)\b"
)
_SECTION = re.compile(
    rf"(?i)(?:\bsections?|\bsec\.?|\bu/s\.?|§)\s{{0,2}}(?P<cued>\d{{1,3}}[a-z]{{0,4}}(?!\w|[.,]\d)"
    rf"(?:-(?-i:[A-Z]{{1,3}})\b)?(?:\s?{_SUB}){{0,5}})"
    rf"|(?<![\w.,-])(?<!rule\s)(?P<bare>\d{{1,3}}[a-z]{{0,4}}{_SUB}(?:\s?{_SUB}){{0,4}}"
    r"|\d{2,3}(?!(?:st|nd|rd|th|cr|l|k|[kmg]b|am|pm|lacs?|days?|hrs?|yrs?)\b)[a-z]{1,4}\b"
    r"(?:-(?-i:[A-Z]{1,3})\b)?)"
)
_COUNT = re.compile(  # list numbers, citations and passage numbers count nothing
    rf"(?im)(?P<layout>^\s{{0,8}}\d{{1,3}}[.)]\s+(?=\S)|\[\d{{1,3}}(?:,\s?\d{{1,3}}){{0,9}}\]"
    r"|\b(?:passage|source|document|rule|chapter|schedule|step)s?\s\d{1,4}\b)"
    rf"|(?<!\bno\s)(?<!\bany\s)(?<![a-z]-)(?!nil\b){_QTY}(?!\w|\.\d|\sof\b(?<=one\sof)|'s)"
)
_LEADING = re.compile(
    r"(?i)\W{0,9}(?:(?:(?:the |final |short )*answer(?: is)?|in short|well)\W{1,5})?"
    r"(?:(?P<yes>yes|yeah|yep|true|correct)|(?P<no>no|nope|not|false|incorrect))\b"
)
_OUTRIGHT = re.compile(r"(?i)\b(?:(?P<yes>yes)|(?P<no>no))\b(?=\s?(?:[,.!;:/]|or\b|$))(?!\.\s?\d)")
_POLARITY = re.compile(
    r"(?i)(?P<no>\b(?:cannot|can't|won't|never|no|ineligible)\b|\b(?:can|may|must|shall|should|is"
    r"|are|was|were|be|do|does|did|will|would|could|need|has|have)(?:\snot|n't)\b"
    r"|\bnot\s(?:be\s)?(?:allowed|permitted|required|available|eligible|possible))"
    r"|(?P<yes>\b(?:can|may|must|shall|should|has to|have to|eligible|entitled)\b|\b(?:is|are|was|be)\s"
    r"(?:allowed|permitted|required|available|mandatory|compulsory|possible|deductible|taxable)\b)"
)
_DENIED_BEFORE = re.compile(
    r"(?i)(?:\b(?:not|cannot|never|nor|neither|rather than|instead of|as opposed to|other than)"
    r"|n't)\s+(?:(?:an?|the|be|is|it|to|by|on|under|in|for|at|use|using|used|file|filing|filed"
    r"|choose|pay|claim|form|sections?|rs\.?|inr|exactly|about|any|even)\s+){0,4}[\"'(]?\Z"
)
_DENIED_AFTER = re.compile(
    r"(?i)[\"')]?\s{0,3}(?:\([^)]{0,30}\)\s)?(?:(?:is|was|are)(?:\s(?:not|never)|n't)\s(?:the\s)?"
    r"(?:right|correct|answer|form|section|limit|date|rate|amount|applicable|valid)\b"
    r"|(?:is|was) (?:wrong|incorrect|no longer)\b|(?:cannot|can't) be (?:used|filed)\b)"
)
# One character for one character, so that offsets in the cleaned text hold in the given one.
_CLEAN = str.maketrans("‐‑‒–—−\u00a0\u2009\u202f\u2007*_`’‘", "------       ''")


def _number(text: str) -> Decimal:
    total = current = Decimal(0)
    for token in re.findall(r"\d[\d,]*(?:\.\d+)?|[a-z]+", text.lower()):
        scale = _SCALES.get(token) or _SCALES.get(token.removesuffix("s"))
        if token[0].isdigit():
            current += Decimal(token.replace(",", ""))
        elif token == "hundred":
            current *= scale
        elif scale:  # after another scale, as in "2 lakh crore", it multiplies that
            total, current = (total + current * scale if current else total * scale), Decimal(0)
        else:
            current += _WORDS.get(token, 0)
    return total + current


def _rate_key(m: re.Match[str], number: str, unit: str) -> str:
    per = re.findall(rf"\b({_UNIT}|ton)\b", (m["per"] or "").lower())
    periods = "".join(f" per {name}" for name in per).replace("annum", "year")
    return f"{_number(number).normalize():f} {unit}{periods}"


def _amount_key(m: re.Match[str], marked_only: bool = False) -> str | None:
    number = m["money"] or m["qty"]
    told = m["money"] or m["after"] or _SCALED.search(number)
    told = told or not marked_only and ("," in number or _THOUSANDS.match(m.string, m.start()))
    return _rate_key(m, number, "INR") if told else None


def _duration_key(m: re.Match[str]) -> str:
    unit = (m["unit"] or "year").lower()  # "aged 60"
    size, base = (_IN_MONTHS | _IN_MINUTES)[unit], "months" if unit in _IN_MONTHS else "minutes"
    sizes = (_number(number) * size for number in (m["low"], m["qty"]) if number)
    return " to ".join(f"{(n + _number(m['more'] or '')).normalize():f} {base}" for n in sizes)


def _date_key(m: re.Match[str]) -> str | None:
    numbers = re.findall(r"\d+", m[0])
    if name := re.search(_MONTH, m[0], re.IGNORECASE):
        numbers.insert(1, str(_MONTHS.index(name[0][:3].lower()) + 1))
    day, month, *year = map(int, numbers if len(numbers[0]) < 3 else reversed(numbers))
    try:  # a leap year stands in for a year that is not said
        date = datetime.date(*year or (2000,), month, day)
    except ValueError:
        return None
    return date.isoformat() if year else date.strftime("--%m-%d")


def _code(m: re.Match[str]) -> str:
    return re.sub(r"[\s-]", "", m[m.lastgroup]).upper()


def _count_key(m: re.Match[str]) -> str | None:
    if m["layout"] or re.fullmatch(r"(?:19|20)\d\d", m["qty"]) or _number(m["qty"]) % 1:
        return None  # a year is no count, and half of something is none either
    return f"{_number(m['qty']).normalize():f}"


_RULES: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]]] = {
    "amount": (_AMOUNT, _amount_key),
    "marked amount": (_AMOUNT, lambda m: _amount_key(m, True)),
    "date": (_DATE, _date_key),
    "duration": (_DURATION, _duration_key),
    "percent": (_PERCENT, lambda m: _rate_key(m, m["qty"], "%")),
    "count": (_COUNT, _count_key),
    "form": (_FORM, lambda m: ("ITR-" if m["itr"] else "Form ") + _code(m)),
    "section": (_SECTION, _code),
}
# What would be misread as a value of the type is blanked out before the search for it.
_BLANKED = {"section": ("form",), "amount": ("date", "percent", "form", "section", "duration")}
_BLANKED["count"] = (*_BLANKED["amount"], "marked amount")
# A text that is nothing but one number is a value of the asked type: the cue is understood.
_CUES = {"amount": "Rs ", "form": "Form ", "section": "section "}


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], " " * (end - start)]
        at = end
    return "".join(pieces) + text[at:]


def _spans(text: str, value_type: str) -> list[_Span]:
    for other in _BLANKED.get(value_type, ()):
        text = _blanked(text, (span[:2] for span in _spans(text, other)))
    pattern, key_of = _RULES[value_type]
    return [(*m.span(), key) for m in pattern.finditer(text) if (key := key_of(m))]


def _mentions(text: str, spans: Iterable[_Span], value_type: str) -> list[Mention]:
    mentions: list[Mention] = []
    for start, end, key in spans:
        negated = _DENIED_BEFORE.search(text, max(0, start - 60), start)
        if mentions and text[mentions[-1].end : start].strip() == "or":  # "not X or Y"
            negated = negated or mentions[-1].negated
        negated = bool(negated or _DENIED_AFTER.match(text, end))
        mentions.append(Mention(Value(value_type, key), start, end, negated))
    return mentions


def _yesno_mentions(text: str) -> list[Mention]:
    leading = _LEADING.match(text) or _OUTRIGHT.search(text)
    later = _OUTRIGHT.finditer(text, leading.end()) if leading else _POLARITY.finditer(text)
    found = filter(None, (leading, *later))
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
    dated = _blanked(clean, (m.span() for m in _YEAR_SPAN.finditer(clean)))
    spans = _spans(dated, value_type)
    core = dated.strip(" .\n")
    if not spans and value_type in _CUES and re.fullmatch(r"[\w(),.-]{1,20}", core):
        at, understood = dated.index(core), _spans(_CUES[value_type] + core, value_type)
        spans = [(at, at + len(core), key) for _, _, key in understood[:1]]
    return _mentions(clean, spans, value_type)


def _entity_key(text: str) -> str:
    return " ".join(re.findall(r"\d+|[^\W\d_]+", text)).casefold()


def find_entity(text: str, surface_forms: Sequence[str]) -> list[Mention]:
    """Find names in text as whole words, whatever their case, punctuation and spacing.

    surface_forms are the spellings to look for: "e-Pay Tax" also finds "ePay tax". The result
    is in text order without overlap, and empty if no form occurs or holds a letter or digit.
    """
    keys = sorted({_entity_key(form) for form in surface_forms} - {""}, key=len, reverse=True)
    clean = text.translate(_CLEAN)
    forms = "|".join(keys).replace(" ", r"(?:[\W_]{0,3}|\sto\s)") or r"(?!)"  # which never matches
    found = re.finditer(rf"(?i)(?<![^\W_])(?<!\d[.,])(?:{forms})(?![^\W_])(?![.,]\d)", clean)
    return _mentions(clean, ((*m.span(), _entity_key(m[0])) for m in found), "entity")


def parse_value(text: str, value_type: str) -> Value:
    """Read a text that is one value and nothing else.

    The text may have any form that find_values knows. Several rates keep their order, as in
    "5 % / 20 %". A quantity that only text can tell ("no limit", "8-14 characters") comes back
    as an entity. ValueError if the type is unknown or the text, say "", is not one value of it.
    """
    key = _entity_key(text)
    if value_type == "entity" and key:
        return Value("entity", key)
    if value_type == "percent" and " / " in text:
        rates = (parse_value(part, "percent").key for part in text.split(" / "))
        return Value("percent", " / ".join(rates))
    found = find_values(text, value_type)
    rest = _blanked(text, ((m.start, m.end) for m in found)).strip(" .,;()\n")
    if not rest and len({m.value for m in found}) == 1:
        return found[0].value
    textual = {"amount": r"no .*limit|unlimited", "count": r"\d.* [a-z]+"}.get(value_type)
    if textual and re.fullmatch(textual, key):
        return Value("entity", key)
    raise ValueError(f"cannot read {text!r} as {value_type}: use {ACCEPTED_FORMS[value_type]}")
