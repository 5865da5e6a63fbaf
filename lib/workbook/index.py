"""The index page of a report: the answer, what was measured, the decision, the claims, and the way to every other page."""

import html
import json
from collections.abc import Mapping
from pathlib import Path

from lib.analysis import decision, findings, scoreboard
from lib.analysis.tables import estimate_of, percent
from lib.studies import Study
from lib.workbook import answer
from lib.workbook.markup import markup_table, table_html

# What each headline condition is; what `hybrid` is, dev decides.
HEADLINE = {
    "base": "the model as it is",
    "lora_raw": "LoRA on the raw FAQs",
    "lora_raw_20ep": "the same, trained until the wording is memorised",
    "lora_reformatted": "LoRA on uniform answers",
    "full": "all weights on uniform answers, until memorised",
    "rag": "the untouched model with retrieved passages",
    "rag_gold": "the same, the right passage always among them",
}
HEADLINE_HEADER = [
    "condition",
    "what it is",
    "right on unseen wordings (95 % interval)",
    "facts",
    "uniform style",
    "unanswerable answered anyway",
]
FLIPS_HEADER = ["need", "stated", "advice over all its values, the other needs as stated"]
MARKS = {"held": "● held", "not_held": "○ not held", "undecided": "◌ undecided"}
FIGURE = "Facts answered right in unseen wording, by condition, with 95 % intervals; the numbers are in the table above"


def index_body(study: Study, reports: Mapping[str, str], folder: Path) -> str:
    """The body of the page, from the files of a finished study in `folder`; `reports` has the titles of pages by name."""
    claims = json.loads((folder / "claims.json").read_text())
    lines = {line["id"]: line for line in json.loads((folder / "scoreboard.json").read_text())}
    chosen = scoreboard.chosen_hybrid(scoreboard.saved_summaries(folder))
    rows = headline_rows(study, lines, chosen)
    links = "".join(f'<li><a href="{name}.html">{html.escape(title)}</a></li>' for name, title in reports.items())
    figure = (folder / "headline.svg").read_text() if (folder / "headline.svg").exists() else ""
    return (
        f"<h1>Fine-tune, retrieve, or both?</h1><p>Study <b>{html.escape(study.name)}</b>: {html.escape(study.title)}. "
        f"Registration {study.registration}, the fingerprint of what was promised before the run.</p>"
        f"{answer_html(study, lines, claims, chosen)}<h2>What was measured</h2>{table_html(HEADLINE_HEADER, rows)}"
        f'<figure role="img" aria-label="{FIGURE}">{_inline_svg(figure)}</figure>'
        f"{decision_html(study, lines, chosen)}<h2>The claims</h2>{claims_html(claims)}<h2>Reports</h2><ul>{links}</ul>"
    )


def _inline_svg(text: str) -> str:
    return text[text.index("<svg") :] if "<svg" in text else ""


def answer_html(study: Study, lines: Mapping[str, dict], claims: Mapping[str, dict], chosen: str | None) -> str:
    """The answer in words as HTML: the advice in bold, what was measured, and how many claims hold."""
    lead, rest = answer.short_answer(study, lines, claims, chosen)
    paragraphs = [answer.measured(study, lines, chosen), answer.verdicts(claims)]
    return f"<p><b>{html.escape(lead)}</b> {html.escape(rest)}</p>" + "".join(
        f"<p>{html.escape(text)}</p>" for text in paragraphs if text
    )


def headline_rows(study: Study, lines: Mapping[str, dict], chosen: str | None) -> list[list[str]]:
    """The headline table's cells: condition, meaning, accuracy on unseen wordings, facts, style, and how often it makes up.

    A condition that was not asked has no row. chosen: the candidate that `hybrid` stands for.
    """
    rows = []
    for name in [*HEADLINE, "hybrid"]:
        accuracy = lines.get(f"accuracy/paraphrase/{name}")
        if accuracy:
            meaning = HEADLINE.get(name) or answer.hybrid(study, chosen)
            others = [lines.get(f"{kind}/{name}") for kind in ("style", "hallucination")]
            shares = [f"{100 * line['value']:.0f} %" if line else "" for line in others]
            right = percent(estimate_of(accuracy), digits=0, counted=False)
            rows.append([name, meaning, right, str(accuracy["n"]), *shares])
    return rows


def decision_html(study: Study, lines: Mapping[str, dict], chosen: str | None) -> str:
    """The advice, what it rests on, and where it would flip, as HTML."""
    approaches, needs = decision.measured(study, lines, chosen), study.decision
    return (
        f"<h2>The decision</h2><p><b>{html.escape(decision.sentence(approaches, needs))}</b> The needs are an example in the "
        f"study file; put your own there. Money is machine time alone, at {needs.usd_per_machine_hour:g} USD an hour.</p>"
        f"{table_html(decision.CARD_HEADER, decision.card_rows(approaches, needs))}"
        f"<details><summary>where the advice flips</summary>{table_html(FLIPS_HEADER, decision.flips(approaches, needs))}"
        "</details>"
    )


def claims_html(claims: Mapping[str, dict]) -> str:
    """The claims with verdict and what was compared, those that held first; the tests behind it are folded."""
    rows = []
    for name, claim in findings.by_verdict(claims).items():
        whole = claim["evidence"].split(" | ")
        brief = "".join(f"<p>{html.escape(text)}</p>" for text in findings.brief(claim["evidence"]))
        tests = "".join(f"<li>{html.escape(text)}</li>" for text in whole)
        folded = f"<details><summary>tests</summary><ul>{tests}</ul></details>"
        rows.append([name, html.escape(claim["claim"]), MARKS[claim["verdict"]], brief + folded])
    return markup_table(["", "claim", "verdict", "compared"], rows)
