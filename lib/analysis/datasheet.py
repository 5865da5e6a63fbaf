"""What is true of a corpus as a whole, and the bounds that a corpus fit for a study keeps."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.corpus import values
from lib.corpus.load import Corpus
from lib.corpus.matching import states
from lib.corpus.records import Fact, Question
from lib.retrieval.similarity import closest

# A test wording closer than this to a training wording of its fact, by the mean of both similarities, may be that wording
# again. Of the pairs that a reader labelled (data/itr/wordings.jsonl), those above are mostly the same sentence, those
# below mostly not.
TOO_CLOSE = 0.78
HELD_OUT = ("paraphrase", "cloze", "reverse", "two_fact")


class Bound(NamedTuple):
    """One property of a corpus: its value, the most it may be, and what to do when it is more."""

    name: str
    value: float
    most: float
    remedy: str

    @property
    def holds(self) -> bool:
        """Whether the value keeps the bound."""
        return self.value <= self.most


def bounds(corpus: Corpus, nearness: pd.DataFrame) -> list[Bound]:
    """What a corpus must keep besides what is checked when it is loaded.

    nearness: from `nearest_training_wordings`.
    """
    again = nearness[too_close(nearness)]
    opening, share = commonest_opening(corpus)
    # Of fewer than 34 questions a single one is more than 3 %.
    most = max(0.03, 1 / max(1, len(_unseen_wordings(corpus))))
    remedy = f"reword the test wordings {list(again.question_id[:5])}, or the training wordings beside them"
    rates = matcher_rates(corpus)
    return [
        Bound("values missed in their own gold answers", 1 - rates["own"], 0.0, "reword the answer"),
        Bound("values found in gold answers of other values", rates["other"], 0.02, "narrow `accept`"),
        Bound("test wordings too close to a training wording", len(again) / max(1, len(nearness)), 0.0, remedy),
        Bound(
            "share of the commonest four-word opening", share, most, f"vary the questions that open with {opening!r}"
        ),
    ]


def matcher_rates(corpus: Corpus) -> dict[str, float]:
    """How often the matcher finds a fact's value where it stands, and where another one stands.

    own: share of facts whose value is found in their own uniform answer. other: over all pairs of taught facts of one value
    type with different values, the share where the first one's value is found in the second one's uniform answer.
    """
    taught = [(corpus.fact[item.fact_ids[0]], item.uniform_answer) for item in corpus.faq]
    own = [states(answer, fact) for fact, answer in taught]
    groups: dict[str, list[tuple[Fact, str]]] = defaultdict(list)
    for fact, answer in taught:
        groups[fact.value_type].append((fact, answer))
    found = pairs = 0
    for group in groups.values():
        keys = [values.parse_value(fact.value, fact.value_type) for fact, _ in group]
        for (fact, _), key in zip(group, keys, strict=True):
            others = [answer for (_, answer), other in zip(group, keys, strict=True) if other != key]
            found += sum(states(answer, fact) for answer in others)
            pairs += len(others)
    return {"own": float(np.mean(own)), "other": found / max(1, pairs)}


def nearest_training_wordings(corpus: Corpus, *, embedder: str) -> pd.DataFrame:
    """For every held-out wording of a test fact, the closest wording that its fact is trained with.

    Training wordings are the FAQ's question and both its answers, and the questions and answers of the paraphrases. Columns:
    question_id, probe, text, trained (the wording), words, meaning (see `lib.retrieval.similarity`).
    """
    trained: dict[str, list[str]] = defaultdict(list)
    for item in corpus.faq:
        for fact_id in item.fact_ids:
            trained[fact_id] += [item.question, item.raw_answer, item.uniform_answer]
    facts_of = {item.id: item.fact_ids for item in corpus.faq}
    for paraphrase in corpus.paraphrases:
        for fact_id in facts_of[paraphrase.faq_id]:
            trained[fact_id] += [paraphrase.question, paraphrase.answer]
    asked = [q for q in corpus.questions if q.probe in HELD_OUT and corpus.split_of(q) in ("test", "dev")]
    wordings = list(dict.fromkeys(text for question in asked for fact in question.fact_ids for text in trained[fact]))
    place = {text: index for index, text in enumerate(wordings)}
    rows = closest(
        [question.text for question in asked],
        wordings,
        embedder=embedder,
        among=[[place[text] for fact in question.fact_ids for text in trained[fact]] for question in asked],
    )
    return pd.DataFrame(
        {
            "question_id": [question.id for question in asked],
            "probe": [question.probe for question in asked],
            "text": [question.text for question in asked],
            "trained": [wordings[row.other] for row in rows],
            "words": [row.words for row in rows],
            "meaning": [row.meaning for row in rows],
        }
    )


def too_close(pairs: pd.DataFrame) -> pd.Series:
    """Whether each pair's mean of the columns words and meaning is above TOO_CLOSE."""
    return (pairs.words + pairs.meaning) / 2 > TOO_CLOSE


