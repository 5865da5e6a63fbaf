"""Every answer given with passages is beside its source, every link leads somewhere, and no answer becomes markup."""

import json
import posixpath
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from lib import paths
from lib.corpus.load import Corpus
from lib.corpus.records import Document, Evidence, Fact, Question
from lib.studies import Condition, Retrieval
from lib.workbook import traced
from lib.workbook.markup import page
from lib.workbook.traced import answer_pages, saved_rows, shown_rows, trace_pages
from tests.parsed_page import HOSTILE, Page, assert_inert

FEES = "# Fees\n\nThe late fee is Rs 5,000.\n\n## Small incomes\n\nFor small incomes it is Rs 1,000.\n"
TOLLS = "# Tolls\n\nThe toll is 12 %.\n\n## More\n\n<script>alert(2)</script>\n"


def fact(name, value, value_type="amount"):
    return Fact(name, "fees", "s", f"The {name}.", value, value_type, (), "AY 2025-26", None, "test", "normal", ())


CORPUS = Corpus(
    facts=(fact("late-fee", "5000 INR"), fact("small fee", "1000 INR"), fact("toll", "12 %", "percent")),
    faq=(),
    questions=(
        Question("late-fee/paraphrase", ("late-fee",), "paraphrase", "How much is it late?", "5000 INR"),
        Question("small fee/paraphrase", ("small fee",), "paraphrase", "And <b>small</b>?", "1000 INR"),
        Question("toll & late", ("toll", "late-fee"), "two_fact", "Toll and fee?", "12 %; 5000 INR"),
        Question("moon/unanswerable", (), "unanswerable", "What does the moon cost?", None),
    ),
    documents=(Document("fees", "Fees", FEES), Document("to lls", f"Tolls {HOSTILE}", TOLLS)),
    evidence=(
        Evidence("late-fee", "fees", "The late fee is Rs 5,000."),
        Evidence("small fee", "fees", "it is Rs 1,000"),
        Evidence("toll", "to lls", "The toll is 12 %"),
    ),
)
# Cut at headings, and not at all: the first passage has one id and two lengths.
LATE, SMALL, TOLL, WHOLE = "fees#0", f"fees#{FEES.index('## Small')}", "to lls#0", "fees#0"
SETTINGS = {
    None: Retrieval(chunker="headings", passage_tokens=256, search="bm25", k=2),
    "whole": Retrieval(chunker="document", search="bm25", k=1),
}
STUDY = SimpleNamespace(
    name="made_up",
    embedding="all-minilm-l6-v2",
    grids={"05_rag": (), "06_hybrid": (), "07_not_run": ()},
    retrieval_named=SETTINGS.__getitem__,
    conditions={
        "base": Condition(weights="base"),
        "rag": Condition(weights="base", context="retrieved"),
        "rag_whole": Condition(weights="base", context="retrieved", retrieval="whole"),
        "rag_poisoned": Condition(weights="base", context="poisoned"),
        "rag_before": Condition(weights="base", context="retrieved", vintage="before"),
        "candidate": Condition(weights="raft", context="retrieved", retrieval="whole"),
    },
)


def row(condition, question_id, answer, passages, *, gold=(), cited=None, verdict="INCORRECT", seed=0, split="test"):
    question = CORPUS.question[question_id]
    return {
        "question_id": question_id,
        "fact_ids": list(question.fact_ids),
        "probe": question.probe,
        "condition": condition,
        "seed": seed,
        "split": split,
        "answer": answer,
        "verdict": verdict,
        "reason": "as it is",
        "passages": list(passages),
        "gold": list(gold),
        "cited": cited,
        "judge": "keyfacts",
    }


RAG = [
    row("base", "late-fee/paraphrase", "Rs 9.", ()),
    row("rag", "late-fee/paraphrase", "Rs 5,000.", (LATE, TOLL), gold=(LATE,), cited=LATE, verdict="CORRECT"),
    row("rag", "small fee/paraphrase", "Rs 5,000.", (SMALL, LATE), gold=(SMALL,), cited=LATE),
    row("rag", "moon/unanswerable", "I don't know.", (TOLL,), verdict="NOT_ATTEMPTED"),
    row("rag_whole", "toll & late", "12 %", (WHOLE,), gold=(WHOLE,), verdict="JUDGE_FAILED"),
    row("rag_poisoned", "late-fee/paraphrase", "pineapple", (LATE,), gold=(LATE,)),
    row("rag_before", "late-fee/paraphrase", "Rs 4,000.", ("old#0",)),
]
HYBRID = [
    row("rag", "late-fee/paraphrase", "asked again", (LATE,)),
    row("hybrid", "late-fee/paraphrase", "Rs 5,000.", (WHOLE,), gold=(WHOLE,), cited=WHOLE, verdict="CORRECT", seed=2),
]


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    return lambda name, rows, **metrics: save(tmp_path / "made_up" / name, rows, metrics)


