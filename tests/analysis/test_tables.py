"""What is counted: the columns of a frame, which rows are primary, and lines of the accuracy table by hand."""

from dataclasses import replace
from math import nan as NaN

import pandas as pd
import pytest

from lib.analysis import tables
from lib.analysis.claims import score
from lib.analysis.stats import Estimate, wilson


def row(fact="f1", verdict="CORRECT", **changes) -> dict:
    return {
        "question_id": f"{fact}/paraphrase",
        "fact_ids": [fact],
        "probe": "paraphrase",
        "value_type": "amount",
        "condition": "base",
        "seed": 0,
        "answer": "In short",
        "verdict": verdict,
        "verdict_relaxed": verdict,
        "reason": "because",
        "style": False,
        "json_valid": True,
        "split": "test",
        **changes,
    }


def test_only_a_correct_verdict_counts_as_correct():
    verdicts = ["CORRECT", "INCORRECT", "NOT_ATTEMPTED", "JUDGE_FAILED"]
    table = tables.frame([row(f"f{n}", verdict) for n, verdict in enumerate(verdicts)])
    assert list(table.correct) == [1, 0, 0, 0]
    assert list(table.answered) == [1, 1, 0, 1]


def test_the_relaxed_verdict_is_counted_apart():
    table = tables.frame([row(verdict="INCORRECT", verdict_relaxed="CORRECT")])
    assert (table.correct[0], table.relaxed[0]) == (0, 1)


def test_the_unit_is_the_fact_or_the_question_that_asks_for_none_or_for_two():
    table = tables.frame(
        [row("f1"), row(fact_ids=[], question_id="u7", value_type=None), row(fact_ids=["f2", "f3"], question_id="t2")]
    )
    assert list(table.unit) == ["f1", "u7", "t2"]


def test_style_and_json_are_shares():
    table = tables.frame([row(style=True, json_valid=False)])
    assert (table["style"][0], table.json_valid[0]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "found", "cites_gold"),
    [
        ({"passages": ["p", "q"], "gold": ["p"], "cited": "p"}, 1, 1),
        ({"passages": ["p", "q"], "gold": ["p"], "cited": "q"}, 1, 0),
        ({"passages": ["p", "q"], "gold": ["p"], "cited": None}, 1, NaN),
        ({"passages": ["p", "q"], "gold": [], "cited": "q"}, 0, 0),
        ({"passages": [], "gold": [], "cited": None}, NaN, NaN),  # closed book
        ({"passages": ["p"], "gold": [], "cited": None, "fact_ids": []}, NaN, NaN),  # there is nothing to find
        ({"passages": ["p"]}, NaN, NaN),  # a row of an older run
    ],
)
def test_what_is_found_and_cited_is_known_only_where_passages_were_shown(changes, found, cites_gold):
    table = tables.frame([row(**changes)])
    assert (table.found[0], table.cites_gold[0]) == pytest.approx((found, cites_gold), nan_ok=True)


def test_primary_leaves_out_yes_and_no_and_nothing_else():
    rows = [row("a"), row("b", value_type="yesno"), row(fact_ids=[], question_id="u", value_type=None)]
    assert list(tables.primary(tables.frame(rows)).unit) == ["a", "u"]


def test_a_constant_no_scores_nothing_in_primary_accuracy():
    rows = [row(f"yn{n}", value_type="yesno") for n in range(5)] + [row("a", "INCORRECT")]
    assert tables.primary(tables.frame(rows)).correct.mean() == 0


def test_pick_takes_one_condition_and_probe():
    table = tables.frame([row(), row(condition="rag"), row(probe="trained")])
    assert len(tables.pick(table, "base", "paraphrase")) == 1


@pytest.mark.parametrize(("condition", "probe"), [("bass", "paraphrase"), ("base", "cloze")])
def test_a_selection_of_nothing_raises_and_names_both(condition, probe):
    with pytest.raises(ValueError, match=rf"'{condition}'.*'{probe}'"):
        tables.pick(tables.frame([row()]), condition, probe)


def test_the_accuracy_table_by_hand():
    rows = [row("a"), row("b"), row("c", "INCORRECT"), row("d", "NOT_ATTEMPTED")]
    rows += [row("a", condition="rag", seed=seed) for seed in (0, 1)]
    base, rag = tables.accuracy_table(tables.frame(rows)).to_dict("records")
    wanted = wilson(2, 4)
    assert (base["condition"], base["probe"], base["facts"], base["seeds"]) == ("base", "paraphrase", 4, 1)
    assert (base["value"], base["low"], base["high"]) == (0.5, wanted.low, wanted.high)
    assert (rag["value"], rag["facts"], rag["seeds"]) == (1, 1, 2)


