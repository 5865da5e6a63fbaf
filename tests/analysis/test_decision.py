"""The advice: every rule at its boundary, the arithmetic by hand, and the ranges against a search over a grid."""

import itertools

import numpy as np
import pytest

from lib.analysis import decision
from lib.analysis.decision import NONE, OPEN, Approach
from lib.analysis.stats import Estimate
from lib.analysis.tables import frame
from lib.studies import Decision
from lib.study_file import load_study

# 3.6 USD an hour are 0.001 USD a second, so that costs can be read off the seconds.
NEEDS = Decision(
    approaches={"neither": "base", "fine_tuning": "tuned", "retrieval": "rag", "both": "hybrid"},
    least_accuracy=0.5,
    least_style=0.0,
    most_latency_ms=3000,
    answers_per_month=1000,
    updates_per_month=2,
    usd_per_machine_hour=3.6,
    most_usd_per_month=10,
)


def made(name, low, high, *, style=(0.0, 0.1), latency_ms=1000.0, update_seconds=0.0):
    return Approach(
        name,
        f"condition_{name}",
        Estimate((low + high) / 2, low, high, 50),
        Estimate(sum(style) / 2, *style, 50),
        latency_ms,
        update_seconds,
    )


BASE = made("neither", 0.0, 0.1)
TUNED = made("fine_tuning", 0.02, 0.12, style=(0.9, 1.0), update_seconds=300)
RAG = made("retrieval", 0.55, 0.75, latency_ms=2000, update_seconds=10)
BOTH = made("both", 0.6, 0.8, style=(0.6, 0.8), latency_ms=2500, update_seconds=10)
ALL = [BASE, TUNED, RAG, BOTH]


def advice(approaches=ALL, **needs):
    return decision.advise(approaches, NEEDS.model_copy(update=needs)).choice


def test_costs_by_hand():
    assert decision.usd_per_1000_answers(RAG, NEEDS) == pytest.approx(2.0)  # 1,000 * 2 s * 0.001 USD
    assert decision.usd_per_update(TUNED, NEEDS) == pytest.approx(0.3)
    assert decision.usd_per_month(TUNED, NEEDS) == pytest.approx(1.0 + 2 * 0.3)
    assert decision.usd_per_month(BASE, NEEDS.model_copy(update={"answers_per_month": 0.0})) == 0


def test_the_cheapest_that_meets_all_needs_is_advised():
    assert advice() == "retrieval"
    assert advice([BASE, TUNED], least_accuracy=0.0) == "neither"


@pytest.mark.parametrize(
    ("needs", "choice"),
    [
        ({"least_accuracy": 0.55}, "retrieval"),  # the interval's low end itself meets the need
        ({"least_accuracy": 0.5500001}, "both"),
        ({"least_accuracy": 0.6}, "both"),
        ({"least_accuracy": 0.6000001}, OPEN),
        ({"least_accuracy": 0.8}, OPEN),  # the high end itself leaves it open
        ({"least_accuracy": 0.8000001}, NONE),
        ({"least_style": 0.1000001}, "both"),
        ({"least_style": 0.6}, "both"),
        ({"least_style": 0.7}, OPEN),
        ({"least_style": 0.81}, NONE),  # only the tuned model has it, and that has no facts
        ({"most_latency_ms": 2000}, "retrieval"),
        ({"most_latency_ms": 1999}, NONE),
        ({"most_usd_per_month": 2.02}, "retrieval"),
        ({"most_usd_per_month": 2.01}, NONE),
        ({"least_style": 0.7, "most_latency_ms": 2499}, NONE),  # what is open must pass the other rules to count
    ],
)
def test_every_rule_at_its_boundary(needs, choice):
    assert advice(**needs) == choice


def test_a_dearer_approach_wins_only_when_its_accuracy_lies_wholly_above():
    better = made("both", 0.76, 0.9, latency_ms=2500)
    touching = made("both", 0.75, 0.9, latency_ms=2500)
    assert advice([RAG, better]) == "both"
    assert advice([RAG, touching]) == "retrieval"


def test_the_order_of_the_approaches_does_not_matter():
    for order in itertools.permutations(ALL):
        assert decision.advise(order, NEEDS).choice == "retrieval"


def test_what_stands_how_is_told_for_every_approach():
    standing = decision.advise(ALL, NEEDS).standing
    assert standing["fine_tuning"] == {"facts": "failed", "style": "met", "latency": "met", "cost": "met"}
    assert standing["retrieval"] == dict.fromkeys(("facts", "style", "latency", "cost"), "met")


