"""A rule book that no model can have read: facts of an invented authority, with every file of a corpus, from a seed.

python -m lib.corpus.fictional data/control --seed 1 --facts 120

Names are built from syllables, values are drawn evenly from lists whose length is known, and wordings come from a grammar
of hand-written alternatives (data/control/grammar.yaml), of which those for training and those for asking are disjoint.
"""

import argparse
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from random import Random

import yaml

from lib import paths
from lib.corpus.records import Evidence, Fact, FaqItem, Paraphrase, Question, Replacement

GRAMMAR = paths.DATA / "control" / "grammar.yaml"
MONTHS = ("January", "March", "April", "June", "July", "September", "October", "December")
RAW_STYLES = ("terse", "long_winded", "bulleted", "html_residue", "cross_reference", "buried", "mixed_format")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
# Facts of the other splits for every test fact, and how many levies share a guide.
SHARES = {"dev": 0.2, "raft": 0.35, "neighbour": 0.15}
LEVIES_A_GUIDE = 3

# What each attribute's values are drawn from, evenly: a guess that knows the list is right once in its length. Forms and
# sections are drawn without replacement, so that they can be asked in reverse.
POOLS = {
    "rate": [f"{n / 4:g} %" for n in range(4, 84)],
    "fee": [f"{n} INR" for n in range(120, 920, 20)],
    "threshold": [f"{n} INR" for n in range(1500, 61500, 1500)],
    "due": [f"{day} {month}" for month in MONTHS for day in (4, 9, 14, 19, 24)],
    "appeal": [f"{n} days" for n in range(11, 131, 3)],
    "instalments": [str(n) for n in range(2, 14)],
    "refund": ["yes", "no"],
}
ATTRIBUTES = (
    "rate-old",
    "rate",
    "fee",
    "threshold",
    "due",
    "appeal",
    "form",
    "section",
    "instalments",
    "office",
    "refund",
)


def chance(attribute: str) -> float:
    """The share of facts of an attribute that a guess among all its values gets right; 0 for form, section and office."""
    return 1 / len(POOLS[attribute]) if attribute in POOLS else 0.0


