"""The corpus loader: the real data loads, every kind of broken copy is refused, and limits nest."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import paths
from lib.corpus.load import describe, load_corpus
from lib.corpus.matching import agrees, states
from lib.corpus.values import parse_value

SPLITS = ("test", "dev", "raft", "neighbour", "easy", "general")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("data/itr")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(paths.DATA / "itr", tmp_path / "copy")
    return tmp_path / "copy"


def rows_of(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").split("\n") if line]


def put(folder, name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def position(rows, wanted):
    """The first row that is `wanted`, as an index; its line is one more."""
    return next(index for index, row in enumerate(rows) if wanted(row))


def edit(folder, name, wanted=lambda row: True, **fields):
    """Change fields of the first row that is `wanted`; returns the place that an error must name."""
    rows = rows_of(folder, name)
    index = position(rows, wanted)
    rows[index] |= fields
    put(folder, name, rows)
    return f"{name}.jsonl:{index + 1}: "


def with_value_type(folder, *types):
    """A test whether a row is about a fact of one of these value types."""
    ids = {row["id"] for row in rows_of(folder, "facts") if row["value_type"] in types}
    return lambda row: (row["fact_ids"] if "fact_ids" in row else [row["fact_id"]])[0] in ids


def bad_json(folder):
    lines = (folder / "facts.jsonl").read_text(encoding="utf-8").split("\n")
    lines[4] = lines[4][:-1]
    (folder / "facts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "facts.jsonl:5: not JSON"


def blank_line(folder):
    lines = (folder / "faq.jsonl").read_text(encoding="utf-8").split("\n")
    (folder / "faq.jsonl").write_text("\n".join([*lines[:2], "", *lines[2:]]), encoding="utf-8")
    return "faq.jsonl:3: not JSON"


def not_an_object(folder):
    put(folder, "evidence", [[1, 2], *rows_of(folder, "evidence")])
    return "evidence.jsonl:1: "


def missing_field(folder):
    rows = rows_of(folder, "facts")
    del rows[2]["value"]
    put(folder, "facts", rows)
    return "facts.jsonl:3: value: "


def misspelt_optional_field(folder):
    return edit(folder, "questions", screen_txt="?") + "unknown field 'screen_txt'; the fields are id, fact_ids, probe"


def number_for_text(folder):
    return edit(folder, "faq", raw_answer=7) + "raw_answer: Input should be a valid string; got '7'"


def unknown_value_type(folder):
    where = edit(folder, "facts", value_type="money")
    return where + "value_type: Input should be 'amount', 'date', "


def unknown_split(folder):
    return edit(folder, "facts", split="train") + "split: Input should be 'test', 'dev', 'raft', "


def unknown_probe(folder):
    return edit(folder, "questions", probe="parafrase") + "probe: Input should be 'trained', 'paraphrase', "


def unknown_style(folder):
    return edit(folder, "faq", raw_style="neat") + "raw_style: Input should be 'terse', "


def same_fact_id(folder):
    rows = rows_of(folder, "facts")
    put(folder, "facts", [*rows, rows[0]])
    return f"facts.jsonl:{len(rows) + 1}: id {rows[0]['id']!r} occurs twice"


def same_question_id(folder):
    rows = rows_of(folder, "questions")
    put(folder, "questions", [rows[0], *rows])
    return f"questions.jsonl:2: id {rows[0]['id']!r} occurs twice"


def question_about_an_unknown_fact(folder):
    return edit(folder, "questions", fact_ids=["no-such"]) + "fact_ids ['no-such'] not in facts.jsonl"


def faq_about_an_unknown_fact(folder):
    return edit(folder, "faq", fact_ids=["no-such"]) + "fact_ids ['no-such'] not in facts.jsonl"


def faq_about_nothing(folder):
    return edit(folder, "faq", fact_ids=[]) + f"{rows_of(folder, 'faq')[0]['id']}: fact_ids is empty"


def question_about_nothing(folder):
    return edit(folder, "questions", fact_ids=[]) + f"{rows_of(folder, 'questions')[0]['id']}: fact_ids is empty"


def evidence_for_an_unknown_fact(folder):
    return edit(folder, "evidence", fact_id="no-such") + "fact_id 'no-such' not in facts.jsonl"


def evidence_in_an_unknown_guide(folder):
    return edit(folder, "evidence", document="no-such") + "document 'no-such' not one of ["


def supersedes_an_unknown_fact(folder):
    name = rows_of(folder, "facts")[0]["id"]
    return edit(folder, "facts", supersedes="no-such") + f"{name} supersedes 'no-such', not in facts.jsonl"


def chain_across_splits(folder):
    rows = rows_of(folder, "facts")
    split = {row["id"]: row["split"] for row in rows}
    other = next(row["id"] for row in rows if row["split"] != split[rows[0]["id"]])
    where = edit(folder, "facts", supersedes=other)
    return where + f"{rows[0]['id']} ({rows[0]['split']}) supersedes {other} ({split[other]}); a chain stays within"


def question_across_splits(folder):
    rows = rows_of(folder, "facts")
    other = next(row["id"] for row in rows if row["split"] != rows[0]["split"])
    return edit(folder, "questions", fact_ids=[rows[0]["id"], other]) + f"{rows_of(folder, 'questions')[0]['id']} mixes"


def quote_not_in_the_guide(folder):
    return edit(folder, "evidence", quote="No guide says this.") + "quote not found word for word in "


def quote_in_other_words(folder):
    quote = rows_of(folder, "evidence")[0]["quote"]
    return edit(folder, "evidence", quote=quote.replace(" ", "  ", 1)) + "quote not found word for word in "


def value_that_cannot_be_read(folder):
    return edit(folder, "facts", lambda row: row["value_type"] == "amount", value="a good deal")


def raw_answer_without_the_value(folder):
    row = rows_of(folder, "faq")[0]
    where = edit(folder, "faq", raw_answer="It depends.")
    return where + f"{row['id']}: raw_answer does not state "


def uniform_answer_with_another_value(folder):
    where = edit(folder, "faq", with_value_type(folder, "amount"), uniform_answer="In short: Rs 7. You pay Rs 7.")
    return where + "faq-"


def quote_without_the_value(folder):
    rows = rows_of(folder, "evidence")
    index = position(rows, with_value_type(folder, "amount", "date", "percent"))
    guide = folder / "documents" / f"{rows[index]['document']}.md"
    guide.write_text(guide.read_text(encoding="utf-8") + "\nNothing to see here.\n", encoding="utf-8")
    rows[index]["quote"] = "Nothing to see here."
    put(folder, "evidence", rows)
    return f"evidence.jsonl:{index + 1}: {rows[index]['fact_id']}: quote does not state "


def expected_null_for_an_answerable_question(folder):
    return edit(folder, "questions", expected=None) + f"{rows_of(folder, 'questions')[0]['id']}: expected is null for"


def expected_value_for_an_unanswerable_question(folder):
    return edit(folder, "questions", lambda row: row["probe"] == "unanswerable", expected="5") + "unanswerable-"


def choice_of_two(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "choice")
    rows[index]["choices"] = [*rows[index]["choices"][:2], rows[index]["choices"][0]]
    put(folder, "questions", rows)
    return f"questions.jsonl:{index + 1}: {rows[index]['id']}: a choice needs 3"


def choice_with_a_right_distractor(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "choice")
    rows[index]["choices"][2] = rows[index]["choices"][0]
    put(folder, "questions", rows)
    return f"questions.jsonl:{index + 1}: {rows[index]['id']}: the distractor {rows[index]['choices'][0]!r} is right"


def choice_that_opens_with_a_distractor(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "choice")
    rows[index]["choices"] = rows[index]["choices"][1:] + rows[index]["choices"][:1]
    put(folder, "questions", rows)
    return f"questions.jsonl:{index + 1}: {rows[index]['id']}: the first choice {rows[index]['choices'][0]!r} is not"


def paraphrase_that_tells_its_answer(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "paraphrase" and row["expected"].endswith("INR"))
    rows[index]["text"] += f" Is it Rs {rows[index]['expected'].split()[0]}?"
    put(folder, "questions", rows)
    return f"questions.jsonl:{index + 1}: {rows[index]['id']}: the question contains its answer"


def cloze_without_a_blank(folder):
    where = edit(folder, "questions", lambda row: row["probe"] == "cloze", text="Fill in the blank: it is due.")
    return where + next(row["id"] for row in rows_of(folder, "questions") if row["probe"] == "cloze")


def reverse_without_a_type(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "reverse")
    return edit(folder, "questions", lambda row: row["probe"] == "reverse", value_type=None) + rows[index]["id"]


def two_facts_with_one_value(folder):
    rows = rows_of(folder, "questions")
    index = position(rows, lambda row: row["probe"] == "two_fact")
    alone = rows[index]["expected"].split("; ")[0]
    return edit(folder, "questions", lambda row: row["probe"] == "two_fact", expected=alone) + rows[index]["id"]


def training_wording_without_the_value(folder):
    where = edit(folder, "paraphrases", answer="It depends.")
    return where + f"{rows_of(folder, 'paraphrases')[0]['id']}: answer does not state "


def training_wording_of_an_unknown_item(folder):
    return edit(folder, "paraphrases", faq_id="no-such") + "faq_id 'no-such' not in faq.jsonl"


def replacement_quote_of_the_other_time(folder):
    row = rows_of(folder, "replacements")[0]
    return edit(folder, "replacements", after_quote=row["before_quote"]) + "quote not found word for word in "


def replacement_answer_of_the_other_time(folder):
    row = rows_of(folder, "replacements")[0]
    where = edit(folder, "replacements", after_answer=row["before_answer"])
    return where + f"{row['id']}: after_answer does not state "


def replacement_the_wrong_way_round(folder):
    rows = rows_of(folder, "replacements")
    old, new = rows[0]["before"], rows[0]["after"]
    edit(folder, "replacements", before=new, after=old)
    return f"replacements.jsonl:1: {rows[0]['id']}: {old} does not supersede {new}"


def replacement_on_an_unknown_page(folder):
    return edit(folder, "replacements", document="no-such") + "document 'no-such' not one of ["


def expected_value_of_another_fact(folder):
    row = next(row for row in rows_of(folder, "questions") if row["probe"] == "paraphrase")
    where = edit(folder, "questions", lambda row: row["probe"] == "paraphrase", expected="banana")
    return where + f"{row['id']}: expected 'banana' is not {row['expected']!r}"


def expected_choice_of_another_value(folder):
    row = next(row for row in rows_of(folder, "questions") if row["probe"] == "choice")
    where = edit(folder, "questions", lambda row: row["probe"] == "choice", expected=row["choices"][1])
    return where + f"{row['id']}: expected {row['choices'][1]!r} is not {row['expected']!r}"


def choice_of_nothing(folder):
    where = edit(folder, "questions", lambda row: row["probe"] == "choice", choices=[])
    row = next(row for row in rows_of(folder, "questions") if row["probe"] == "choice")
    return where + f"{row['id']}: a choice needs 3"


def in_split(folder, *splits):
    """A test whether a row of questions is about a fact of one of these splits."""
    ids = {row["id"] for row in rows_of(folder, "facts") if row["split"] in splits}
    return lambda row: bool(row["fact_ids"]) and row["fact_ids"][0] in ids


def probe_of_another_split(folder):
    where = edit(folder, "questions", in_split(folder, "test"), probe="easy")
    return (
        where + f"{rows_of(folder, 'questions')[0]['id']}: probe 'easy' never asks for a fact of split test; neighbour"
    )


def untrained_fact_asked_by_another_probe(folder):
    asked = in_split(folder, "neighbour")
    name = next(row["id"] for row in rows_of(folder, "questions") if asked(row))
    return edit(folder, "questions", asked, probe="paraphrase") + f"{name}: probe 'paraphrase' never asks for a fact of"


def replaced_rule_among_the_questions(folder):
    name = rows_of(folder, "questions")[0]["id"]
    return (
        edit(folder, "questions", probe="current") + f"{name}: probe 'current' is asked from replacements.jsonl alone"
    )


def trained_question_of_another_name(folder):
    row = next(row for row in rows_of(folder, "questions") if row["probe"] == "trained")
    where = edit(folder, "questions", lambda other: other["probe"] == "trained", id="trained-1")
    return where + f"trained-1: a trained question has the id of its fact and /trained: {row['fact_ids'][0]}/trained"


def dev_item_without_its_question(folder):
    asked, rows = in_split(folder, "dev"), rows_of(folder, "faq")
    item = rows[position(rows, asked)]
    name = f"{item['fact_ids'][0]}/trained"
    put(folder, "questions", [row for row in rows_of(folder, "questions") if row["id"] != name])
    return f"faq.jsonl:{position(rows, asked) + 1}: {item['id']}: a dev item needs the question {name}"


def replacement_with_the_id_of_its_fact(folder):
    name = rows_of(folder, "replacements")[0]["after"]
    return edit(folder, "replacements", id=name) + f"id {name!r} is a fact's or a question's"


def replacement_with_the_id_of_a_question(folder):
    name = next(row["id"] for row in rows_of(folder, "questions") if row["probe"] == "paraphrase")
    return edit(folder, "replacements", id=name) + f"id {name!r} is a fact's or a question's"


def without_evidence(folder, split):
    rows = rows_of(folder, "facts")
    index = position(rows, lambda row: row["split"] == split)
    name = rows[index]["id"]
    put(folder, "evidence", [row for row in rows_of(folder, "evidence") if row["fact_id"] != name])
    return f"facts.jsonl:{index + 1}: {name} ({split}) has no evidence; quote the sentence of a guide"


def unquoted_test_fact(folder):
    return without_evidence(folder, "test")


def unquoted_dev_fact(folder):
    return without_evidence(folder, "dev")


def unquoted_raft_fact(folder):
    return without_evidence(folder, "raft")


def in_another_encoding(path):
    """Write a dash as Windows does into the third line; returns the place that an error must name."""
    lines = path.read_bytes().split(b"\n")
    lines[2] += b"\x96"
    path.write_bytes(b"\n".join(lines))
    return f"{path}:3: not UTF-8 (byte 0x96); save the file as UTF-8"


def faq_in_another_encoding(folder):
    return in_another_encoding(folder / "faq.jsonl")


def guide_in_another_encoding(folder):
    return in_another_encoding(sorted((folder / "documents").glob("*.md"))[0])


def page_in_another_encoding(folder):
    return in_another_encoding(sorted((folder / "vintages" / "after").glob("*.md"))[0])


def missing_file(folder):
    (folder / "faq.jsonl").unlink()
    return f"{folder / 'faq.jsonl'}: file not found; see data/README.md"


def no_documents(folder):
    shutil.rmtree(folder / "documents")
    return f"{folder / 'documents'}: no *.md guide found"


FAULTS = [
    bad_json,
    blank_line,
    not_an_object,
    missing_field,
    misspelt_optional_field,
    number_for_text,
    unknown_value_type,
    unknown_split,
    unknown_probe,
    unknown_style,
    same_fact_id,
    same_question_id,
    question_about_an_unknown_fact,
    faq_about_an_unknown_fact,
    faq_about_nothing,
    question_about_nothing,
    evidence_for_an_unknown_fact,
    evidence_in_an_unknown_guide,
    supersedes_an_unknown_fact,
    chain_across_splits,
    question_across_splits,
    quote_not_in_the_guide,
    quote_in_other_words,
    value_that_cannot_be_read,
    raw_answer_without_the_value,
    uniform_answer_with_another_value,
    quote_without_the_value,
    expected_null_for_an_answerable_question,
    expected_value_for_an_unanswerable_question,
    choice_of_two,
    choice_with_a_right_distractor,
    choice_that_opens_with_a_distractor,
    paraphrase_that_tells_its_answer,
    cloze_without_a_blank,
    reverse_without_a_type,
    two_facts_with_one_value,
    training_wording_without_the_value,
    training_wording_of_an_unknown_item,
    replacement_quote_of_the_other_time,
    replacement_answer_of_the_other_time,
    replacement_the_wrong_way_round,
    replacement_on_an_unknown_page,
    expected_value_of_another_fact,
    expected_choice_of_another_value,
    choice_of_nothing,
    probe_of_another_split,
    untrained_fact_asked_by_another_probe,
    replaced_rule_among_the_questions,
    trained_question_of_another_name,
    dev_item_without_its_question,
    replacement_with_the_id_of_its_fact,
    replacement_with_the_id_of_a_question,
    unquoted_test_fact,
    unquoted_dev_fact,
    unquoted_raft_fact,
    faq_in_another_encoding,
    guide_in_another_encoding,
    page_in_another_encoding,
    missing_file,
    no_documents,
]


def test_an_untouched_copy_loads_from_an_absolute_path(copy, corpus):
    assert load_corpus(str(copy)) == corpus


def test_a_folder_among_the_guides_is_no_guide(copy, corpus):
    (copy / "documents" / "sub.md").mkdir()
    assert load_corpus(str(copy)).documents == corpus.documents


def test_a_neighbour_is_asked_without_passages_and_may_lack_evidence(copy):
    neighbours = {row["id"] for row in rows_of(copy, "facts") if row["split"] == "neighbour"}
    put(copy, "evidence", [row for row in rows_of(copy, "evidence") if row["fact_id"] not in neighbours])
    assert len(load_corpus(str(copy)).ask("neighbour")) == len(neighbours)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_broken_copy_is_refused_with_file_and_line(copy, fault):
    said = fault(copy)
    with pytest.raises(ValueError) as caught:
        load_corpus(str(copy))
    lines = str(caught.value).splitlines()
    assert [line for line in lines if line.startswith(said)], lines


def test_several_problems_are_all_listed_and_many_are_cut(copy):
    rows = rows_of(copy, "facts")
    put(copy, "facts", [row | {"split": "train"} for row in rows])
    with pytest.raises(ValueError) as caught:
        load_corpus(str(copy))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"... and {len(rows) - 20} more"


def test_a_unicode_line_separator_does_not_cut_a_record(copy):
    answer = rows_of(copy, "faq")[0]["raw_answer"] + "\u2028More.\x85And more."
    edit(copy, "faq", raw_answer=answer)
    assert answer in [item.raw_answer for item in load_corpus(str(copy)).faq]


def test_a_mark_before_utf_8_and_lines_at_the_end_are_no_part_of_a_table(copy, corpus):
    for path in (copy / "facts.jsonl", copy / "documents" / "audit.md"):
        path = path if path.exists() else next((copy / "documents").glob("*.md"))
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + (b"\n\n" if path.suffix == ".jsonl" else b""))
    assert load_corpus(str(copy)) == corpus


@pytest.mark.parametrize(
    ("text", "said"), [("", "facts.jsonl: empty"), ('[{"id": "a"}]', "facts.jsonl:1: a JSON array; write one")]
)
def test_a_table_of_nothing_or_in_brackets_is_called_that(copy, text, said):
    (copy / "facts.jsonl").write_text(text)
    with pytest.raises(ValueError) as caught:
        load_corpus(str(copy))
    assert [line for line in str(caught.value).splitlines() if said in line]


# --- limits


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(SPLITS), st.integers(1, 40), st.integers(0, 40))
def test_a_larger_limit_contains_the_smaller(split, small, more):
    few = load_corpus("data/itr", **{split: small})
    many = load_corpus("data/itr", **{split: small + more})
    for name in ("faq", "questions", "evidence"):
        kept = dict.fromkeys(getattr(few, name))
        assert [row for row in getattr(many, name) if row in kept] == list(kept)
    assert {fact.id for fact in few.facts} <= {fact.id for fact in many.facts}
    assert sum(fact.split == split for fact in few.facts) == min(small, sum(f.split == split for f in many.facts))


def test_a_limit_on_one_split_leaves_the_others_whole(corpus):
    cut = load_corpus("data/itr", dev=3, unanswerable=5)
    for split in SPLITS:
        whole = sum(fact.split == split for fact in corpus.facts)
        assert sum(fact.split == split for fact in cut.facts) == (3 if split == "dev" else whole)
    assert cut.ask("unanswerable") == corpus.ask("unanswerable")[:5]


def test_nothing_points_to_a_fact_that_was_cut():
    cut = load_corpus("data/itr", test=7, dev=3, raft=3, neighbour=3, easy=3, general=3)
    kept = set(cut.fact)
    assert len(kept) == 22
    assert kept.issuperset(fact.supersedes for fact in cut.facts if fact.supersedes)
    assert kept.issuperset(fact_id for row in (*cut.faq, *cut.questions) for fact_id in row.fact_ids)
    assert kept.issuperset(item.fact_id for item in cut.evidence)


def test_asking_about_the_first_facts_asks_about_the_first_items(corpus):
    first = corpus.items("test", 5)
    asked = corpus.ask("paraphrase", "test", 5)
    assert {fact_id for item in first for fact_id in item.fact_ids} == {q.fact_ids[0] for q in asked}
    assert corpus.ask("paraphrase", "test", 10_000) == corpus.ask("paraphrase", "test")


@pytest.mark.parametrize("probe", ["neighbour", "easy", "general"])
def test_the_first_untrained_facts_are_those_that_a_limit_on_their_split_would_leave(corpus, probe):
    few = corpus.ask(probe, facts=7)
    assert len(few) == 7
    assert few == corpus.ask(probe, facts=20)[:7]
    assert {q.id for q in few} == {q.id for q in load_corpus("data/itr", **{probe: 7}).ask(probe)}
    assert {q.id for q in corpus.ask(probe, facts=10_000)} == {q.id for q in corpus.ask(probe)}


def test_screening_asks_the_same_questions_in_other_words(corpus):
    screened = [q for probe in ("paraphrase", "choice", "general") for q in corpus.screen(probe)]
    for question in screened:
        assert question.text == corpus.question[question.id].screen_text


def test_a_wording_left_unasked_screens_the_fact():
    both, one = (load_corpus("data/itr", test=6, wordings=wordings) for wordings in (None, 1))
    for question in one.ask("paraphrase"):
        first, second = (q for q in both.ask("paraphrase") if q.fact_ids == question.fact_ids)
        assert (question.id, question.text, question.screen_text) == (first.id, first.text, second.text)
    assert len(one.screen("paraphrase")) == 6
    assert both.screen("paraphrase") == [], "with every wording asked, none is left to screen by"


# --- what the real data promises


def test_the_counts_describe_the_corpus(corpus):
    counts = describe(corpus)
    assert sum(counts["facts by split"].values()) == len(corpus.facts)
    assert sum(counts["questions by probe"].values()) == len(corpus.questions)
    assert set(counts["facts by split"]) == set(SPLITS)


def test_no_tested_wording_was_trained_on(corpus):
    def plain(text):
        return " ".join(text.lower().split()).rstrip("?. ")

    trained = {plain(item.question) for item in corpus.faq}
    asked = [q for q in corpus.questions if q.probe not in ("trained", "choice") and corpus.split_of(q) == "test"]
    assert len(asked) > 100
    assert [q.id for q in asked if plain(q.text) in trained or plain(q.screen_text or "") in trained] == []
    assert [q.id for q in corpus.questions if q.screen_text and plain(q.screen_text) == plain(q.text)] == []


def test_the_trained_probe_is_the_wording_of_the_faq(corpus):
    trained = {item.fact_ids: item.question for item in corpus.faq}
    questions = [q for q in corpus.questions if q.probe == "trained"]
    assert questions
    assert [q.id for q in questions if trained[q.fact_ids] != q.text] == []


def test_no_fact_nor_wording_is_in_two_splits(corpus):
    seen = {}
    for item in corpus.faq:
        assert seen.setdefault(item.question, corpus.split_of(item)) == corpus.split_of(item)
    for fact in corpus.facts:
        for text in (fact.statement, fact.subject):
            assert seen.setdefault((text.lower(), fact.value), fact.split) == fact.split, fact.id


def test_only_test_dev_and_raft_facts_are_taught(corpus):
    assert {corpus.split_of(item) for item in corpus.faq} == {"test", "dev", "raft"}


def test_a_chain_of_replaced_facts_stays_within_its_split(corpus):
    chained = [fact for fact in corpus.facts if fact.supersedes]
    assert chained
    assert [fact.id for fact in chained if corpus.fact[fact.supersedes].split != fact.split] == []


def test_every_taught_fact_has_evidence(corpus):
    evidenced = {item.fact_id for item in corpus.evidence}
    assert {fact_id for item in corpus.faq for fact_id in item.fact_ids} <= evidenced


def test_the_expected_answer_is_a_form_of_the_fact(corpus):
    single = [q for q in corpus.questions if len(q.fact_ids) == 1 and q.probe != "reverse"]
    assert [q.id for q in single if not states(q.expected, corpus.fact[q.fact_ids[0]])] == []


def test_the_expected_choice_comes_first_and_no_distractor_agrees_with_it(corpus):
    questions = [q for q in corpus.questions if q.probe == "choice"]
    assert questions
    for question in questions:
        assert len(set(question.choices)) == len(question.choices), question.id
        kind = corpus.value_type(question)
        wanted = parse_value(question.expected, kind)
        assert agrees(wanted, parse_value(question.choices[0], kind), relaxed=False), question.id
        for distractor in question.choices[1:]:
            for relaxed in (False, True):
                assert not agrees(wanted, parse_value(distractor, kind), relaxed=relaxed), (question.id, distractor)
            if kind != "yesno":
                assert not states(distractor, corpus.fact[question.fact_ids[0]]), (question.id, distractor)


def test_replaced_rules_are_asked_in_both_wordings_for_the_value_as_of_now(corpus):
    rules = corpus.replacements
    unseen, trained = corpus.ask("current"), corpus.ask("current_trained", "dev")
    assert [question.text for question in unseen] == [rule.question for rule in rules] != []
    assert [question.text for question in trained] == [rule.faq_question for rule in rules]
    for question, rule in zip(unseen, rules, strict=True):
        assert question.expected == corpus.fact[rule.after].value
        assert corpus.fact[question.fact_ids[0]].supersedes == rule.before
        assert corpus.question[question.id] == question
    assert corpus.ask("current", facts=5) == unseen[:5]
    assert not {question.id for question in corpus.questions} & {question.id for question in corpus.current}


def test_a_corpus_without_replaced_rules_asks_about_none(corpus):
    assert replace(corpus, replacements=()).ask("current") == []
