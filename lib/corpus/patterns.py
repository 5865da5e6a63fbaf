"""Where the values of each type stand in a text, and the normal key of each: the patterns behind lib.corpus.values."""

import datetime
import re
from collections.abc import Callable, Iterable
from decimal import Decimal

Span = tuple[int, int, str]  # start, end, normal key

_SCALES = {"hundred": 100, "thousand": 10**3, "k": 10**3, "lakh": 10**5, "lac": 10**5, "l": 10**5}
_SCALES |= {"million": 10**6, "crore": 10**7, "cr": 10**7, "billion": 10**9, "dozen": 12}
# fmt: off
_NAMES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
]
# fmt: on
_WORDS = dict(zip(_NAMES, map(Decimal, (*range(20), *range(20, 100, 10))), strict=True))
_WORDS |= {"nil": Decimal(0), "twice": Decimal(2), "half": Decimal("0.5")}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_IN_MONTHS = {"month": 1, "year": 12, "yr": 12, "annum": 12}
_IN_MINUTES = {"minute": 1, "min": 1, "hour": 60, "hr": 60, "day": 1440, "week": 10080}

# Every repetition is bounded, so that no text, however long, makes a search quadratic.
_DIGITS = r"(?<!\d)(?<!\d[.,])\d{1,15}(?:,\d{2,3}){0,6}(?:\.\d{1,6})?(?!\d)"
_WORD = rf"\b(?:(?:{'|'.join(_NAMES[20:])})[\s-](?:{'|'.join(_NAMES[1:10])})|{'|'.join(_WORDS)})\b"
_SCALE = r"[\s-]{0,4}(?:(?:hundred|thousand|lakh|lac|crore|million|billion|dozen)s?|k|cr|l)\b"
# What goes on a number has a smaller scale than what stands before it: "1 crore 50 lakh", not "50 lakh and 1 crore".
_SMALLER = (
    rf"(?:{_DIGITS}(?=[\s-]{{0,4}}(?:hundred|thousand)s?\b)"
    rf"|(?:(?<=crore\s)|(?<=crores\s)|(?<=cr\s)|(?<=crore\sand\s)){_DIGITS}(?=[\s-]{{0,4}}(?:lakh|lac)s?\b))"
)
_NUMBER = (
    rf"(?:{_DIGITS}|{_WORD})(?:\sand\sa\shalf)?"
    rf"(?:{_SCALE}(?:(?:\sand)?\s(?:{_WORD}|{_SMALLER}))?){{0,5}}"
)
_QTY = rf"(?<![a-z])(?P<qty>{_NUMBER})"
_UNIT = "|".join((*_IN_MONTHS, *_IN_MINUTES))
_EVERY = {"annually": "year", "yearly": "year", "monthly": "month", "weekly": "week", "daily": "day"}
# A word or two may stand before the period, as in "1% simple interest per annum", but not "Rs 500 within a month".
_BETWEEN = r"(?:\s(?!(?:and|or|but|to|from|not|than|is|are|within|in|after|before|once|if|when)\b)[a-z]{1,12}){0,2}?"
_PER = (
    rf"(?P<per>(?:{_BETWEEN}\s?(?:(?:/|(?:for )?(?:per|an?|each|every)\s)(?:{_UNIT}|ton)\b|(?:{'|'.join(_EVERY)})\b"
    r"|p\.?\s?[am]\b\.?)){0,2})"
)
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
_FOREIGN_BEFORE = re.compile(r"(?i)(?:[$€£¥]|\b(?:usd|eur|gbp))\s?\Z")
_FOREIGN_AFTER = re.compile(r"(?i)\s?(?:us\s|u\.s\.\s)?(?:[$€£¥]|(?:dollar|euro|pound|usd|eur|gbp)s?\b)")
# A range names its scale once: "between 2 and 5 lakh", "2-5 lakh".
_SHARED_SCALE = re.compile(
    rf"(?i)\s?(?:-|to|or|(?P<and>and))\s?{_DIGITS}\s?(?P<scale>lakh|lac|crore|million|billion)s?\b"
)
_SCALED = re.compile(r"(?i)\d\s{0,4}(?:k|cr|l)\b|thousand|lakh|lac|crore|[mb]illion")
_THOUSANDS = re.compile(r"(?<!\d[ -])(?!(?:19|20)\d\d\b)0{0,9}[1-9]\d{3,14}(?!\w|[ -]\d)")
_PERCENT = re.compile(
    rf"(?i)(?P<between>between\s)?{_QTY}(?:{_PERCENT_SIGN}{_PER}|(?=\s?(?:-|to|or|/)\s?{_DIGITS}{_PERCENT_SIGN})"
    rf"|(?(between)(?=\sand\s{_DIGITS}{_PERCENT_SIGN})|(?!)))"
)
# The smaller unit that goes on a duration, by the words that it goes on: "1 year 6 months", "2 hours and 30 minutes".
_SMALLER_UNITS = {"month": ("month", "year yr"), "hour": ("hour|hr", "day"), "minute": ("minute|min", "hour hr")}
_AND_MORE = "|".join(
    rf"(?:{'|'.join(f'(?<={unit})|(?<={unit}s)' for unit in larger.split())})\.?,?\s(?:and\s)?"
    rf"(?P<{unit}>{_NUMBER})[\s-](?:{words})s?\b"
    for unit, (words, larger) in _SMALLER_UNITS.items()
)
_DURATION = re.compile(
    rf"(?i)(?:(?P<between>between\s)?(?<![a-z])(?P<low>{_NUMBER})"
    rf"(?:(?<=\d)-(?=\d)|\s(?:-|to)\s|(?(between)\sand\s|(?!))))?{_QTY}(?:(?:\s?\(\w{{1,20}}\))?"
    rf"[\s-]{{0,4}}(?:(?:financial|assessment|previous|calendar|tax|full)\s)?(?P<unit>{_UNIT})s?\b"
    rf"|(?=\sor\s{_DIGITS}[\s-]{{0,4}}(?P<shared>{_UNIT})s?\b)|(?<=aged\s\d\d)|(?<=age\sof\s\d\d))"
    rf"(?:(?P<half>\sand\sa\shalf\b)|{_AND_MORE})?"
)
_DATE = re.compile(
    r"(?i)(?<![\d.-])(?:\d{4}([./-])\d\d?\1\d\d?|\d\d?([./-])\d\d?\2(?:\d{4}|\d\d))(?!\d)"
    rf"|(?<![\d.])\d\d?\s?(?:st|nd|rd|th)?(?:\s(?:day\s)?of)?[\s,-]{{0,3}}{_MONTH}{_YEAR}"
    rf"|\b{_MONTH}\.?\s{{1,3}}\d\d?(?:st|nd|rd|th)?\b{_YEAR}"
)
_FORM = re.compile(
    r"(?i)(?:\b(?:form\s)?ITR[\s-]{0,3}|(?<=itr.\d or )|(?<=itr.\d/))(?P<itr>[1-7]|(?<![\s/])[UV])\b"
    r"|\bforms?\s{0,2}(?:no\.?|number)?\s{0,3}(?P<code>\d{1,3}(?:-?[a-z]{1,3}"
    r"|\s(?-i:(?!(?:AND|OR|IS|TO|FOR|OF|IN|ON|BY)\b)[A-Z]{1,3}))?)\b"
    r"|(?<!section\s)(?<!sec\s)(?<!sec\.\s)(?<!u/s\s)\b(?P<bare>26\s?AS|2[467]Q|26\s?Q[BCD]|10-?IEA?|10BA|10E|16[ABC]|15[GHC]|3C[ABD]|12BB|49AA?)\b"
)
_CAPITALS = r"(?-i:(?!(?:AND|OR|IS|TO|OF|FOR|IN|ON|BY|A|I)\b)[A-Z]{1,4}\b)"
_SECTION = re.compile(
    rf"(?i)(?:\bsub-?section\s(?P<sub>{_SUB})\sof\s)?(?:\bsections?|\bsec\.?|\bu/s\.?|§)\s{{0,2}}"
    rf"(?P<cued>\d{{1,3}}(?:[a-z]{{0,4}}(?!\w|[.,]\d|\s{_CAPITALS})(?:-(?-i:[A-Z]{{1,3}})\b)?|\s{_CAPITALS})"
    rf"(?:\s?{_SUB}){{0,5}})"
    rf"|(?<![\w.,-])(?<!rule\s)(?P<bare>\d{{1,3}}[a-z]{{0,4}}{_SUB}(?:\s?{_SUB}){{0,4}}"
    r"|\d{2,3}(?!(?:st|nd|rd|th|cr|l|k|[kmg]b|am|pm|lacs?|days?|hrs?|yrs?)\b)[a-z]{1,4}\b"
    r"(?:-(?-i:[A-Z]{1,3})\b)?)"
)
_LAYOUT = re.compile(  # list numbers, citations and passage numbers count nothing
    r"(?im)^\s{0,8}\d{1,3}[.)]\s+(?=\S)|\[\d{1,3}(?:,\s?\d{1,3}){0,9}\]"
    r"|\b(?:passage|source|document|rule|chapter|schedule|step)s?\s\d{1,4}\b"
)
_COUNT = re.compile(rf"(?i)(?<!\bno\s)(?<!\bany\s)(?<![a-z]-)(?!nil\b){_QTY}(?!\w|\.\d|\sof\b(?<=one\sof)|'s)")


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
    per = re.findall(rf"\b({_UNIT}|ton|{'|'.join(_EVERY)}|p\.?\s?[am])\b", (m["per"] or "").lower())
    named = _EVERY | {"annum": "year", "a": "year", "m": "month"}
    periods = "".join(f" per {named.get(name.lstrip('p. '), name)}" for name in per)
    return f"{_number(number).normalize():f} {unit}{periods}"


