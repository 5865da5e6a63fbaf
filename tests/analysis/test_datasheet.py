"""The corpus as a whole: rates by hand, bounds that trip, and the threshold against labelled pairs."""

from dataclasses import replace

import pandas as pd
import pytest

from lib import paths, runs
from lib.analysis import datasheet
from lib.corpus.load import load_corpus

EMBEDDER = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def few():
    return load_corpus("data/itr", test=16, dev=5, raft=5, neighbour=2, easy=2, general=2)


@pytest.fixture(scope="module")
def nearness(few):
    return datasheet.nearest_training_wordings(few, embedder=EMBEDDER)


def test_every_bound_holds_on_both_corpora_in_the_cheap_part():
    none = pd.DataFrame({"question_id": [], "probe": [], "words": [], "meaning": []})
    for folder in ("data/itr", "data/control"):
        assert [bound for bound in datasheet.bounds(load_corpus(folder), none) if not bound.holds] == []


def test_the_matcher_rates_are_shares_of_pairs_by_hand(few):
    amounts = [item for item in few.faq if few.fact[item.fact_ids[0]].value_type == "amount"]
    first, second = next(
        (a, b) for a in amounts for b in amounts if few.fact[a.fact_ids[0]].value != few.fact[b.fact_ids[0]].value
    )
    pair = replace(few, faq=(first, second))
    assert datasheet.matcher_rates(pair) == {"own": 1.0, "other": 0.0}
    swapped = replace(pair, faq=(replace(first, uniform_answer=second.uniform_answer), second))
    rates = datasheet.matcher_rates(swapped)
    assert rates == {
        "own": 0.5,
        "other": 0.5,
    }  # of two ordered pairs, the second one's value stands in the first's answer


def test_a_wording_that_was_trained_on_is_found_and_trips_its_bound(few, nearness):
    question = few.ask("paraphrase")[0]
    item = next(item for item in few.faq if item.fact_ids == question.fact_ids)
    leaked = replace(few, faq=tuple(replace(i, question=question.text) if i is item else i for i in few.faq))
    table = datasheet.nearest_training_wordings(leaked, embedder=EMBEDDER)
    found = table.set_index("question_id").loc[question.id]
    assert found.trained == question.text
    assert found.words == 1
    assert found.meaning == pytest.approx(1, abs=1e-5)
    broken = [bound.name for bound in datasheet.bounds(leaked, table) if not bound.holds]
    assert "test wordings too close to a training wording" in broken
    assert datasheet.nearness_table(table).loc["paraphrase", "too close"] >= 1


def test_nearness_is_to_the_training_wordings_of_the_same_fact(few, nearness):
    of = {item.fact_ids[0]: {item.question, item.raw_answer, item.uniform_answer} for item in few.faq}
    for paraphrase in few.paraphrases:
        of[paraphrase.faq_id.removeprefix("faq-")] |= {paraphrase.question, paraphrase.answer}
    for row in nearness.itertuples():
        assert any(row.trained in of[fact_id] for fact_id in few.question[row.question_id].fact_ids)


def test_one_opening_for_all_is_noticed(few):
    same = tuple(replace(q, text=f"Tell me now please: {q.text}") for q in few.questions)
    opening, share = datasheet.commonest_opening(replace(few, questions=same))
    assert (opening, share) == ("tell me now please:", 1.0)


def test_a_small_corpus_may_open_one_question_as_it_likes_and_no_two(few):
    none = pd.DataFrame({"question_id": [], "probe": [], "words": [], "meaning": []})

    def opening(texts):
        asked = [replace(q, text=text) for q, text in zip(few.ask("paraphrase"), texts, strict=False)]
        return datasheet.bounds(replace(few, questions=tuple(asked)), none)[-1]

    texts = [f"{n} words to open with" for n in range(20)]
    assert (opening(texts).value, opening(texts).holds) == (0.05, True)
    assert not opening([*texts[:19], texts[0]]).holds


def test_the_best_constant_is_the_commonest_value(few):
    asked = few.ask("paraphrase")
    table = datasheet.best_constants(few, asked)
    for value_type, line in table.iterrows():
        facts = [few.fact[q.fact_ids[0]] for q in asked if few.fact[q.fact_ids[0]].value_type == value_type]
        if facts:
            assert line.facts == len(facts)
            assert 1 / line["values"] <= line.share <= 1
    rest = table.drop(index=["all but yes/no", *(["yesno"] if "yesno" in table.index else [])])
    assert table.loc["all but yes/no", "share"] == pytest.approx((rest.share * rest.facts).sum() / rest.facts.sum())


def test_the_share_of_words_in_values_by_hand(few):
    item = next(i for i in few.items("test") if few.fact[i.fact_ids[0]].value_type == "percent")
    value = few.fact[item.fact_ids[0]].value.replace(" ", "")
    one = replace(few, faq=(replace(item, raw_answer=f"The rate is {value} there.", uniform_answer=f"{value}"),))
    lengths = datasheet.answer_lengths(one)
    assert lengths.loc["raw_answer", "share of words in values"] == pytest.approx(1 / 5)
    assert lengths.loc["uniform_answer", "share of words in values"] == 1
    assert lengths.loc["raw_answer", "words, mean"] == 5


def test_the_threshold_agrees_with_the_readers_labels():
    labels = pd.DataFrame(runs.read_jsonl(paths.DATA / "itr" / "wordings.jsonl"))
    assert len(labels) == 90
    flagged, same = datasheet.too_close(labels), labels.label == "same"
    assert (flagged & same).sum() / flagged.sum() > 0.7
    assert (~flagged & same).sum() / (~flagged).sum() < 0.4