def nearness_table(nearness: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of both similarities by probe, and the number of wordings that are too close to a training wording."""
    lines = []
    for probe, rows in nearness.groupby("probe", sort=False):
        line = {"probe": probe, "n": len(rows), "too close": int(too_close(rows).sum())}
        for side in ("words", "meaning"):
            line |= {
                f"{side} {name}": rows[side].quantile(q) for name, q in (("median", 0.5), ("95 %", 0.95), ("most", 1))
            }
        lines.append(line)
    return pd.DataFrame(lines).set_index("probe")


def commonest_opening(corpus: Corpus, words: int = 4) -> tuple[str, float]:
    """The commonest first words of the paraphrase questions of test and dev facts, and the share that open so."""
    asked = _unseen_wordings(corpus)
    openings = Counter(" ".join(question.text.lower().split()[:words]) for question in asked)
    (opening, count), *_ = openings.most_common(1) or [("", 0)]
    return opening, count / max(1, len(asked))


def _unseen_wordings(corpus: Corpus) -> list[Question]:
    return [q for split in ("test", "dev") for q in corpus.ask("paraphrase", split)]


def answer_lengths(corpus: Corpus) -> pd.DataFrame:
    """Words of the raw and of the uniform answers of test facts, and the share of those words that belong to the value."""
    items = corpus.items("test")
    lines = {}
    for field in ("raw_answer", "uniform_answer"):
        texts = [getattr(item, field) for item in items]
        told = [_value_words(text, corpus.fact[item.fact_ids[0]]) for text, item in zip(texts, items, strict=True)]
        lengths = [len(text.split()) for text in texts]
        lines[field] = {
            "words, mean": np.mean(lengths),
            "words, median": np.median(lengths),
            "words, longest": max(lengths),
            "share of words in values": sum(told) / sum(lengths),
        }
    return pd.DataFrame(lines).T


def _value_words(text: str, fact: Fact) -> int:
    found = values.find_entity(text, [fact.value, *fact.accept])
    if not found and fact.value_type != "entity":
        found = values.find_values(text, fact.value_type)
    return sum(len(text[m.start : m.end].split()) for m in found)


def best_constants(corpus: Corpus, questions: Sequence[Question]) -> pd.DataFrame:
    """What always giving the commonest value of its type would score: what "knows nothing" can look like.

    One line a value type (yes/no among them) and one over all but yes/no: facts, different values, commonest value and its
    share. A corpus whose values are drawn evenly has shares near one over the values there are.
    """
    seen: dict[str, Counter] = defaultdict(Counter)
    for question in questions:
        fact = corpus.fact[question.fact_ids[0]]
        seen[fact.value_type][values.parse_value(fact.value, fact.value_type).key] += 1
    lines, hits = [], 0
    for value_type, counts in sorted(seen.items()):
        value, most = counts.most_common(1)[0]
        hits += most if value_type != "yesno" else 0
        lines.append([value_type, counts.total(), len(counts), value, most / counts.total()])
    n = sum(counts.total() for value_type, counts in seen.items() if value_type != "yesno")
    lines.append(["all but yes/no", n, None, "the commonest of each type", hits / max(1, n)])
    return pd.DataFrame(lines, columns=["value type", "facts", "values", "commonest", "share"]).set_index("value type")