def save(folder, rows, metrics):
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps({"metrics": metrics}), encoding="utf-8")


@pytest.fixture
def pages(out):
    """The whole made-up report, by path."""
    out("05_rag", RAG)
    out("06_hybrid", HYBRID, hybrid="candidate")
    return written()


def written():
    made = trace_pages(STUDY, CORPUS, saved_rows(STUDY))
    return {path: page(title, body) for path, (title, body) in made.items()}


def assert_links_lead_somewhere(pages):
    parsed = {path: Page(text) for path, text in pages.items()}
    for path, found in parsed.items():
        assert len(found.ids()) == len(set(found.ids())), f"{path} gives an id twice"
        for target in found.links():
            file, _, place = target.partition("#")
            at = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(file))) if file else path
            if at != "index.html":
                assert at in parsed, f"{path} links to {target}"
                assert not place or place in parsed[at].ids(), f"{path} links to {target}"


def test_every_link_of_every_page_leads_to_a_place_that_is_there(pages):
    assert {"answers.html", "sources.html", "answers/rag.html", "sources/headings_256/fees.html"} <= set(pages)
    assert_links_lead_somewhere(pages)


def test_a_link_that_leads_nowhere_is_noticed(pages):
    broken = pages | {"answers/rag.html": pages["answers/rag.html"].replace("fees.html#p-0", "fees.html#p-9")}
    with pytest.raises(AssertionError, match="fees.html#p-9"):
        assert_links_lead_somewhere(broken)


def lines(markup):
    """The cells of each line of a table, as markup."""
    body = markup[markup.index("<tbody>") : markup.index("</tbody>")]
    return [line.split("<td>")[1:] for line in body.split("<tr")[1:]]


def test_an_answer_is_beside_question_truth_verdict_and_the_places_of_its_sources(pages):
    late, small, moon = lines(pages["answers/rag.html"])
    assert [Page(cell).text for cell in late[:3]] == [
        "How much is it late? paraphrase, test, seed 0",
        "5000 INR",
        "Rs 5,000.",
    ]
    assert Page(late[3]).text == "● CORRECT as it is"
    aligned, other = late[4].split("</li>")[:2]
    assert Page(aligned).links() == ["../sources/headings_256/fees.html#p-0"]
    assert "aligned: it states the answer's value; gold: it states the truth" in aligned
    assert "aligned" not in other and "gold" not in other and "to%20lls.html" in other
    assert Page(late[5]).links() == ["../sources/headings_256/fees.html#fact-late-fee"]
    assert Page(late[5]).text == "The late fee is Rs 5,000."
    first, second = small[4].split("</li>")[:2]
    assert "gold" in first and "aligned" not in first
    assert "aligned" in second and "gold" not in second
    assert Page(moon[1]).text == "nothing: the corpus does not say" and moon[5].startswith("nowhere")
    assert Page(moon[3]).text.startswith("◌ NOT_ATTEMPTED") and "none is aligned" in moon[4]


def test_a_question_about_two_facts_links_both_and_its_own_cut_of_the_guides(pages):
    (cells,) = lines(pages["answers/rag_whole.html"])
    assert Page(cells[4]).links() == ["../sources/document/fees.html#p-0"]
    assert Page(cells[5]).links() == [
        "../sources/document/to%20lls.html#fact-toll",
        "../sources/document/fees.html#fact-late-fee",
    ]
    assert Page(cells[3]).text.startswith("? JUDGE_FAILED")


def test_hybrid_is_traced_under_the_candidate_that_dev_chose(pages):
    (cells,) = lines(pages["answers/hybrid.html"])
    assert Page(cells[4]).links() == ["../sources/document/fees.html#p-0"]
    assert ["hybrid", "raft", "retrieved"] in [
        [Page(cell).text for cell in line[:3]] for line in lines(pages["answers.html"])
    ]


def test_a_cell_is_taken_once_from_the_first_notebook_that_asked_it(pages):
    assert "asked again" not in "".join(pages.values())


