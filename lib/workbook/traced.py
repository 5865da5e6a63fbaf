"""The answers that were given with passages, each beside its source: what was shown, what states the answer, what the truth."""

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence

from lib import paths, runs
from lib.analysis import scoreboard
from lib.answering.reference import CLAUDE_RAG
from lib.corpus.load import Corpus
from lib.corpus.records import Passage
from lib.studies import Condition, Study
from lib.workbook.guides import Cut, cut_name, cuts_of, guide_pages, passage_target, span_target
from lib.workbook.markup import anchor, link, markup_table

FOLDER = "answers"
HEADER = ["question", "expected", "answer", "verdict", "passages shown, in order", "stated in"]
OVERVIEW = [
    "condition",
    "weights",
    "context",
    "passages",
    "answers",
    "right",
    "gold shown",
    "aligned",
    "aligned with gold",
]
MARKS = {"CORRECT": "●", "INCORRECT": "○", "NOT_ATTEMPTED": "◌", "JUDGE_FAILED": "?"}
# Rows a page: some 1.5 kB each, so that a page stays well under 2 MB.
LARGEST_PAGE = 800


def saved_rows(study: Study) -> list[dict]:
    """The rows of the study's notebooks that have run, each cell once (its first notebook's), with two more columns:
    `notebook`, and `asked_as`, the study's own name of the condition: for `hybrid` the candidate that dev chose.
    """
    cells: dict[tuple, dict] = {}
    names = [name for name in study.grids if (paths.OUT / study.name / name / "records.jsonl").exists()]
    for name, summary in scoreboard.load_summaries(study.name, names).items():
        chosen = summary["metrics"].get("hybrid")
        for row in runs.read_jsonl(paths.OUT / study.name / name / "records.jsonl"):
            cell = row["condition"], row["seed"], row["question_id"], row["split"]
            asked_as = chosen if row["condition"] == "hybrid" else row["condition"]
            cells.setdefault(cell, row | {"notebook": name, "asked_as": asked_as})
    return list(cells.values())


def trace_pages(study: Study, corpus: Corpus, rows: Sequence[dict]) -> dict[str, tuple[str, str]]:
    """Title and body of the pages of answers and of guides, by path in the report's folder, from the `saved_rows`.

    None where no answer was shown a passage of the guides. Raises ValueError when a row's condition is not in the study
    file, or a passage or question not in the corpus: it was answered under another study than there is now.
    """
    shown = shown_rows(study, rows)
    cuts = cuts_of(study, corpus, [conditions_of(study)[some[0]["asked_as"]].retrieval for some in shown.values()])
    return answer_pages(study, corpus, shown, cuts) | guide_pages(corpus, cuts) if shown else {}


def conditions_of(study: Study) -> dict[str, Condition]:
    """The study's conditions, and `claude_rag`, which is asked beside them when there is a key."""
    return {**study.conditions, "claude_rag": CLAUDE_RAG}


def shown_rows(study: Study, rows: Sequence[dict]) -> dict[str, list[dict]]:
    """By condition, the rows whose answers were shown passages of the guides.

    Conditions that search the pages of replaced rules are left out: those are other documents. Raises ValueError for a
    condition that the study file does not have.
    """
    shown, conditions = defaultdict(list), conditions_of(study)
    for row in (row for row in rows if row["passages"]):
        if row["asked_as"] not in conditions:
            known = ", ".join(conditions)
            raise ValueError(
                f"{row['notebook']}: condition {row['asked_as']!r} not one of {known}; run `make reproduce`"
            )
        if conditions[row["asked_as"]].vintage is None:
            shown[row["condition"]].append(row)
    return dict(shown)


def answer_pages(
    study: Study, corpus: Corpus, rows: Mapping[str, Sequence[dict]], cuts: Mapping[str, Cut]
) -> dict[str, tuple[str, str]]:
    """Title and body of each condition's pages, and of their overview, by path in the report's folder.

    Args:
        rows: as `shown_rows` gives them.
        cuts: of all their settings, as `lib.workbook.guides.cuts_of` gives them.

    Raises ValueError when a row names a passage that no guide holds: it was answered from other guides than there are now.
    """
    pages, overview = {}, []
    stated = defaultdict(list)
    for item in corpus.evidence:
        stated[item.fact_id].append(item)
    for condition, answered in rows.items():
        setting = conditions_of(study)[answered[0]["asked_as"]]
        cut = cut_name(study, setting.retrieval)
        lines = [_cells(row, corpus, cut, cuts[cut].passages, stated) for row in answered]
        parts = [slice(start, start + LARGEST_PAGE) for start in range(0, len(answered), LARGEST_PAGE)]
        paths_of = [f"{FOLDER}/{condition}{f'-{n}' if n > 1 else ''}.html" for n in range(1, len(parts) + 1)]
        for number, (path, part) in enumerate(zip(paths_of, parts, strict=True), 1):
            title = f"Answers of {condition}" + (f", page {number} of {len(parts)}" if len(parts) > 1 else "")
            table = markup_table(HEADER, lines[part], [_place(row) for row in answered[part]])
            pages[path] = (title, _intro(title, setting) + table)
        links = ", ".join(link(path, condition if n == 1 else f"page {n}") for n, path in enumerate(paths_of, 1))
        overview.append(
            [links, *map(html.escape, (setting.weights, setting.context, cuts[cut].how)), *_counts(answered)]
        )
    return pages | {"answers.html": ("Answers", _overview(overview))}


