"""The fictional corpus: the same from the same seed, fit to be loaded at any size, and no easier than chance."""

from collections import Counter

import pytest
import yaml
from scipy import stats

from lib import paths
from lib.corpus import fictional
from lib.corpus.load import load_corpus
from lib.corpus.matching import states

GRAMMAR = yaml.safe_load(fictional.GRAMMAR.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tables():
    return fictional.generate(seed=7, facts=600, grammar=GRAMMAR)


def folder_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_committed_control_is_what_its_seed_gives(tmp_path):
    fictional.write(tmp_path / "again", fictional.generate(seed=1, facts=120, grammar=GRAMMAR))
    committed = folder_files(paths.DATA / "control")
    del committed[fictional.GRAMMAR.relative_to(paths.DATA / "control")]
    assert folder_files(tmp_path / "again") == committed


def test_another_seed_gives_other_names_and_values(tables):
    other = fictional.generate(seed=8, facts=600, grammar=GRAMMAR)
    shared = {fact.id for fact in tables["facts"]} & {fact.id for fact in other["facts"] if fact.split != "general"}
    assert len(shared) < 60
    values = {fact.id: fact.value for fact in other["facts"]}
    assert sum(fact.value == values[fact.id] for fact in tables["facts"] if fact.id in shared) <= len(shared) // 2


@pytest.mark.parametrize("facts", [50, 51, 61, 333])
def test_any_size_passes_every_check_of_the_loader(tmp_path, facts):
    fictional.write(tmp_path / "made", fictional.generate(seed=3, facts=facts, grammar=GRAMMAR))
    corpus = load_corpus(str(tmp_path / "made"))
    assert sum(fact.split == "test" for fact in corpus.facts) == facts
    probes = {question.probe for question in corpus.questions}
    assert probes >= {"trained", "paraphrase", "cloze", "reverse", "choice", "two_fact", "neighbour", "general"}


@pytest.mark.parametrize("facts", [0, 49, 100_001])
def test_a_size_out_of_range_is_refused(facts):
    with pytest.raises(ValueError, match=f"--facts {facts}: a fictional corpus has 50 to 100000"):
        fictional.generate(seed=1, facts=facts, grammar=GRAMMAR)


def test_rewriting_a_folder_leaves_nothing_of_the_larger_corpus(tmp_path):
    fictional.write(tmp_path / "made", fictional.generate(seed=3, facts=300, grammar=GRAMMAR))
    small = fictional.generate(seed=3, facts=50, grammar=GRAMMAR)
    fictional.write(tmp_path / "made", small)
    guides = {path.stem for path in (tmp_path / "made" / "documents").glob("*.md")}
    assert guides == {name for name, _ in small["documents"]}


def test_values_are_drawn_evenly(tables):
    big = fictional.generate(seed=5, facts=6000, grammar=GRAMMAR)
    for attribute, pool in fictional.POOLS.items():
        drawn = Counter(f.value for f in big["facts"] if f.id.endswith(f"-{attribute}") and f.split == "test")
        assert set(drawn) <= set(pool)
        assert stats.chisquare([drawn[value] for value in pool]).pvalue > 1e-4, attribute
        assert fictional.chance(attribute) == 1 / len(pool)


def test_forms_and_sections_belong_to_one_levy_each(tables):
    for kind in ("form", "section"):
        values = [fact.value for fact in tables["facts"] if fact.value_type == kind]
        assert len(set(values)) == len(values)


def test_replaced_rates_differ_and_follow_one_another(tables):
    facts = {fact.id: fact for fact in tables["facts"]}
    assert tables["replacements"]
    for item in tables["replacements"]:
        assert facts[item.after].supersedes == item.before
        assert facts[item.before].value != facts[item.after].value


def test_no_wording_for_asking_is_one_for_training(tables):
    trained = {p.question for p in tables["paraphrases"]} | {item.question for item in tables["faq"]}
    asked = [q for q in tables["questions"] if q.probe in ("paraphrase", "cloze", "reverse", "two_fact", "neighbour")]
    assert not trained & {question.text for question in asked}
    assert not trained & {question.screen_text for question in tables["questions"]}


def test_every_alternative_of_the_grammar_states_its_value(tables):
    facts = {fact.id: fact for fact in tables["facts"]}
    for item in tables["evidence"]:
        assert facts[item.fact_id].value_type == "yesno" or states(item.quote, facts[item.fact_id]), item.quote


def test_nothing_of_the_grammar_is_left_unfilled(tables):
    texts = [q.text for q in tables["questions"]] + [p.answer for p in tables["paraphrases"]]
    texts += [text for _, text in tables["documents"]] + [item.raw_answer for item in tables["faq"]]
    assert [text for text in texts if any(mark in text for mark in "{}[]|")] == []