@pytest.mark.parametrize("need", decision.MOVABLE)
@pytest.mark.parametrize("stated", [{}, {"least_accuracy": 0.0}, {"least_style": 0.5}, {"most_usd_per_month": 1.7}])
def test_the_ranges_are_what_a_search_over_the_values_finds(need, stated):
    needs = NEEDS.model_copy(update=stated)
    parts = decision.ranges(ALL, needs, need)
    end = decision.MOVABLE[need]
    assert parts[0][0] == 0.0
    assert parts[-1][1] == end
    assert all(left[1] == right[0] and left[2] != right[2] for left, right in itertools.pairwise(parts))
    for value in np.linspace(0.0, end or 20_000, 1499)[1:-1]:
        if any(value == pytest.approx(edge) for low, high, _ in parts for edge in (low, high) if edge is not None):
            continue
        inside = [choice for low, high, choice in parts if low < value and (high is None or value < high)]
        assert inside == [decision.advise(ALL, needs.model_copy(update={need: value})).choice], (need, value)


def test_break_even_by_hand():
    # Retrieval costs 1 USD more for 1,000 answers and saves 0.29 USD an update.
    assert decision.break_even_updates(TUNED, RAG, NEEDS) == pytest.approx(1 / 0.29)
    at = NEEDS.model_copy(update={"updates_per_month": 1 / 0.29})
    assert decision.usd_per_month(TUNED, at) == pytest.approx(decision.usd_per_month(RAG, at))


def test_there_is_no_break_even_when_one_is_always_the_cheaper():
    assert decision.break_even_updates(TUNED._replace(latency_ms=5000), RAG, NEEDS) is None


def line(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "n": 50}


@pytest.fixture
def lines():
    found = {"cost/index_seconds": line(10.0), "cost/train_seconds/lora_reformatted": line(300.0)}
    for place, name in enumerate(load_study("itr").decision.approaches.values()):
        found[f"accuracy/paraphrase/{name}"] = line(0.1 * place, 0.05 * place, 0.2 * place)
        found[f"style/{name}"] = line(0.5, 0.4, 0.6)
        found[f"cost/latency_ms/{name}"] = line(1000.0 * (place + 1))
    return found


def test_what_was_measured_comes_from_the_scoreboard(lines):
    ways = {approach.name: approach for approach in decision.measured(load_study("itr"), lines, "hybrid_raft")}
    assert {name: way.update_seconds for name, way in ways.items()} == {
        "neither": 0.0,
        "fine_tuning": 300.0,
        "retrieval": 10.0,
        "both": 10.0,
    }
    assert ways["retrieval"].accuracy == Estimate(0.2, 0.1, 0.4, 50)
    assert ways["both"].latency_ms == 4000.0


def test_a_missing_measurement_is_named(lines):
    del lines["cost/latency_ms/rag"]
    with pytest.raises(ValueError, match="cost/latency_ms/rag"):
        decision.measured(load_study("itr"), lines, "hybrid_raft")


# Indexing again takes 10 s here, lora_reformatted 300 s and lora_raw_20ep 2,000 s; raft and style were taught no test fact.
@pytest.mark.parametrize(
    ("chosen", "seconds"), [("hybrid_raft", 10), ("hybrid_style", 10), ("hybrid_closed", 310), ("hybrid_routed", 2010)]
)
def test_a_hybrid_whose_weights_hold_facts_is_current_only_when_they_are_trained_again(lines, chosen, seconds):
    lines["cost/train_seconds/lora_raw_20ep"] = line(2000.0)
    lines["cost/train_seconds/raft"] = lines["cost/train_seconds/style"] = line(7.0)
    (both,) = [way for way in decision.measured(load_study("itr"), lines, chosen) if way.name == "both"]
    assert both.update_seconds == seconds


def test_weights_without_facts_cannot_learn_of_a_change(lines):
    study = load_study("itr")
    tuned_to_read = study.decision.model_copy(update={"approaches": {"fine_tuning": "raft_closed", "retrieval": "rag"}})
    lines |= {
        f"{kind}/raft_closed": line(0.0, 0.0, 0.1) for kind in ("accuracy/paraphrase", "style", "cost/latency_ms")
    }
    tuned, _ = decision.measured(study.model_copy(update={"decision": tuned_to_read}), lines, None)
    assert tuned.update_seconds == 0


