"""Which passage an answer came from, found by its value: a model this small cites nothing itself."""

from collections.abc import Sequence

from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

from lib.corpus.matching import agrees
from lib.corpus.records import Passage
from lib.corpus.values import find_values


def aligned_passage(answer: str, *, question: str, value_type: str, passages: Sequence[Passage]) -> str | None:
    """The id of the passage shown that states the answer's value, right or wrong: the source to look it up in.

    The value is the first of the type asked for that the answer asserts and the question does not already name. Of several
    passages that state it, the one that shares most words with the answer (rapidfuzz's token_set_ratio), then the best found.
    None when the answer asserts no value, or no passage shown states it. Names and yes or no have no form that could be found
    in any answer, wrong ones too, and are never aligned.
    """
    if value_type in ("entity", "yesno"):
        return None
    asked = {mention.value for mention in find_values(question, value_type)}
    said = [m.value for m in find_values(answer, value_type) if not m.negated and m.value not in asked]
    stating = (
        [
            passage
            for passage in passages
            if any(agrees(said[0], found.value, relaxed=False) for found in find_values(passage.titled, value_type))
        ]
        if said
        else []
    )
    shared = [fuzz.token_set_ratio(answer, passage.titled, processor=default_process) for passage in stating]
    return stating[shared.index(max(shared))].id if stating else None