def test_judge_failures_are_neither_dropped_nor_hidden():
    rows = [row("a"), row("b", "JUDGE_FAILED"), row("c", "INCORRECT"), row("d", "INCORRECT")]
    line = tables.accuracy_table(tables.frame(rows)).iloc[0]
    # 1 of 4 is right; were the failure right as well, 2 of 4; the value lies between
    assert (line["worst if failures were wrong"], line["best if failures were right"]) == (0.25, 0.5)
    assert (line.value, line.facts) == (0.375, 4)


def test_the_bound_for_judge_failures_is_over_facts_like_the_value_itself():
    rows = [row("a")] + [row("b", "JUDGE_FAILED", seed=seed) for seed in (0, 1, 2)]
    line = tables.accuracy_table(tables.frame(rows)).iloc[0]
    # by facts (1 + 0) / 2 and at best (1 + 1) / 2; three of four rows failed, but 0.5 + 0.75 is no share
    assert (line["worst if failures were wrong"], line["best if failures were right"]) == (0.5, 1.0)


def test_without_judge_failures_the_bound_is_the_value():
    line = tables.accuracy_table(tables.frame([row("a"), row("b", "INCORRECT")])).iloc[0]
    assert line["best if failures were right"] == line.value


def test_rows_that_come_twice_as_seeds_leave_the_value_alone():
    rows = [row("a"), row("b", "INCORRECT"), row("c")]
    doubled = rows + [{**one, "seed": 1} for one in rows]
    once, twice = (tables.accuracy_table(tables.frame(some)).iloc[0] for some in (rows, doubled))
    assert (once.value, once.low, once.high) == (twice.value, twice.low, twice.high)


def test_kept_rows_are_those_known_under_the_other_wording():
    screen = tables.frame([row("a", split="screen"), row("b", "INCORRECT", split="screen"), row("c", split="screen")])
    table = tables.frame([row("a"), row("b"), row("c", "INCORRECT"), row("d")])
    kept = tables.screened_kept(table, screen)
    # b was a lucky guess under the test's wording and d was never screened
    assert dict(zip(kept.unit, kept.correct, strict=True)) == {"a": 1, "c": 0}
    assert set(kept.probe) == {"kept"}
    assert set(table.probe) == {"paraphrase"}, "the table itself is left as it was"


def test_a_fact_is_known_when_every_prompt_brings_it_and_unknown_when_none_does():
    prompts = {"a": ("CORRECT", "CORRECT"), "b": ("CORRECT", "INCORRECT"), "c": ("INCORRECT", "NOT_ATTEMPTED")}
    screen = [
        row(fact, verdict, split="screen", condition=name)
        for fact, verdicts in prompts.items()
        for name, verdict in zip(("base", "base_fewshot"), verdicts, strict=True)
    ]
    # c was right under the test's own wording, and d as a general question: neither says what the base knows of them
    table = tables.frame([*screen, row("c"), row("d", probe="general", split="screen")])
    assert dict(tables.knowledge_strata(table)) == {"a": "known", "b": "maybe known", "c": "unknown"}
    assert tables.knowledge_strata(table[table.split != "screen"]).empty


def test_accuracy_by_stratum_averages_seeds_within_a_fact_before_facts():
    rows = [
        row("a", condition="lora", seed=seed, verdict=v) for seed, v in enumerate(("CORRECT", "CORRECT", "INCORRECT"))
    ]
    rows += [
        row("b", "INCORRECT", condition="lora"),
        row("c", condition="lora"),
        row("c"),
        row("untold", condition="lora"),
    ]
    strata = pd.Series({"a": "known", "b": "known", "c": "unknown"})
    found = tables.by_stratum(tables.frame(rows), strata, ["base", "lora", "absent"])
    assert list(found.columns) == ["base", "lora"]
    assert found.lora.to_dict() == {"known": "33 % of 2", "unknown": "100 % of 1"}  # (2/3 + 0) / 2
    assert found.base.to_dict() == {"known": "", "unknown": "100 % of 1"}


def test_failed_judgements_are_in_no_number_of_a_stratum():
    rows = [row("a"), row("b", "INCORRECT"), row("c", "JUDGE_FAILED"), row("a", "JUDGE_FAILED", seed=1)]
    strata = pd.Series(dict.fromkeys("abc", "known"))
    assert tables.by_stratum(tables.frame(rows), strata, ["base"]).base.to_dict() == {"known": "50 % of 2"}


