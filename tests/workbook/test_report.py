"""Reports show what models wrote without ever obeying it, ask nothing of the network, and lose no figure or table."""

import base64
import json
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from nbformat import v4

from lib import paths
from lib.studies import Decision
from lib.workbook import index, markup, report
from tests.parsed_page import HOSTILE, Page, assert_inert

HOSTILE_MARKDOWN = (
    "[k](javascript:alert(1)) [e](https://evil.example/) ![p](https://evil.example/p.png) [d](data:text/html,x) "
    "<https://evil.example/auto>\n\n"
)
PNG = base64.b64encode(b"\x89PNG made up").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0"/></svg>'


def shown(data: dict, **metadata):
    return v4.new_output("display_data", data=data, metadata=metadata)


def notebook(*outputs, markdown="# A title\n\nSome words."):
    return v4.new_notebook(
        cells=[v4.new_markdown_cell(markdown), v4.new_code_cell("answer = 6 * 7", outputs=list(outputs))]
    )


DATAFRAME = pd.DataFrame({"question": ["What?"], "answer": [HOSTILE]})

EVERY_KIND = {
    "markdown": shown({"text/markdown": "## A heading\n\n" + HOSTILE_MARKDOWN + HOSTILE, "text/plain": "x"}),
    "markdown that opens with markup": shown({"text/markdown": HOSTILE}),
    "markdown table": shown({"text/markdown": f"| q | a |\n|---|---|\n| {HOSTILE} | {HOSTILE_MARKDOWN.strip()} |"}),
    "data frame": shown({"text/html": DATAFRAME._repr_html_(), "text/plain": "x"}),
    "raw html": shown({"text/html": HOSTILE}),
    "unclosed": shown({"text/html": "<style>p{} <script>alert(1) <img src=x onerror=alert(1)"}),
    "nested": shown({"text/html": "<scr<script>ipt>alert(1)</scr</script>ipt><sty<style></style>le>x</style>"}),
    "stdout": v4.new_output("stream", name="stdout", text=HOSTILE),
    "stderr": v4.new_output("stream", name="stderr", text="\x1b[31m" + HOSTILE),
    "plain": shown({"text/plain": HOSTILE}),
    "latex": shown({"text/latex": f"${HOSTILE}$"}),
    "javascript": shown({"application/javascript": "alert(1)"}),
    "widget": shown({"application/vnd.jupyter.widget-view+json": {"model_id": "</script><script>alert(1)"}}),
    "error": v4.new_output("error", ename="E", evalue=HOSTILE, traceback=[HOSTILE]),
    "svg with script": shown({"image/svg+xml": SVG.replace("<path", "<script>alert(1)</script><path")}),
    "png": shown({"image/png": f'{PNG}"><script>alert(1)</script>'}),
}


@pytest.mark.filterwarnings("ignore:Your element with mimetype")
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_no_output_becomes_executable_markup(kind):
    assert_inert(report.notebook_html(notebook(EVERY_KIND[kind])))


def test_no_markdown_or_raw_cell_becomes_executable_markup():
    made = notebook(markdown="# A title\n\n" + HOSTILE_MARKDOWN + HOSTILE)
    made.cells.append(v4.new_raw_cell(HOSTILE, metadata={"raw_mimetype": "text/html"}))
    assert_inert(report.notebook_html(made))


def test_code_that_holds_markup_is_shown_as_code():
    made = v4.new_notebook(cells=[v4.new_code_cell(f'text = "{HOSTILE}"')])
    body = report.notebook_html(made)
    assert_inert(body)
    assert "<script>alert(1)</script>" in Page(body).text


@pytest.mark.parametrize("kind", ["stdout", "plain", "markdown", "raw html", "data frame"])
def test_what_the_model_wrote_is_still_there_to_read(kind):
    text = Page(report.notebook_html(notebook(EVERY_KIND[kind]))).text
    assert "alert(1)" in text
    assert "<script>" in text