def test_a_hybrid_that_nobody_chose_has_no_costs(lines):
    with pytest.raises(ValueError, match="which candidate `hybrid` stands for"):
        decision.measured(load_study("itr"), lines, None)


def test_the_card_says_what_was_measured_and_where_it_flips():
    rows = decision.card_rows(ALL, NEEDS)
    assert all(len(row) == len(decision.CARD_HEADER) for row in rows)
    assert decision.CARD_HEADER[5:] == ["USD a month", "USD per 1,000 answers", "USD per update"]
    assert rows[2][2:6] == ["met: 65 % (55 to 75)", "met: 5 % (0 to 10)", "met: 2,000 ms", "met: 2.02"]
    assert rows[2][6:] == ["2.000", "0.0100"]
    assert {row[2].split(":")[0] for row in rows} == {"met", "failed"}
    accuracy = decision.flips(ALL, NEEDS)[0]
    assert accuracy[:2] == ["least accuracy", "50 %"]
    assert "0 % to 55 %: retrieval" in accuracy[2]
    assert "80 % to 100 %: none suffices" in accuracy[2]
    assert decision.sentence(ALL, NEEDS).startswith("Advice: retrieval. The needs: at least 50 % of facts right")


def ruled(condition, outcomes) -> list[dict]:
    return [
        {"question_id": f"r{n}", "fact_ids": [f"r{n}"], "probe": "current", "value_type": "amount", "seed": 0}
        | {"condition": condition, "verdict": "CORRECT" if new else "INCORRECT", "verdict_relaxed": "INCORRECT"}
        | {"style": new, "json_valid": False, "stale": not new}
        for n, new in enumerate(outcomes)
    ]


LEDGER = [
    {"condition": "again", "seed": 0, "probe": "training", "seconds": 360.0, "tokens": 4000},
    {"condition": "tuned_after", "seed": 0, "probe": "current", "seconds": 2.0, "answers": 4},
    {"condition": "tuned_after", "seed": 0, "probe": "current_trained", "seconds": 99.0, "answers": 4},
    {"condition": "rag_after", "seed": 0, "probe": "current", "seconds": 4.0, "answers": 4},
]


def test_what_it_took_to_become_current_and_the_break_even_by_hand():
    table = frame(ruled("tuned_after", [True, True, True, False]) + ruled("rag_after", [True, False, False, False]))
    tuned, rag = decision.kept_current(table, LEDGER, recipe="again", index_seconds=36.0)
    assert (tuned.latency_ms, tuned.update_seconds, tuned.accuracy.value) == (500, 360, 0.75)
    assert (rag.latency_ms, rag.update_seconds, rag.accuracy.value) == (1000, 36, 0.25)
    # Half a second more an answer, 324 seconds less an update: 6,480 answers a month are worth ten updates, at any price.
    needs = NEEDS.model_copy(update={"answers_per_month": 6480})
    assert decision.break_even_updates(tuned, rag, needs) == pytest.approx(10)
    dearer = needs.model_copy(update={"usd_per_machine_hour": 7 * needs.usd_per_machine_hour})
    assert decision.break_even_updates(tuned, rag, dearer) == pytest.approx(10)
    rows = decision.update_rows([tuned, rag], LEDGER, needs, recipe="again")
    assert [row[1:4] for row in rows] == [["tuned_after", 360.0, 4000], ["rag_after", 36.0, 0]]
    assert rows[0][4] == pytest.approx(0.1 * needs.usd_per_machine_hour)


def test_a_failed_judgement_leaves_open_whether_a_way_is_current():
    rows = ruled("tuned_after", [True, False]) + ruled("rag_after", [True, False])
    rows[-1] |= {"verdict": "JUDGE_FAILED"}
    tuned, rag = decision.kept_current(frame(rows), LEDGER, recipe="again", index_seconds=36.0)
    assert (tuned.accuracy.value, rag.accuracy.value) == (0.5, 0.75)
    assert rag.accuracy.low == tuned.accuracy.low and rag.accuracy.high > tuned.accuracy.high


def test_without_replaced_rules_nothing_was_updated():
    table = frame(ruled("base", [True]))
    assert decision.kept_current(table, LEDGER, recipe="again", index_seconds=0.0) == []
    assert decision.update_rows([], LEDGER, NEEDS, recipe="again") == []