def generate(*, seed: int, facts: int, grammar: dict) -> dict[str, list]:
    """The tables of a corpus with `facts` test facts (50 to 100,000) and its pages, each table in a fixed order.

    Returns facts, faq, questions, evidence, paraphrases and replacements as lists of records, and documents,
    vintages/before and vintages/after as lists of (name, Markdown). The same arguments give the same result.
    Raises ValueError when `facts` is out of range.
    """
    if not 50 <= facts <= 100_000:
        raise ValueError(f"--facts {facts}: a fictional corpus has 50 to 100000 test facts")
    book = _Book(grammar, Random(seed))
    sizes = {"test": facts} | {name: round(facts * share) for name, share in SHARES.items()}
    for split, count in sizes.items():
        for _ in range(-(-count // len(ATTRIBUTES))):
            book.add_levy(split, keep=min(count, len(ATTRIBUTES)))
            count -= len(ATTRIBUTES)
    book.add_general(max(40, facts // 3))
    book.close_guide()
    return book.tables


class _Book:
    """The rule book as it is being written, levy by levy."""

    def __init__(self, grammar: dict, random: Random):
        self.grammar, self.random = grammar, random
        names = ["facts", "faq", "questions", "evidence", "paraphrases", "replacements"]
        self.tables = {name: [] for name in [*names, "documents", "vintages/before", "vintages/after"]}
        self.names = _names(grammar, random)
        self.forms, self.sections = (iter(_shuffled(product(range(11, 999), LETTERS), random)) for _ in range(2))
        self.guide: dict[str, list[str]] = {"documents": [], "vintages/before": [], "vintages/after": []}
        self.titles: list[str] = []

    def say(self, template: str, **filled: str) -> str:
        """A template with one alternative chosen of every [a|b], and everything in braces filled in."""
        chosen = re.sub(r"\[([^\[\]]*)\]", lambda m: self.random.choice(m[1].split("|")), template)
        text = re.sub(r"\{(\w+)(:cap)?\}", lambda m: _cap(filled[m[1]]) if m[2] else filled[m[1]], chosen)
        joined = re.sub(r" ([.?,])", r"\1", " ".join(text.split()))
        return re.sub(r"(?:^|[.?!] )[a-z]", lambda m: m[0].upper(), joined)

    def pick(self, templates: list[str], **filled: str) -> str:
        return self.say(self.random.choice(templates), **filled)

    def add_levy(self, split: str, *, keep: int) -> None:
        """One levy: its first `keep` attributes as facts with all that asks for them or teaches them, and its guide section."""
        levy = next(self.names)
        values, told = self._values(), []
        for attribute in ATTRIBUTES[:keep]:
            fact, filled, words = self._fact(levy, attribute, values, split)
            self.tables["facts"].append(fact)
            if split in ("test", "dev", "raft"):
                self._teach(fact, filled, words)
            self._ask(fact, filled, words, attribute)
            told.append((fact, self.pick(_by_value(words["guide"], fact), **filled)))
        self._describe(levy, told)
        if keep > 1:
            self._replace(levy, values)
        if split == "test":
            self._ask_two(levy, [fact for fact, _ in told])
            if self.random.random() < 0.5:
                self._ask_unanswerable(levy)

    def _values(self) -> dict[str, str]:
        values = {name: self.random.choice(pool) for name, pool in POOLS.items()} | {"office": self._drawn("office")}
        values["rate-old"] = self.random.choice([rate for rate in POOLS["rate"] if rate != values["rate"]])
        (form, letter), (section, clause) = next(self.forms), next(self.sections)
        return values | {"form": f"Form {form}{letter}", "section": f"{section}{clause}({self.random.randint(1, 9)})"}

    def _drawn(self, attribute: str) -> str:
        """Some value of an attribute, for a distractor; that of an office also serves as its value."""
        if attribute in POOLS:
            return self.random.choice(POOLS[attribute])
        if attribute == "office":
            return f"{self.random.choice(self.grammar['officers'])} of {_place(self.grammar, self.random)}"
        code = f"{self.random.randint(11, 998)}{self.random.choice(LETTERS)}"
        return f"Form {code}" if attribute == "form" else f"{code}({self.random.randint(1, 9)})"

    def _fact(self, levy: str, attribute: str, values: dict, split: str) -> tuple[Fact, dict, dict]:
        words = self.grammar["attributes"][attribute.removesuffix("-old")]
        value, dated = values[attribute], attribute.startswith("rate")
        spelled = _spelled(value, words["value_type"])
        when = self.random.choice(self.grammar["when"]["before" if attribute == "rate-old" else "after"])
        filled = {"levy": levy, "value": spelled[0], "when": when if dated else ""}
        slug = levy.lower().replace(" ", "-")
        fact = Fact(
            id=f"{slug}-{attribute}",
            topic=levy.split()[-1],
            subject=self.say(words["np"] or "whether the {levy} is refunded", **filled),
            statement=self.say(_by_value(words["state"], value)[0], **filled),
            value=value,
            value_type=words["value_type"],
            accept=(),
            vintage={"rate-old": "before 2031", "rate": "from 2031"}.get(attribute, "all"),
            supersedes=f"{slug}-rate-old" if attribute == "rate" else None,
            split=split,
            tier="normal",
            sources=(),
        )
        return fact, filled, words

    def _teach(self, fact: Fact, filled: dict, words: dict) -> None:
        """The FAQ item of a fact, uneven and uniform, and its five training wordings."""
        question = self.pick(words["faq"], **filled)
        style = self.random.choice(RAW_STYLES)
        states = _by_value(words["state"], fact)
        sentence = self.say(_by_value(words["uniform"], fact), **filled)
        short = _cap(filled["value"])
        item = FaqItem(
            f"faq-{fact.id}",
            (fact.id,),
            question,
            self._uneven(style, self.pick(states, **filled | {"value": _last_spelling(fact)}), _last_spelling(fact)),
            style,
            f"In short: {short}. {sentence}",
        )
        self.tables["faq"].append(item)
        self.tables["questions"].append(Question(f"{fact.id}/trained", (fact.id,), "trained", question, fact.value))
        spellings = _spelled(fact.value, fact.value_type)
        for place, template in enumerate(self.random.sample(words["train"], 5)):
            answer = self.pick(states, **filled | {"value": spellings[place % len(spellings)]})
            self.tables["paraphrases"].append(
                Paraphrase(f"{fact.id}/train-{place + 1}", item.id, self.say(template, **filled), answer)
            )

    def _uneven(self, style: str, sentence: str, value: str) -> str:
        filler = self.random.sample(self.grammar["filler"], 2)
        return {
            "terse": sentence if sentence.startswith(("Yes", "No")) else f"{_cap(value)}.",
            "long_winded": f"{filler[0]} It is hereby stated for the information of all carriers that the rule is as follows. "
            f"{sentence} {filler[1]}",
            "bulleted": f"- {sentence}\n- {filler[0]}",
            "html_residue": f"<p>&nbsp;{sentence}<br><br>{filler[0]}",
            "cross_reference": f"{sentence} Please refer to the notes at the end of this chapter. {filler[0]}",
            "buried": f"{filler[0]} {sentence} {filler[1]}",
            "mixed_format": sentence.upper() if self.random.random() < 0.3 else f"{sentence} (Rule Book, as amended.)",
        }[style]

    def _ask(self, fact: Fact, filled: dict, words: dict, attribute: str) -> None:
        asked = self.tables["questions"]
        first, second = self.pick(words["lay"], **self._led(filled)), self.pick(words["lay2"], **self._led(filled))
        if fact.split == "neighbour":
            asked.append(
                Question(f"{fact.id}/neighbour", (fact.id,), "neighbour", first, fact.value, screen_text=second)
            )
            return
        asked.append(Question(f"{fact.id}/paraphrase", (fact.id,), "paraphrase", first, fact.value))
        if fact.split == "raft":
            return
        asked.append(Question(f"{fact.id}/paraphrase-2", (fact.id,), "paraphrase", second, fact.value))
        if words["cloze"]:
            text = "Fill in the blank: " + self.pick(words["cloze"], **filled)
            asked.append(Question(f"{fact.id}/cloze", (fact.id,), "cloze", text, fact.value))
        if words.get("reverse"):
            text = self.pick(words["reverse"], **filled)
            asked.append(
                Question(f"{fact.id}/reverse", (fact.id,), "reverse", text, filled["levy"], value_type="entity")
            )
        if fact.value_type != "yesno":
            choices = (filled["value"], *self._distractors(attribute.removesuffix("-old"), fact))
            asked.append(
                Question(f"{fact.id}/choice", (fact.id,), "choice", first, fact.value, choices, screen_text=second)
            )

    def _led(self, filled: dict) -> dict:
        return filled | {"lead": self.say(self.random.choice(self.grammar["lead"])) + " "}

    def _distractors(self, attribute: str, fact: Fact) -> list[str]:
        others: list[str] = []
        while len(others) < 3:
            other = self._drawn(attribute)
            spelled = _spelled(other, fact.value_type)[0]
            if other != fact.value and spelled not in others:
                others.append(spelled)
        return others

    def _ask_two(self, levy: str, facts: list[Fact]) -> None:
        askable = [fact for fact in facts if fact.value_type != "yesno"]
        if len(askable) < 2:
            return
        pair = self.random.sample(askable, 2)
        named = [fact.subject[0].lower() + fact.subject[1:] for fact in pair]
        template = self.random.choice(self.grammar["two_fact"])
        stop = "?" if "What are" in template and self.random.random() < 0.5 else "."
        text = self.say(template, first=named[0], second=named[1], stop=stop)
        expected = "; ".join(fact.value for fact in pair)
        identity = f"{levy.lower().replace(' ', '-')}/two"
        self.tables["questions"].append(Question(identity, tuple(fact.id for fact in pair), "two_fact", text, expected))

    def _ask_unanswerable(self, levy: str) -> None:
        identity = f"{levy.lower().replace(' ', '-')}/unanswerable"
        text = self.pick(self.grammar["unanswerable"], levy=levy)
        self.tables["questions"].append(Question(identity, (), "unanswerable", text, None))

    def add_general(self, count: int) -> None:
        """Sums of two numbers in two wordings each: what a model may know without the book."""
        pairs = _shuffled(product(range(1, 60), range(1, 60)), self.random)[:count]
        for a, b in pairs:
            identity, value, filled = f"sum-{a}-{b}", str(a + b), {"a": str(a), "b": str(b)}
            self.tables["facts"].append(
                Fact(
                    identity, "sums", f"{a} plus {b}", f"{a} plus {b} is {value}.", value, "count",
                    (), "all", None, "general", "easy", (),
                )
            )  # fmt: skip
            text, other = (self.pick(self.grammar["general"][key], **filled) for key in ("text", "screen_text"))
            self.tables["questions"].append(
                Question(f"{identity}/general", (identity,), "general", text, value, screen_text=other)
            )

    def _describe(self, levy: str, told: list[tuple[Fact, str]]) -> None:
        if len(self.titles) == LEVIES_A_GUIDE:
            self.close_guide()
        self.titles.append(levy)
        guide = self._guide_name()
        self.tables["evidence"] += [Evidence(fact.id, guide, sentence) for fact, sentence in told]
        filler = iter(self.random.sample(self.grammar["filler"], 3))
        order = self.random.sample(told, len(told))
        paragraphs = [
            " ".join([*(sentence for _, sentence in order[at : at + 4]), next(filler)])
            for at in range(0, len(order), 4)
        ]
        self.guide["documents"].append("\n\n".join([f"## The {levy}", *paragraphs]))

    def _replace(self, levy: str, values: dict) -> None:
        words, slug = self.grammar["attributes"]["rate"], levy.lower().replace(" ", "-")
        told = {}
        for side, value in (("before", values["rate-old"]), ("after", values["rate"])):
            filled = {"levy": levy, "value": _spelled(value, "percent")[0], "when": "at present"}
            told[side] = self.pick(words["guide"], **filled)
            short = f"In short: {filled['value']}. {self.say(words['uniform'], **filled)}"
            told[f"{side} answer"] = short
            self.guide[f"vintages/{side}"].append(f"## The {levy}\n\n{told[side]} {self.grammar['filler'][0]}")
        filled = {"levy": levy, "when": "", "lead": ""}
        self.tables["replacements"].append(
            Replacement(
                id=f"now-{slug}",
                before=f"{slug}-rate-old",
                after=f"{slug}-rate",
                question=self.pick(words["lay2"], **filled),
                faq_question=self.pick(words["faq"], **filled),
                before_answer=told["before answer"],
                after_answer=told["after answer"],
                document=self._guide_name(),
                before_quote=told["before"],
                after_quote=told["after"],
            )
        )

    def _guide_name(self) -> str:
        return f"charges-{len(self.tables['documents']) + 1:04d}"

    def close_guide(self) -> None:
        """Bind the sections written so far into one guide and its pages before and after the replacements."""
        name, title = self._guide_name(), f"# Guide to the {', the '.join(self.titles)}"
        opening = f"This guide of {self.grammar['authority']} tells carriers what the charges below are and how they are settled."
        for table, sections in self.guide.items():
            if sections:
                self.tables[table].append((name, "\n\n".join([title, opening, *sections]) + "\n"))
            self.guide[table] = []
        self.titles = []


def _names(grammar: dict, random: Random) -> Iterator[str]:
    parts = grammar["syllables"]
    short = [a + b for a, b in product(parts["first"], parts["last"])]
    long = [a + b + c for a, b, c in product(parts["first"], parts["middle"], parts["last"])]
    for name, kind in _shuffled(product(short + long, grammar["kinds"]), random):
        yield f"{name} {kind}"


def _place(grammar: dict, random: Random) -> str:
    parts = grammar["syllables"]
    return random.choice(parts["first"]) + random.choice(parts["middle"]) + random.choice(parts["last"])


def _shuffled(items, random: Random) -> list:
    items = list(items)
    random.shuffle(items)
    return items


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by_value(words, fact_or_value: Fact | str):
    """The words for a yes or a no; words that do not depend on the value as they are."""
    value = fact_or_value.value if isinstance(fact_or_value, Fact) else fact_or_value
    return words[value] if isinstance(words, dict) else words


def _spelled(value: str, value_type: str) -> list[str]:
    """Right ways to write a value, the uniform style's first."""
    number = re.sub(r"[^\d.]", "", value)
    if value_type == "amount":
        grouped = f"{int(number):,}"
        return [f"Rs {grouped}", f"{grouped} rupees", f"Rs. {number}/-"]
    if value_type == "percent":
        return [f"{number}%", f"{number} per cent", f"{number} %"]
    if value_type == "date":
        day, month = value.split()
        return [value, f"{month} {day}", f"{day}th of {month}"]
    if value_type == "section":
        return [f"section {value}", f"Sec. {value}", f"Section {value}"]
    return [value]


def _last_spelling(fact: Fact) -> str:
    return _spelled(fact.value, fact.value_type)[-1]


def write(folder: Path, tables: dict[str, list]) -> None:
    """Write the tables as a corpus folder. What stood there before is replaced whole, but for grammar.yaml and README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name, rows in tables.items():
            if rows and isinstance(rows[0], tuple):
                (Path(scratch) / name).mkdir(parents=True)
                for page, text in rows:
                    (Path(scratch) / name / f"{page}.md").write_text(text, encoding="utf-8")
            else:
                lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
                (Path(scratch) / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        for made in Path(scratch).iterdir():
            target = folder / made.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(made, target)


def main() -> None:
    """Write a fictional corpus into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--facts", type=int, default=120, help="test facts, 50 to 100000")
    asked = parser.parse_args()
    grammar = yaml.safe_load(GRAMMAR.read_text(encoding="utf-8"))
    write(asked.folder, generate(seed=asked.seed, facts=asked.facts, grammar=grammar))


if __name__ == "__main__":
    main()
