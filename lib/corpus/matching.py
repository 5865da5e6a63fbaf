"""When a value found in text is the value of a fact: the one rule that data checks and the judge share."""

from functools import lru_cache

from lib.corpus.records import Fact
from lib.corpus.values import Value, find_entity, find_values, parse_value


def agrees(wanted: Value, found: Value, *, relaxed: bool) -> bool:
    """Whether `found` is the value `wanted`.

    A date of a fact that names no year agrees with any year; relaxed, a found date may lack the year, and a found
    section may be a sub-section. A rate may leave its period unsaid, but not say another one.
    """
    if wanted.value_type == "date" and "--" in (wanted.key[:2], found.key[:2] if relaxed else ""):
        return wanted.key[-5:] == found.key[-5:]
    if wanted.value_type == "section" and relaxed and found.key.startswith(f"{wanted.key}("):
        return True
    number, *periods = wanted.key.split(" per ")
    found_number, *found_periods = found.key.split(" per ")
    compatible = set(periods) <= set(found_periods) or set(found_periods) <= set(periods)
    return wanted.value_type == found.value_type and number == found_number and compatible


def locate(text: str, fact: Fact) -> tuple[int, int] | None:
    """Where the text first states the fact's value or an accepted form of it, text[start:end]; None where it does not.

    A typed value is found as it is written, unit and currency included; a yes or no by its polarity.
    """
    found = []
    if fact.value_type != "entity":
        wanted = parse_value(fact.value, fact.value_type)
        found = [m for m in find_values(text, fact.value_type) if agrees(wanted, m.value, relaxed=False)]
    found = found or find_entity(text, [fact.value, *fact.accept])
    return (found[0].start, found[0].end) if found else None


@lru_cache(maxsize=100_000)  # a process that loads a corpus again, as the tests do, asks the same again
def states(text: str, fact: Fact) -> bool:
    """Whether the text states the fact's value, or an accepted form of it (see `locate`)."""
    return locate(text, fact) is not None


def same_value(a: Fact, b: Fact) -> bool:
    """Whether one fact's value is the other's, or a form of it."""
    return states(a.value, b) or states(b.value, a)
