"""What must hold of a grade for any value: every spelling counts, another value does not, a denial flips it."""

import datetime
import unicodedata

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lib.corpus.records import Verdict
from lib.corpus.values import parse_value
from lib.judging.keyfacts import grade
from lib.judging.reading import plain

KINDS = st.sampled_from(["amount", "percent", "date", "duration", "section", "form", "count"])
QUICK = settings(max_examples=120, deadline=None)


def indian(number: int) -> str:
    """1,23,45,678: three digits, then groups of two."""
    head, tail = divmod(number, 1000)
    groups = [f"{tail:03d}" if head else str(tail)]
    while head:
        head, group = divmod(head, 100)
        groups.insert(0, f"{group:02d}" if head else str(group))
    return ",".join(groups)


def amount_forms(rupees: int) -> list[str]:
    lakh, crore = f"{rupees / 10**5:.5f}".rstrip("0"), f"{rupees / 10**7:.7f}"
    forms = [f"Rs {rupees}", f"Rs. {indian(rupees)}/-", f"₹{rupees:,}", f"INR {rupees}", f"{indian(rupees)} rupees"]
    return [*forms, f"{lakh}0 lakh", f"Rs {lakh}0 lakhs", *([f"{crore[:-3]} crore"] if crore.endswith("000") else [])]


def date_forms(day: datetime.date) -> list[str]:
    name, ordinal = day.strftime("%B"), {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
    forms = [day.isoformat(), f"{day.day} {name} {day.year}", f"{name} {day.day}, {day.year}", day.strftime("%d/%m/%Y")]
    forms += [day.strftime("%d.%m.%Y"), day.strftime("%d-%m-%y"), day.strftime("%d-%b-%Y")]
    return [*forms, f"the {day.day}{ordinal.get(day.day, 'th')} of {name}, {day.year}"]


@st.composite
def spelled(draw, kinds=KINDS):
    """A value type, a value as the fact sheet writes it, and one of its surface forms."""
    kind = draw(kinds)
    number = draw(st.integers(1, 99))
    if kind == "amount":
        rupees = draw(st.integers(1000, 10**9))
        return kind, f"{rupees} INR", draw(st.sampled_from(amount_forms(rupees)))
    if kind == "date":
        day = draw(st.dates(datetime.date(2001, 1, 1), datetime.date(2098, 12, 31)))
        return kind, day.isoformat(), draw(st.sampled_from(date_forms(day)))
    if kind == "percent":
        rate = f"{number}.{draw(st.integers(0, 99)):02d}"
        return kind, f"{rate} %", f"{rate}{draw(st.sampled_from(['%', ' %', ' per cent', ' percent']))}"
    if kind == "duration":
        unit = draw(st.sampled_from(["day", "week", "month", "year", "hour"]))
        value = f"{number} {unit}s"
        return kind, value, draw(st.sampled_from([value, f"{number}-{unit}", f"a {number} {unit} period"]))
    letter = draw(st.sampled_from("ABCD"))
    if kind == "section":
        forms = (
            f"section {number}{letter}",
            f"u/s {number}{letter}",
            f"Sec. {number}-{letter}",
            f"section {number} {letter}",
        )
        return kind, f"section {number}{letter}", draw(st.sampled_from(forms if letter != "A" else forms[:3]))
    if kind == "form":
        number = 1 + number % 7
        return kind, f"ITR-{number}", draw(st.sampled_from([f"ITR {number}", f"ITR{number}", f"Form ITR-{number}"]))
    return kind, str(number), draw(st.sampled_from([str(number), f"{number} forms", f"a total of {number}"]))


def two_of_a_kind():
    """Two such values of one type."""
    return spelled().flatmap(lambda one: st.tuples(st.just(one), spelled(st.just(one[0]))))


FRAMES = st.sampled_from(
    ["{}", "It is {}.", "In short: {}.", "**{}**", "<p>{}</p>", '{{"answer": "{}"}}', "The answer, I think, is {}.",
     "According to the guide, it is {} for most taxpayers.", "{} (subject to the usual conditions)", "> {}\n\nHope this helps!"]
)  # fmt: skip


def strict(answer: str, expected: str, value_type: str) -> Verdict:
    return grade(answer, expected=expected, value_type=value_type).strict


@given(spelled(), FRAMES)
@QUICK
def test_every_surface_form_is_the_value_whatever_harmless_words_stand_around_it(value, frame):
    value_type, expected, text = value
    assert strict(frame.format(text), expected, value_type) is Verdict.CORRECT, frame.format(text)


@given(two_of_a_kind(), FRAMES)
@QUICK
def test_another_value_of_the_type_is_incorrect(values, frame):
    value, other = values
    assume(parse_value(value[1], value[0]) != parse_value(other[1], other[0]))
    assert strict(frame.format(other[2]), value[1], value[0]) is Verdict.INCORRECT, frame.format(other[2])


@given(
    spelled(),
    st.sampled_from(["not {}", "It is not {}.", "It is no longer {}.", "I don't think it is {}.", "never {}"]),
)
@QUICK
def test_a_denial_flips_the_verdict(value, frame):
    value_type, expected, text = value
    assume(not text.startswith("a "))
    found = grade(frame.format(text), expected=expected, value_type=value_type)
    assert found.strict is found.relaxed is Verdict.INCORRECT, frame.format(text)


@given(two_of_a_kind())
@QUICK
def test_a_second_value_of_the_same_thing_makes_it_incorrect(values):
    value, other = values
    assume(parse_value(value[1], value[0]) != parse_value(other[1], other[0]))
    assume(not value[2].startswith("a ") and not other[2].startswith("a "))
    for frame in ("The value is {}. The value is {}.", "{}. Actually, it is {}.", "It is {} or {}."):
        assert strict(frame.format(value[2], other[2]), value[1], value[0]) is Verdict.INCORRECT, frame


@given(spelled(), st.data())
@QUICK
def test_the_grade_does_not_depend_on_invisible_signs_spaces_or_the_script_of_the_digits(value, data):
    value_type, expected, text = value
    at = data.draw(st.integers(0, len(text)))
    digits = data.draw(
        st.sampled_from(["0123456789", "०१२३४५६७८९", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "௦௧௨௩௪௫௬௭௮௯"])
    )
    invisible = data.draw(st.sampled_from(["", "\u200b", "\u2060", "\ufeff", "\u00ad", "\u202e"]))
    changed = (text[:at] + invisible + text[at:]).translate(str.maketrans("0123456789", digits)).replace(" ", "\u00a0")
    for wanted in (expected, "7 INR" if value_type == "amount" else expected):
        plainly = grade(text, expected=wanted, value_type=value_type)
        assert grade(changed, expected=wanted, value_type=value_type)[:2] == plainly[:2], changed


@given(st.text(max_size=200))
@QUICK
def test_nothing_invisible_and_no_foreign_digit_is_left(text):
    assert not any(unicodedata.category(sign) == "Cf" or sign.isdecimal() > sign.isascii() for sign in plain(text))