def _amount_key(m: re.Match[str], marked_only: bool = False) -> str | None:
    number = m["money"] or m["qty"]
    before = _FOREIGN_BEFORE.search(m.string, max(0, m.start() - 5), m.start())
    if before or _FOREIGN_AFTER.match(m.string, m.start("per")):
        return _rate_key(m, number, "of another currency")
    scaled = _SCALED.search(number)
    told = m["money"] or m["after"] or scaled
    shared = None if scaled or re.fullmatch(r"(?:19|20)\d\d", number) else _SHARED_SCALE.match(m.string, m.end())
    if shared and (not shared["and"] or m.string[max(0, m.start() - 8) : m.start()].lower() == "between "):
        return _rate_key(m, f"{number} {shared['scale']}", "INR")
    told = told or not marked_only and ("," in number or _THOUSANDS.match(m.string, m.start()))
    return _rate_key(m, number, "INR") if told else None


def _duration_key(m: re.Match[str]) -> str:
    unit = (m["unit"] or m["shared"] or "year").lower()  # "aged 60"
    size, base = (_IN_MONTHS | _IN_MINUTES)[unit], "months" if unit in _IN_MONTHS else "minutes"
    half = Decimal("0.5") if m["half"] else 0
    more = sum(_number(m[unit] or "") * (_IN_MONTHS | _IN_MINUTES)[unit] for unit in _SMALLER_UNITS)
    sizes = ((_number(number) + half) * size for number in (m["low"], m["qty"]) if number)
    return " to ".join(f"{(n + more).normalize():f} {base}" for n in sizes)