def test_progress_and_warnings_stay_out_of_the_report_and_in_the_notebook():
    made = notebook(EVERY_KIND["stderr"])
    assert "alert(1)" not in Page(report.notebook_html(made)).text
    assert [output.name for cell in made.cells if cell.cell_type == "code" for output in cell.outputs] == ["stderr"]


def test_the_words_of_a_removed_link_stay():
    body = report.notebook_html(notebook(shown({"text/markdown": "See [the rule](https://evil.example/)."})))
    assert "See the rule." in Page(body).text


def test_headings_lists_emphasis_code_and_tables_of_markdown_survive():
    markdown = "## Heading\n\n- one **two**\n\n> said\n\n`x < 1`\n\n| a | b |\n|---|--:|\n| 1 | 2 |"
    for body in (
        report.notebook_html(notebook(markdown=markdown)),
        report.notebook_html(notebook(shown({"text/markdown": markdown}))),
    ):
        page = Page(body)
        assert {"h2", "ul", "li", "strong", "blockquote", "code", "table", "thead", "th", "td"} <= page.names()
        assert page.inside("h2").startswith("Heading")
        assert "x < 1" in page.inside("code")
        assert page.inside("th") == "a b"
        assert page.inside("td") == "1 2"


def test_a_data_frame_is_a_table_without_its_style_as_text():
    page = Page(report.notebook_html(notebook(shown({"text/html": pd.DataFrame({"n": [317]})._repr_html_()}))))
    assert {"table", "th", "td"} <= page.names()
    assert page.inside("td") == "317"
    assert "vertical-align" not in page.text


def test_merged_header_cells_of_a_data_frame_keep_their_span():
    wide = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["x"], ["low", "high"]]))
    page = Page(report.notebook_html(notebook(shown({"text/html": wide._repr_html_()}))))
    assert [attributes["colspan"] for tag, attributes in page.tags if "colspan" in attributes] == ["2"]


def images(body: str) -> list[str]:
    return [attributes["src"] for tag, attributes in Page(body).tags if tag == "img" and "src" in attributes]


def test_png_and_svg_figures_are_inside_the_page_byte_for_byte():
    png, svg = images(report.notebook_html(notebook(shown({"image/png": PNG}), shown({"image/svg+xml": SVG}))))
    assert png == f"data:image/png;base64,{PNG}"
    kind, _, data = svg.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == SVG


def test_code_is_folded_and_its_output_is_not():
    page = Page(report.notebook_html(notebook(v4.new_output("stream", name="stdout", text="forty-two"))))
    assert "answer = 6 * 7" in page.inside("details")
    assert "forty-two" in page.text
    assert "forty-two" not in page.inside("details")
    folds = [attributes for tag, attributes in page.tags if tag == "details"]
    assert folds == [{"class": "code"}], "one fold, closed"


def test_a_report_of_harmless_text_is_not_changed_by_cleaning():
    body = report.notebook_html(notebook(shown({"text/markdown": "5 < 6 & 7 > 2, Rs 1,00,000"})))
    assert "5 < 6 & 7 > 2, Rs 1,00,000" in Page(body).text


def test_cleaning_twice_is_cleaning_once():
    once = report.clean_markup(DATAFRAME._repr_html_() + HOSTILE)
    assert report.clean_markup(once) == once


