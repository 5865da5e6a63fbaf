"""HTML reports from executed notebooks, and the index page: self-contained, code folded, nothing re-run.

python -m lib.workbook.report STUDY
"""

import copy
import html
import json
import re
import sys
from pathlib import Path

import bleach
import nbformat
from nbconvert import HTMLExporter

from lib import paths, runs
from lib.analysis import decision
from lib.studies import Study
from lib.study_file import load_study

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")

# Code is folded but there; the page brings its own style and asks nothing of the network.
TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{%- block input_group -%}
<details class="code"><summary>code</summary>{{ super() }}</details>
{%- endblock input_group -%}
"""

# What text that a model wrote may look like: prose, tables and pictures that the page itself holds.
TAGS = (
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img kbd li ol "
    "p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul"
)
ATTRIBUTES = {"alt", "class", "colspan", "height", "id", "rowspan", "scope", "title", "width"}
_STYLE_BLOCK = re.compile(r"(?is)<style\b[^>]*>.*?</style\s*>")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body><main>{body}</main></body></html>
"""


def write_reports(study: Study) -> Path:
    """One page for each executed notebook and index.html; returns the index."""
    folder = paths.OUT / study.name / "report"
    executed = sorted((paths.OUT / study.name / "notebooks").glob("[0-9]*.ipynb"))
    executed = [path for path in executed if ".failed" not in path.name]
    if not executed:
        raise FileNotFoundError(f"no executed notebook of study {study.name}; run `make reproduce` first")
    for path in executed:
        body = notebook_html(nbformat.read(path, as_version=4))
        nav = '<nav><a href="index.html">all reports</a></nav>'
        runs.write_atomic(folder / f"{path.stem}.html", page(path.stem, nav + body))
    index = index_body(study, [path.stem for path in executed], paths.OUT / study.name)
    runs.write_atomic(folder / "index.html", page(study.title, index))
    return folder / "index.html"


def notebook_html(notebook: nbformat.NotebookNode) -> str:
    """The notebook's body. Markdown outputs and cells are sanitised: text that a model wrote cannot become markup."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        # Progress and library warnings went to the terminal when they mattered; a report holds results.
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    exporter = HTMLExporter(
        raw_template=TEMPLATE,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        sanitize_html=True,
        # nbconvert's own filter would show headings and table headers as escaped text.
        filters={"clean_html": clean_markup},
    )
    exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = ""
    body, _ = exporter.from_notebook_node(notebook)
    return body


def clean_markup(markup: str) -> str:
    """HTML reduced to TAGS without handlers, inline style or addresses; any other tag is shown as the text that it is."""
    # A data frame brings a style block, which would be shown as text; the page's own style serves instead.
    return bleach.clean(
        _STYLE_BLOCK.sub("", str(markup)),
        tags=TAGS.split(),
        attributes=_is_harmless,
        protocols={"data"},
        strip_comments=True,
    )


def _is_harmless(tag: str, name: str, value: str) -> bool:
    if tag == "a" and name == "href":
        return value.startswith("#")
    if tag == "img" and name == "src":
        return value.startswith("data:image/")
    return name in ATTRIBUTES


def page(title: str, body: str) -> str:
    """A whole page; its policy forbids scripts and any request, whatever the body holds."""
    return PAGE.format(title=html.escape(title), style=STYLE, body=body)


def index_body(study: Study, reports: list[str], folder: Path) -> str:
    """The decision, headline table, one figure, the claims, and links to all reports."""
    claims = json.loads((folder / "claims.json").read_text())
    lines = {line["id"]: line for line in json.loads((folder / "scoreboard.json").read_text())}
    links = "".join(f'<li><a href="{name}.html">{html.escape(name.replace("_", " "))}</a></li>' for name in reports)
    figure = (folder / "headline.svg").read_text() if (folder / "headline.svg").exists() else ""
    return (
        f"<h1>Fine-tune, retrieve, or both?</h1><p>Study <b>{html.escape(study.name)}</b>: {html.escape(study.title)}. "
        f"Registration {study.registration}.</p>{decision_html(study, lines)}<h2>What was measured</h2>{headline_html(lines)}"
        f"<figure>{_inline_svg(figure)}</figure>"
        f"<h2>The claims</h2>{claims_html(claims)}<h2>Reports</h2><ul>{links}</ul>"
    )


def _inline_svg(text: str) -> str:
    return text[text.index("<svg") :] if "<svg" in text else ""


HEADLINE = {
    "base": "the model as it is",
    "lora_raw": "LoRA on the raw FAQs",
    "lora_raw_20ep": "the same, trained until the wording is memorised",
    "lora_reformatted": "LoRA on uniform answers",
    "rag": "the untouched model with retrieved passages",
    "rag_gold": "the same, the right passage always among them",
    "hybrid": "tuned to read passages (on other facts), fed by retrieval",
}


def headline_rows(lines: dict[str, dict]) -> list[list[str]]:
    """The headline table's cells: condition, what it is, accuracy with interval on unseen wordings, style, n."""
    rows = []
    for name, meaning in HEADLINE.items():
        accuracy, style = lines.get(f"accuracy/paraphrase/{name}"), lines.get(f"style/{name}")
        if accuracy:
            shown = f"{100 * accuracy['value']:.1f} % ({100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f})"
            rows.append([name, meaning, shown, f"{100 * style['value']:.0f} %" if style else "", str(accuracy["n"])])
    return rows


HEADLINE_HEADER = ["condition", "what it is", "right on unseen wordings (95 % interval)", "uniform style", "facts"]


def headline_html(lines: dict[str, dict]) -> str:
    """The headline table as HTML."""
    return table_html(HEADLINE_HEADER, headline_rows(lines))


FLIPS_HEADER = ["need", "stated", "advice over all its values, the other needs as stated"]


def decision_html(study: Study, lines: dict[str, dict]) -> str:
    """The advice, what it rests on, and where it would flip, as HTML."""
    approaches, needs = decision.measured(study, lines), study.decision
    return (
        f"<h2>The decision</h2><p><b>{html.escape(decision.sentence(approaches, needs))}</b> The needs are an example in the "
        f"study file; put your own there.</p>{table_html(decision.CARD_HEADER, decision.card_rows(approaches, needs))}"
        f"<details><summary>where the advice flips</summary>{table_html(FLIPS_HEADER, decision.flips(approaches, needs))}"
        "</details>"
    )


def claims_html(claims: dict[str, dict]) -> str:
    """The claims with verdict and evidence as HTML."""
    marks = {"held": "● held", "not_held": "○ not held", "undecided": "◌ undecided"}
    rows = [[name, claim["claim"], marks[claim["verdict"]], claim["evidence"]] for name, claim in claims.items()]
    return table_html(["", "claim", "verdict", "evidence"], rows)


def table_html(header: list[str], rows: list[list[str]]) -> str:
    """A table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


if __name__ == "__main__":
    print(write_reports(load_study(sys.argv[1])))