def _date_key(m: re.Match[str]) -> str | None:
    numbers = re.findall(r"\d+", m[0])
    if len(numbers) == 3 and len(numbers[0]) < 3 and len(numbers[2]) == 2:  # 31-07-25
        numbers[2] = f"20{numbers[2]}"
    if name := re.search(_MONTH, m[0], re.IGNORECASE):
        numbers.insert(1, str(_MONTHS.index(name[0][:3].lower()) + 1))
    day, month, *year = map(int, numbers if len(numbers[0]) < 3 else reversed(numbers))
    if month > 12 >= day:  # 07/31/2025
        day, month = month, day
    try:  # a leap year stands in for a year that is not said
        date = datetime.date(*year or (2000,), month, day)
    except ValueError:
        return None
    return date.isoformat() if year else date.strftime("--%m-%d")


def _code(m: re.Match[str]) -> str:
    return re.sub(r"[\s-]", "", m[m.lastgroup]).upper()


def _section_key(m: re.Match[str]) -> str:
    return _code(m) + re.sub(r"\s", "", m["sub"] or "").upper()


def _count_key(m: re.Match[str]) -> str | None:
    if re.fullmatch(r"(?:19|20)\d\d", m["qty"]) or _number(m["qty"]) % 1:
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
    "section": (_SECTION, _section_key),
    "layout": (_LAYOUT, lambda m: "layout"),
}
# What would be misread as a value of the type is blanked out before the search for it.
_BLANKED = {"section": ("form",), "amount": ("date", "percent", "form", "section", "duration")}
_BLANKED["count"] = ("layout", *_BLANKED["amount"], "marked amount")


def blanked(text: str, stretches: Iterable[tuple[int, int]]) -> str:
    """The text with spaces in place of each stretch (start, end), all in order and apart, so that offsets hold."""
    pieces, at = [], 0
    for start, end in stretches:
        pieces += [text[at:start], " " * (end - start)]
        at = end
    return "".join(pieces) + text[at:]


def without_years(text: str) -> str:
    """The text with assessment and financial years blanked, which are never values."""
    return blanked(text, (m.span() for m in _YEAR_SPAN.finditer(text)))


def spans(text: str, value_type: str) -> list[Span]:
    """Start, end and normal key of every value of a type, in order; the type is a key of the table above."""
    for other in _BLANKED.get(value_type, ()):
        text = blanked(text, (span[:2] for span in spans(text, other)))
    pattern, key_of = _RULES[value_type]
    return [(*m.span(), key) for m in pattern.finditer(text) if (key := key_of(m))]
