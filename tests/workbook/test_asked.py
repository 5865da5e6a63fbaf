"""A corpus that lacks what a study asks is refused before anything is spent; the shipped ones lack nothing."""

from dataclasses import replace

import pytest

from lib import paths
from lib.corpus.load import load_corpus
from lib.study_file import load_study
from lib.workbook.asked import missing, refuse_missing


@pytest.fixture(scope="module")
def corpus():
    return load_corpus("data/itr")


@pytest.mark.parametrize("name", sorted(path.stem for path in paths.STUDIES.glob("*.yaml")))
def test_no_shipped_study_lacks_anything(name):
    study = load_study(name)
    assert missing(study, load_corpus(study.corpus.folder, **study.corpus.limits)) == []


@pytest.mark.parametrize("probe", ["trained", "paraphrase", "unanswerable", "general"])
def test_a_probe_without_questions_is_named_with_the_notebooks_that_ask_it(corpus, probe):
    study = load_study("itr")
    lines = missing(study, replace(corpus, questions=tuple(q for q in corpus.questions if q.probe != probe)))
    asking = {n for n, blocks in study.grids.items() if any(probe in block.probes for block in blocks)}
    assert lines and all(f"0 questions of probe {probe}, split" in line for line in lines)
    assert {notebook for notebook in asking if any(notebook in line for line in lines)} == asking


def test_items_that_cannot_be_screened_and_missing_paraphrases_are_named(corpus):
    unscreened = tuple(replace(q, screen_text=None) if q.probe == "general" else q for q in corpus.questions)
    (line,) = missing(load_study("itr"), replace(corpus, questions=unscreened))
    assert "no question of probe general has a `screen_text`" in line
    with pytest.raises(ValueError, match="data/itr/paraphrases.jsonl: empty or absent; .*; add what is missing"):
        refuse_missing(load_study("itr"), replace(corpus, paraphrases=()))


def test_without_replaced_rules_nothing_is_missing(corpus):
    assert missing(load_study("itr"), replace(corpus, replacements=())) == []


def test_one_unanswerable_question_is_not_enough_for_a_threshold(corpus):
    one = [q for q in corpus.questions if q.probe == "unanswerable"][:1]
    others = [q for q in corpus.questions if q.probe != "unanswerable"]
    (line,) = missing(load_study("itr"), replace(corpus, questions=(*others, *one)))
    assert "1 questions of probe unanswerable, split test" in line and "need 2 at least" in line