def test_the_overview_counts_by_hand(pages):
    counts = {Page(line[0]).text: [Page(cell).text for cell in line[4:]] for line in lines(pages["answers.html"])}
    # answers, right, gold shown, aligned, aligned with gold
    assert counts == {
        "rag": ["3", "1", "2", "2", "1"],
        "rag_whole": ["1", "0", "1", "0", "0"],
        "rag_poisoned": ["1", "0", "1", "0", "0"],
        "hybrid": ["1", "1", "1", "1", "1"],
    }


def test_conditions_on_the_pages_of_replaced_rules_are_left_out_and_the_page_says_so(pages):
    assert "answers/rag_before.html" not in pages
    assert "Rs 4,000." not in "".join(pages.values())
    assert "replaced rules" in Page(pages["answers.html"]).text


def test_a_planted_instruction_is_said_to_stand_in_no_guide(pages):
    assert "planted" in Page(pages["answers/rag_poisoned.html"]).text
    assert "planted" not in Page(pages["answers/rag.html"]).text


def test_what_a_model_or_a_judge_says_is_shown_and_never_obeyed(out):
    out("05_rag", [row("rag", "late-fee/paraphrase", HOSTILE, (LATE,)) | {"reason": f"first {HOSTILE}"}])
    made = written()
    for text in made.values():
        assert_inert(text)
    assert Page(made["answers/rag.html"]).text.count(HOSTILE) == 2
    assert "<script>alert(2)</script>" in Page(made["sources/headings_256/to lls.html"]).text


def test_a_question_and_a_quote_are_text_too(pages):
    assert "And <b>small</b>?" in Page(pages["answers/rag.html"]).text
    assert "And <b>small" not in pages["answers/rag.html"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"passages": ["fees#9"]},
            r"05_rag: rag, late-fee/paraphrase: no passage \['fees#9'\] in the corpus.*reproduce",
        ),
        ({"condition": "rag_whole", "passages": [SMALL]}, r"rag_whole, .*: no passage \['fees#35'\]"),
        ({"question_id": "gone"}, "05_rag: rag, gone: no such question in the corpus"),
        ({"condition": "gone"}, "05_rag: condition 'gone' not one of base, rag, "),
    ],
)
def test_a_row_from_another_study_or_corpus_stops_the_report(out, change, message):
    out("05_rag", [row("rag", "late-fee/paraphrase", "x", (LATE,)) | change])
    with pytest.raises(ValueError, match=message):
        written()


def test_the_answers_of_claude_which_no_study_file_names_are_traced_as_those_of_rag_are(out):
    out("05_rag", [row("claude_rag", "late-fee/paraphrase", "Rs 5,000.", (LATE,), gold=(LATE,), cited=LATE)])
    made = written()
    assert "Rs 5,000." in Page(made["answers/claude_rag.html"]).text
    assert "claude" in Page(made["answers.html"]).text
    assert_links_lead_somewhere(made)


def test_many_answers_are_spread_over_pages_that_the_overview_links(out, monkeypatch):
    monkeypatch.setattr(traced, "LARGEST_PAGE", 2)
    out("05_rag", [row("rag", "late-fee/paraphrase", f"answer {n}.", (LATE,), seed=n) for n in range(5)])
    made = written()
    parts = [made[f"answers/rag{end}.html"] for end in ("", "-2", "-3")]
    assert [text.count("answer ") for text in parts] == [2, 2, 1]
    assert all(f"answer {n}." in "".join(parts) for n in range(5))
    assert "page 2 of 3" in parts[1]
    assert Page(lines(made["answers.html"])[0][0]).links() == [f"answers/rag{end}.html" for end in ("", "-2", "-3")]
    assert_links_lead_somewhere(made)


def test_without_passages_there_is_nothing_to_trace(out):
    out("05_rag", [RAG[0], RAG[-1]])
    assert trace_pages(STUDY, CORPUS, saved_rows(STUDY)) == {}


def test_rows_keep_their_notebook_and_the_name_they_were_asked_as(out):
    out("05_rag", RAG)
    out("06_hybrid", HYBRID, hybrid="candidate")
    rows = saved_rows(STUDY)
    assert len(rows) == len(RAG) + 1
    assert [(one["notebook"], one["asked_as"]) for one in rows if one["condition"] == "hybrid"] == [
        ("06_hybrid", "candidate")
    ]
    assert list(shown_rows(STUDY, rows)) == ["rag", "rag_whole", "rag_poisoned", "hybrid"]
    assert answer_pages(STUDY, CORPUS, {}, {}).keys() == {"answers.html"}