class FewQuestions:
    """As much of a corpus as reading answers needs."""

    def __init__(self, *facts: str):
        self.question = {f"{fact}/paraphrase": Asked(f"{fact}?", f"value of {fact}") for fact in facts}


class Asked:
    def __init__(self, text: str, expected: str):
        self.text, self.expected = text, expected


def test_answers_are_read_beside_their_questions():
    table = tables.frame([row("b", answer="x"), row("a", answer="y"), row("c", "INCORRECT")])
    right = tables.read_answers(table, FewQuestions("a", "b", "c"), "base", "paraphrase", right=True)
    assert list(right.question) == ["a?", "b?"]
    assert list(right.expected) == ["value of a", "value of b"]
    assert list(right.answer) == ["y", "x"]
    wrong = tables.read_answers(table, FewQuestions("a", "b", "c"), "base", "paraphrase", right=False)
    assert list(wrong.verdict) == ["INCORRECT"]


def test_no_more_answers_are_shown_than_asked_for():
    facts = [f"f{n}" for n in range(9)]
    table = tables.frame([row(fact) for fact in facts])
    assert len(tables.read_answers(table, FewQuestions(*facts), "base", "paraphrase", right=True, n=3)) == 3


def test_an_estimate_in_words():
    found = Estimate(0.1234, 0.0806, 0.18, 120)
    assert tables.percent(found) == "12.3 % (8.1 to 18.0, n = 120)"
    assert tables.percent(found, digits=0, counted=False) == "12 % (8 to 18)"
    assert tables.percent(found._replace(value=float("nan"))) == "–"


def test_the_estimate_of_a_scoreboard_line_is_the_one_that_was_written():
    found = Estimate(0.25, 0.125, 0.5, 8)
    assert tables.estimate_of(score("accuracy/paraphrase/rag", found, unit="share", notebook="05")) == found


def test_a_frame_is_a_table_of_its_rows():
    rows = [row("a"), row("b")]
    table = tables.frame(rows)
    assert isinstance(table, pd.DataFrame)
    assert table[list(rows[0])].drop(columns=["style", "json_valid"]).to_dict("records") == [
        {key: value for key, value in one.items() if key not in ("style", "json_valid")} for one in rows
    ]


def ruled(condition, outcomes) -> list[dict]:
    """One row a replaced rule, by what was said of it: new, old or neither."""
    return [
        row(
            f"r{n}",
            "CORRECT" if one == "new" else "INCORRECT",
            condition=condition,
            probe="current",
            stale=one == "old",
        )
        for n, one in enumerate(outcomes)
    ]


BEFORE = {"rag_after": "rag_before"}


def test_what_became_of_replaced_rules_by_hand():
    made = ruled("rag_before", ["old", "old", "neither", "neither"]) + ruled(
        "rag_after", ["new", "old", "new", "neither"]
    )
    before, after = tables.currency_table(tables.frame([*made, row(), row("y", value_type="yesno")]), BEFORE).to_dict(
        "records"
    )
    assert (after["facts"], after["current"], after["stale"], after["other"]) == (4, 0.5, 0.25, 0.25)
    assert (after["stale low"], after["stale high"]) == wilson(1, 4)[1:3]
    assert (after["right before"], after["stale of those"], after["current of those"]) == (2, 0.5, 0.5)
    assert (before["stale"], before["right before"]) == (0.5, 0)


def test_a_failed_judgement_on_a_replaced_rule_is_read_both_ways():
    made = ruled("rag_before", ["old"] * 4) + ruled("rag_after", ["new", "old", "neither", "neither"])
    made[-1] |= {"verdict": "JUDGE_FAILED", "verdict_relaxed": "JUDGE_FAILED"}
    after = tables.currency_table(tables.frame(made), BEFORE).iloc[1]
    assert (after.current, after["current of those"], after.other) == (0.375, 0.375, 0.375)
    assert (after["current low"], after["current high"]) == (wilson(1, 4).low, wilson(2, 4).high)


def test_without_replaced_rules_the_table_has_its_columns_and_no_line():
    found = tables.currency_table(tables.frame([row()]), BEFORE)
    assert list(found.columns) == tables.CURRENCY_HEADER
    assert found.empty


def test_rules_are_shown_with_both_pages_and_none_when_there_are_none(ruled_corpus):
    rule = ruled_corpus.replacements[0]
    shown = tables.read_replacements(ruled_corpus, 1).iloc[0]
    assert (shown["page before"], shown["page after"]) == (rule.before_quote, rule.after_quote)
    assert shown["new value"] == ruled_corpus.fact[rule.after].value != shown["old value"]
    assert tables.read_replacements(replace(ruled_corpus, replacements=())).empty
