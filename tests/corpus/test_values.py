"""Parsing and finding values: the fact sheet's own spellings, and those of free text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.corpus.values import ACCEPTED_FORMS, Value, find_entity, find_values, parse_value

FACT_VALUES = """
amount|0 INR
amount|100 INR per month
amount|1000 INR per ton per month
amount|240000 INR per year
amount|2000 INR
amount|5000000 INR
amount|1275000 INR
amount|100000000 INR
amount|no limit
count|1
count|23
count|536
count|5 MB
count|8-14 characters
date|1 April
date|15 June
date|31 March
date|2001-04-01
date|2025-07-31
date|2031-03-31
duration|1 month
duration|1 year
duration|12 months
duration|120 days
duration|15 minutes
duration|3 years 3 months
duration|4-5 weeks
duration|5 years 3 months
duration|60 years
duration|72 hours
duration|729 days
entity|100
entity|1800 103 4215
entity|2026-27
entity|Assam, Meghalaya, Jammu and Kashmir
entity|PAN in lower case + DDMMYYYY
entity|Sahaj
entity|Services > Refund Reissue
entity|Taxpayer Information Summary
entity|e-Pay Tax
entity|section 139(1) due date
form|ITR-2
form|ITR-7
form|Form 10-IE
form|Form 10-IEA
form|Form 10BA
form|Form 121
form|Form 26QB
form|Form 67
percent|0 %
percent|0.02 %
percent|0.5 % per month
percent|12.5 %
percent|5 % / 20 %
percent|100 %
section|10(13A)
section|115BAC
section|119(2)(b)
section|123
section|139(8A)
section|139AA
section|44AB
section|58
section|section 87A
section|80CCD(1B)
yesno|no
yesno|yes
"""
PAIRS = [tuple(line.split("|")) for line in FACT_VALUES.split("\n") if line]

SAME = [
    (
        "amount",
        "150000 INR",
        [
            "1,50,000",
            "150,000",
            "150000",
            "Rs. 1,50,000/-",
            "Rs 1.5 lakh",
            "₹1.5 lakh",
            "1.5 lakhs",
            "INR 1,50,000",
            "one lakh fifty thousand",
            "₹ **1.5** lakh",
            "150k",
            "Rs.150000",
            "1 lakh 50 thousand",
            "1.5 L",
            "one and a half lakh",
        ],
    ),
    ("amount", "50000 INR", ["fifty thousand rupees", "INR 50,000", "50,000 rupees", "0.5 lakh"]),
    ("amount", "20000000 INR", ["2 crore", "Rs. 2 crores", "two crore", "2 Cr"]),
    ("amount", "100 INR per month", ["Rs 100 per month", "100 rupees a month", "Rs. 100/- for every month"]),
    ("percent", "12.5 %", ["12.5%", "12.5 per cent", "12.5 percent", "twelve and a half per cent"]),
    (
        "date",
        "2025-07-31",
        [
            "31.07.2025",
            "31/07/2025",
            "31-07-2025",
            "31st July, 2025",
            "July 31, 2025",
            "31 July 2025",
            "31st day of July 2025",
            "31-Jul-2025",
            "31\u00a0July\u202f2025",
        ],
    ),
    ("date", "15 March", ["15th of March", "March 15", "15 Mar", "15th March"]),
    ("duration", "2 years", ["24 months", "two years", "2-year", "twenty-four months", "2 yrs"]),
    ("duration", "12 months", ["1 year", "one year", "one financial year", "1 (one) year"]),
    ("duration", "5 years 3 months", ["63 months", "5 years and 3 months", "five years and three months"]),
    ("duration", "1 year 6 months", ["18 months", "1 year and 6 months", "one yr, six months"]),
    ("duration", "2 hours 30 minutes", ["150 minutes", "2 hrs 30 mins", "2.5 hours"]),
    ("duration", "36 hours", ["1 day 12 hours", "one day and 12 hrs"]),
    ("duration", "7 days", ["1 week", "one week", "seven days", "168 hours"]),
    ("duration", "72 hours", ["3 days", "three days"]),
    ("duration", "30 days", ["30-day", "thirty days", "thirty (30) days"]),
    ("duration", "4-5 weeks", ["4 to 5 weeks", "four to five weeks", "4–5 weeks"]),
    ("form", "ITR-1", ["ITR 1", "ITR1", "itr-1", "form ITR 1", "ITR‑1"]),
    ("form", "Form 26AS", ["form no. 26 AS", "26AS", "Form 26 AS", "FORM 26AS"]),
    ("form", "Form 10-IEA", ["form 10IEA", "10-IEA", "Form No. 10-IEA"]),
    ("section", "139(5)", ["section 139(5)", "u/s 139(5)", "sec. 139 (5)", "Sections 139(5)"]),
    ("section", "80C", ["section 80C", "u/s 80C", "Sec 80c"]),
    ("section", "119(2)(b)", ["section 119 (2) (b)", "119(2)(B)"]),
    ("count", "7", ["seven", "7.", "Seven"]),
    ("count", "25", ["twenty-five", "twenty five"]),
]
SPELLINGS = [(kind, value, text) for kind, value, texts in SAME for text in texts]

# type, text, the keys of its mentions in order ("!" before a denied one)
FOUND = [
    ("amount", "For AY 2025-26 (FY 2024-25) it is 50,000", "50000 INR"),
    ("amount", "in 2025 the fee is 1000, not 2,000", "1000 INR, !2000 INR"),
    ("amount", "section 80C, Form 26QB, 12.5 %, 1000 days, 31.07.2025", ""),
    ("amount", "call 1800 103 4215 or PAN ABCDE1234F", ""),
    ("amount", "under the 1961 Act", ""),
    ("amount", "500 people", ""),
    ("amount", "from 5,000 to Rs 500", "5000 INR, 500 INR"),
    ("date", "AY 2025-26, FY 2024-25, 2025-26", ""),
    ("date", "you may 15 times; 31 June", ""),
    ("date", "31 July of AY 2025-26", "--07-31"),
    ("date", "not 31 July 2025 but 15 September 2025", "!2025-07-31, 2025-09-15"),
    ("duration", "AY 2025-26 years", ""),
    ("duration", "in 2 years or 6 months", "24 months, 6 months"),
    ("duration", "aged 60 or more, not age of 80", "720 months, 960 months"),
    ("duration", "30 days, 2 months", "43200 minutes, 2 months"),
    ("percent", "1% annually or 2% interest a month", "1 % per year, 2 % per month"),
    ("amount", "Rs 200 late fee per day within a month", "200 INR per day"),
    ("amount", "1 lakh US dollars a year", "100000 of another currency per year"),
    ("percent", "10-15% for AY 2025-26", "10 %, 15 %"),
    ("form", "ITR-2 (not ITR-1)", "ITR-2, !ITR-1"),
    ("form", "It isn't ITR-1", "!ITR-1"),
    ("form", "ITR-3 rather than ITR-4", "ITR-3, !ITR-4"),
    ("form", "Instead of Form 16, use Form 130", "!Form 16, Form 130"),
    ("form", "ITR-1 cannot be used; never ITR-4", "!ITR-1, !ITR-4"),
    ("form", "not ITR-1 or ITR-4", "!ITR-1, !ITR-4"),
    ("form", "ITR-2 or 3", "ITR-2, ITR-3"),
    ("section", "Form 10BA, 26AS, the 15th, 10am, Rule 37BA", ""),
    ("section", "sections 139(1), 139(4) and 80C", "139(1), 139(4), 80C"),
    ("section", "not under section 139(1)", "!139(1)"),
    ("count", "AY 2025-26: 4 at 10% by 5 May for Rs 50 u/s 139(5), Form 16", "4"),
    ("count", "1. The Act has 536 sections [1]\n2. and 23 chapters", "536, 23"),
    ("count", "one of the seven forms; no one knows", "7"),
    ("amount", "It is not more than 50,000", "50000 INR"),
    ("yesno", "Yes, but you cannot", "yes"),
    ("yesno", "Yes. No, actually", "yes, no"),
    ("yesno", "It is not available", "no"),
    ("yesno", "You may revise it", "yes"),
    ("yesno", "Answer: **No**", "no"),
    ("entity", "anything 5", ""),
]


@pytest.mark.parametrize(("value_type", "text"), PAIRS)
def test_fact_values_parse_and_are_found_in_themselves(value_type, text):
    value = parse_value(text, value_type)
    said = f"{text}, in short."
    if value.value_type == "entity":
        found = find_entity(said, [text])
    elif value_type == "section":
        found = find_values(f"Section {said}".replace("Section section", "Section"), value_type)
    else:
        found = find_values(said, value_type)
    assert " / ".join(m.value.key for m in found) == value.key


@pytest.mark.parametrize(("value_type", "value", "text"), SPELLINGS)
def test_spellings_of_one_value_are_equal(value_type, value, text):
    assert parse_value(text, value_type) == parse_value(value, value_type)


@pytest.mark.parametrize(("value_type", "text", "keys"), FOUND)
def test_mentions_in_free_text(value_type, text, keys):
    found = find_values(text, value_type)
    assert ", ".join("!" * m.negated + m.value.key for m in found) == keys


@pytest.mark.parametrize(
    ("text", "value_type"),
    [
        ("", "amount"),
        ("soon", "date"),
        ("31 June 2025", "date"),
        ("AY 2025-26", "duration"),
        ("", "entity"),
        ("5,000 or 6,000", "amount"),
        ("maybe", "yesno"),
        ("ITR-9", "form"),
        ("x", "colour"),
    ],
)
def test_what_is_not_one_value_is_refused(text, value_type):
    with pytest.raises(ValueError, match="value type 'colour'" if value_type == "colour" else value_type):
        parse_value(text, value_type)


def test_the_error_names_text_type_and_accepted_forms():
    with pytest.raises(ValueError, match="'soon' as date: use 2025-07-31"):
        parse_value("soon", "date")


def test_entities_are_found_as_whole_words_only():
    text = "Use the e‑Pay tax or ePay Tax; Rs 100,000; call 1800-103-4215; Sahajs."
    found = find_entity(text, ["e-Pay Tax", "100", "1800 103 4215", "Sahaj", "--"])
    assert [text[m.start : m.end] for m in found] == ["e‑Pay tax", "ePay Tax", "1800-103-4215"]
    assert find_entity(text, []) == []


@pytest.mark.parametrize("text", ["das Café ist zu", "das Cafe\u0301 ist zu"])
@pytest.mark.parametrize("name", ["Café", "Cafe\u0301", "CAFÉ"])
def test_a_letter_may_be_one_sign_or_two_and_offsets_stay_those_of_the_given_text(name, text):
    assert [text[m.start : m.end] for m in find_entity(text, [name])] == [text.split()[1]]


def test_a_name_ends_with_its_last_sign():
    assert not [m for name in ("Cafe", "C", "A", "न", "दि") for m in find_entity("Cafe\u0301, C#, A+; दिन", [name])]
    assert [m.value.key for m in find_entity("C++, C# or Straße", ["C#", "Straße"])] == ["c#", "straße"]


def test_a_denied_entity_is_negated():
    assert [m.negated for m in find_entity("It is Sugam, not Sahaj", ["Sahaj", "Sugam"])] == [False, True]


@given(st.integers(1000, 10**9).filter(lambda n: not 1900 <= n <= 2099))
@settings(max_examples=60, deadline=None)
def test_amounts_round_trip_through_their_spellings(rupees):
    lakh = f"{rupees // 10**5}.{rupees % 10**5:05d}"
    for text in (f"{rupees} INR", f"{rupees}", f"{rupees:,}", f"Rs. {rupees:,}/-", f"₹{rupees}", f"Rs {lakh} lakh"):
        assert parse_value(text, "amount") == Value("amount", f"{rupees} INR")
        assert [m.value.key for m in find_values(f"It is {text} here.", "amount")] == [f"{rupees} INR"]


@given(st.dates())
@settings(max_examples=60, deadline=None)
def test_dates_round_trip(day):
    for text in (day.isoformat(), day.strftime("%d.%m.") + f"{day.year:04d}"):
        assert parse_value(text, "date").key == day.isoformat()


@given(st.text(max_size=300), st.sampled_from(sorted(ACCEPTED_FORMS)))
@settings(max_examples=150, deadline=None)
def test_mentions_lie_in_the_text_in_order(text, value_type):
    at = 0
    for mention in find_values(text, value_type):
        assert at <= mention.start < mention.end <= len(text)
        at = mention.end


@pytest.mark.parametrize("text", ["$29", "€ 29.50", "< 29"])
def test_a_number_with_a_sign_is_no_name_since_any_such_number_would_be_it(text):
    with pytest.raises(ValueError, match="write its sign in words, as in 29 USD"):
        parse_value(text, "entity")
    assert parse_value("29 USD", "entity") != parse_value("29", "entity")