def test_the_page_forbids_scripts_and_requests():
    policies = [
        attributes["content"]
        for tag, attributes in Page(markup.page("t", "")).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    rules = dict(rule.split(maxsplit=1) for rule in policies[0].split("; "))
    assert rules == {"default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'"}


def test_the_policy_comes_before_anything_that_could_load():
    tags = [tag for tag, _ in Page(markup.page("t", "<img src='data:image/png;base64,'>")).tags]
    assert tags.index("style") > tags.index("meta")
    assert "@import" not in markup.STYLE
    assert "url(" not in markup.STYLE


def test_a_title_is_text():
    assert "<script>" in Page(markup.page("<script>x</script>", "")).inside("title")
    assert_inert(markup.page("</title><script>alert(1)</script>", ""))


def test_every_cell_and_header_of_a_table_is_escaped():
    made = markup.table_html([HOSTILE, "b & c"], [["<b>", "'\""], [HOSTILE, "1 < 2"]])
    assert_inert(made)
    page = Page(made)
    assert page.names() == {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.text.count(HOSTILE) == 2
    assert "1 < 2" in page.text


def test_progress_and_warnings_do_not_last_and_results_do():
    passing = [EVERY_KIND["stderr"], EVERY_KIND["widget"]]
    kept = [output for kind, output in EVERY_KIND.items() if kind not in ("stderr", "widget")]
    assert report.lasting([passing[0], *kept, passing[1]]) == kept


CLAIMS = {
    "C1": {"claim": f"It holds. {HOSTILE}", "verdict": "held", "evidence": f"d = 1 {HOSTILE}", "rows": []},
    "C2": {"claim": "It does not.", "verdict": "not_held", "evidence": "d = 0; p = 0.3 | e = 1; p = 0.4", "rows": []},
    "C3": {"claim": "Who knows.", "verdict": "undecided", "evidence": "none", "rows": []},
}


def test_claims_are_marked_by_more_than_colour_and_escaped():
    markup = index.claims_html(CLAIMS)
    assert_inert(markup)
    for mark in ("● held", "○ not held", "◌ undecided"):
        assert mark in markup
    turned = index.claims_html(dict(reversed(CLAIMS.items())))
    assert turned.index("● held") < turned.index("○ not held") < turned.index("◌ undecided")
    # Folded, every test is there; before it, each contrast alone.
    assert markup.index("<p>d = 0</p><p>e = 1</p>") < markup.index("<li>d = 0; p = 0.3</li><li>e = 1; p = 0.4</li>")


def line(name, value, low, high, n=40):
    return {"id": name, "value": value, "low": low, "high": high, "n": n, "unit": "share", "notebook": "01"}


SCOREBOARD = [
    line("accuracy/paraphrase/base", 0.1, 0.05, 0.204),
    line("accuracy/paraphrase/rag", 0.6, 0.5, 0.7),
    line("style/rag", 0.25, 0.1, 0.4),
    line("style/base", 0.0, 0.0, 0.1),
    line("hallucination/base", 0.83, 0.7, 0.9),
    line("cost/latency_ms/base", 500, None, None),
    line("cost/latency_ms/rag", 1500, None, None),
    line("cost/index_seconds", 12, None, None),
    line("accuracy/trained/lora_raw", 0.9, 0.8, 1),
]


def test_the_headline_rows_are_the_scoreboard_in_percent():
    assert index.headline_rows(STUDY, {one["id"]: one for one in SCOREBOARD}, None) == [
        ["base", "the model as it is", "10 % (5 to 20)", "40", "0 %", "83 %"],
        ["rag", "the untouched model with retrieved passages", "60 % (50 to 70)", "40", "25 %", ""],
    ]


@pytest.fixture
def out(tmp_path, monkeypatch):
    """The folder of a study that ran: one notebook and a failed one, the claims, the scoreboard and the figure."""
    monkeypatch.setattr(paths, "OUT", tmp_path)
    folder = tmp_path / "made_up"
    (folder / "notebooks").mkdir(parents=True)
    made = notebook(*(output for kind, output in EVERY_KIND.items() if kind not in ("javascript", "widget")))
    nbformat.write(made, folder / "notebooks" / "01_first.ipynb")
    nbformat.write(made, folder / "notebooks" / "02_second.failed.ipynb")
    (folder / "claims.json").write_text(json.dumps(CLAIMS), encoding="utf-8")
    (folder / "scoreboard.json").write_text(json.dumps(SCOREBOARD), encoding="utf-8")
    (folder / "headline.svg").write_text('<?xml version="1.0"?>\n' + SVG, encoding="utf-8")
    return folder


STUDY = SimpleNamespace(
    name="made_up",
    title=f"Made up {HOSTILE}",
    registration="0123abcd",
    conditions={
        name: SimpleNamespace(weights="base", context=c, unless_surer=None)
        for name, c in (("base", "none"), ("rag", "retrieved"))
    },
    recipes={},
    grids={},
    hybrid_candidates=("rag",),
    decision=Decision(
        approaches={"neither": "base", "retrieval": "rag"},
        least_accuracy=0.4,
        least_style=0.0,
        most_latency_ms=2000,
        answers_per_month=1000,
        updates_per_month=1,
        usd_per_machine_hour=3.6,
        most_usd_per_month=10,
    ),
)


def test_the_reports_are_written_whole_and_inert(out):
    written = report.write_reports(STUDY)
    assert written == out / "report" / "index.html"
    assert sorted(path.name for path in (out / "report").iterdir()) == ["01_first.html", "index.html"]
    page = (out / "report" / "01_first.html").read_text(encoding="utf-8")
    assert_inert(page)
    assert "Content-Security-Policy" in page
    assert [a["href"] for tag, a in Page(page).tags if tag == "a" and a.get("href", "").endswith(".html")] == [
        "index.html"
    ]


def test_the_index_has_headline_figure_claims_and_links_and_nothing_active(out):
    markup = report.write_reports(STUDY).read_text(encoding="utf-8")
    page = Page(markup)
    assert page.inside("figure") == ""
    assert [tag for tag, _ in page.tags].count("svg") == 1, "the headline figure, drawn in the page"
    assert_inert(markup.replace(SVG, ""))
    assert [a["href"] for tag, a in page.tags if tag == "a"] == ["01_first.html"]
    assert "0123abcd" in page.text
    assert "10 % (5 to 20)" in page.text
    assert "Of 3 registered claims, held: 1 (C1); not held: 1 (C2); undecided: 1 (C3)." in page.text
    assert "Advice: retrieval." in page.text
    assert "<?xml" not in markup


def test_the_index_says_what_the_hybrid_is_by_what_a_notebook_wrote_down(out):
    (out / "scoreboard.json").write_text(json.dumps([*SCOREBOARD, line("accuracy/paraphrase/hybrid", 0.5, 0.4, 0.6)]))
    with pytest.raises(ValueError, match="which candidate `hybrid` stands for"):
        report.write_reports(STUDY)
    (out / "06_hybrid").mkdir()
    (out / "06_hybrid" / "summary.json").write_text(json.dumps({"metrics": {"hybrid": "rag"}}), encoding="utf-8")
    assert "not tuned and fed by retrieval" in Page(report.write_reports(STUDY).read_text(encoding="utf-8")).text


def test_pages_beside_the_notebooks_are_written_and_those_at_the_top_are_linked(out, monkeypatch):
    made = {"judge_card.html": ("Judge <card>", "<p>trusted</p>"), "sources/cut/a.html": ("A", "<p>guide</p>")}
    monkeypatch.setattr(report, "beside_notebooks", lambda study: made)
    written = report.write_reports(STUDY).read_text(encoding="utf-8")
    assert "<p>trusted</p>" in (out / "report" / "judge_card.html").read_text(encoding="utf-8")
    assert "<p>guide</p>" in (out / "report" / "sources" / "cut" / "a.html").read_text(encoding="utf-8")
    assert [a["href"] for tag, a in Page(written).tags if tag == "a"] == ["01_first.html", "judge_card.html"]
    assert "Judge <card>" in Page(written).text


def test_writing_the_reports_again_changes_nothing(out):
    def written():
        folder = report.write_reports(STUDY).parent
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    assert written() == written()


def test_without_an_executed_notebook_the_command_to_run_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"made_up; run `make reproduce`"):
        report.write_reports(STUDY)
