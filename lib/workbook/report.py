"""HTML reports from executed notebooks, the judge's card, answers traced to their sources, and the index page.

Self-contained, code folded, nothing re-run: pages beside the notebooks are made from saved rows and data/judge.

python -m lib.workbook.report STUDY
"""

import copy
import json
import re
import sys
from pathlib import Path

import bleach
import nbformat
from nbconvert import HTMLExporter

from lib import paths, runs
from lib.corpus.load import load_corpus
from lib.studies import Study
from lib.study_file import load_study
from lib.workbook.index import index_body
from lib.workbook.judge_card import judge_pages
from lib.workbook.markup import page
from lib.workbook.traced import saved_rows, trace_pages

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


def write_reports(study: Study) -> Path:
    """One page for each executed notebook, the judge's card and the traced answers where there are any, and index.html.

    Returns the index. Raises FileNotFoundError when no notebook was executed, ValueError when rows and corpus do not fit.
    """
    folder = paths.OUT / study.name / "report"
    executed = sorted((paths.OUT / study.name / "notebooks").glob("[0-9]*.ipynb"))
    executed = [path for path in executed if ".failed" not in path.name]
    if not executed:
        raise FileNotFoundError(f"no executed notebook of study {study.name}; run `make reproduce` first")
    for path in executed:
        body = notebook_html(nbformat.read(path, as_version=4))
        nav = '<nav><a href="index.html">all reports</a></nav>'
        runs.write_atomic(folder / f"{path.stem}.html", page(path.stem, nav + body))
    links = {path.stem: path.stem.replace("_", " ") for path in executed}
    for path, (title, body) in beside_notebooks(study).items():
        runs.write_atomic(folder / path, page(title, body))
        links |= {path.removesuffix(".html"): title} if "/" not in path else {}
    index = index_body(study, links, paths.OUT / study.name)
    runs.write_atomic(folder / "index.html", page(study.title, index))
    return folder / "index.html"


def beside_notebooks(study: Study) -> dict[str, tuple[str, str]]:
    """Title and body of every page that no notebook makes, by path in the report's folder: what the study has rows for."""
    lines = json.loads((paths.OUT / study.name / "scoreboard.json").read_text())
    rows = saved_rows(study)
    if not rows:
        return {}
    corpus = load_corpus(study.corpus.folder, **study.corpus.limits)
    return judge_pages(study, corpus, lines, rows) | trace_pages(study, corpus, rows)


def notebook_html(notebook: nbformat.NotebookNode) -> str:
    """The notebook's body. Markdown outputs and cells are sanitised: text that a model wrote cannot become markup."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = lasting(cell.outputs)
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


def lasting(outputs: list) -> list:
    """A cell's outputs without progress and library warnings, which mattered while it ran: stderr, and bars drawn as widgets."""
    bar = "application/vnd.jupyter.widget-view+json"
    return [output for output in outputs if output.get("name") != "stderr" and bar not in output.get("data", {})]


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


if __name__ == "__main__":
    print(write_reports(load_study(sys.argv[1])))