def _place(row: dict) -> str:
    return anchor("a", row["split"], row["seed"], row["question_id"])


def _cells(row: dict, corpus: Corpus, cut: str, passages: Mapping[str, Passage], stated: Mapping) -> list[str]:
    """A row's cells as markup. What a model, a judge or a document says is escaped."""
    unknown = [name for name in row["passages"] if name not in passages]
    if unknown or row["question_id"] not in corpus.question:
        raise ValueError(
            f"{row['notebook']}: {row['condition']}, {row['question_id']}: "
            f"{f'no passage {unknown}' if unknown else 'no such question'} in the corpus as it is now; run `make reproduce`"
        )
    question = corpus.question[row["question_id"]]
    listed = "".join(f"<li>{_passage(row, passages[name], cut)}</li>" for name in row["passages"])
    spans = [item for fact_id in row["fact_ids"] for item in stated[fact_id]]
    gold = "".join(f"<li>{link(f'../{span_target(cut, item)}', item.quote)}</li>" for item in spans)
    asked = link(f"#{_place(row)}", f"{row['probe']}, {row['split']}, seed {row['seed']}")
    return [
        f"{html.escape(question.text)} <small>{asked}</small>",
        html.escape(question.expected or "nothing: the corpus does not say"),
        f'<span class="said">{html.escape(row["answer"])}</span>',
        f"{MARKS[row['verdict']]} {html.escape(row['verdict'])} <small>{html.escape(row['reason'])}</small>",
        f"<ol>{listed}</ol>" + ("" if row["cited"] else "<small>none is aligned</small>"),
        f"<ul>{gold}</ul>" if gold else "nowhere",
    ]


def _passage(row: dict, passage: Passage, cut: str) -> str:
    """A passage that was shown, as a link to its place, with what it is to the answer and to the truth."""
    said = link(f"../{passage_target(cut, passage)}", f"{passage.heading} ({passage.id})")
    roles = [
        role
        for role, holds in (
            ("aligned: it states the answer's value", passage.id == row["cited"]),
            ("gold: it states the truth", passage.id in row["gold"]),
        )
        if holds
    ]
    return (f"<b>{said}</b> <small>{'; '.join(roles)}</small>") if roles else said


def _counts(rows: Sequence[dict]) -> list[str]:
    right = sum(row["verdict"] == "CORRECT" for row in rows)
    shown, aligned = sum(bool(row["gold"]) for row in rows), sum(bool(row["cited"]) for row in rows)
    both = sum(row["cited"] in row["gold"] for row in rows)
    return [str(count) for count in (len(rows), right, shown, aligned, both)]


def _intro(title: str, setting: Condition) -> str:
    nav = " · ".join(
        link(f"../{name}.html", label)
        for name, label in (("index", "all reports"), ("answers", "all conditions"), ("sources", "all sources"))
    )
    planted = (
        "<p>An instruction was planted in one of the passages that were shown. It stands in no guide, so that the linked "
        "place does not have it.</p>"
    )
    return f"<nav>{nav}</nav><h1>{html.escape(title)}</h1>{planted if setting.context == 'poisoned' else ''}"


def _overview(rows: Sequence[Sequence[str]]) -> str:
    nav = f"<nav>{link('index.html', 'all reports')} · {link('sources.html', 'sources')}</nav>"
    return (
        f"{nav}<h1>Answers traced to their sources</h1><p>Every answer that was given with passages of the guides, with links "
        "into the guides as they were cut: to the passages shown and to the words that state the truth. The "
        "models of the study are not asked to cite: the passage that states the value of an answer, right or wrong, is found "
        "afterwards and called <b>aligned</b>; of claude_rag it is the one that Claude itself cites first. "
        "Names and yes or no have no form to find and are never aligned. "
        "A passage is <b>gold</b> when it holds the words that state the fact asked for.</p>"
        f"{markup_table(OVERVIEW, rows)}<p>Counts of answers, all seeds, probes and splits together, yes or no among them; "
        "shares with intervals are in the notebooks. The conditions that search the pages of replaced rules, before or after "
        "their replacement, are left out: those pages are not among the guides.</p>"
    )
