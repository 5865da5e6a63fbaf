"""The scoreboard of a made-up study whose every number can be counted by hand."""

import json

import pytest

from lib import paths
from lib.analysis import claims, scoreboard, stats
from lib.analysis.stats import wilson
from lib.studies import Claim, Contrast

FACTS = ["a", "b", "c", "d", "e"]


@pytest.fixture(autouse=True)
def _made_up_out(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    monkeypatch.setattr(stats, "RESAMPLES", 500)


def rows(condition, right, *, facts=FACTS, probe="paraphrase", seed=0, **changes) -> list[dict]:
    """One row a fact, right on those named in `right`."""
    return [
        {
            "question_id": f"{fact}/{probe}",
            "fact_ids": [fact] if probe != "unanswerable" else [],
            "probe": probe,
            "value_type": "amount",
            "condition": condition,
            "seed": seed,
            "answer": f"{condition} on {fact}",
            "verdict": "CORRECT" if fact in right else "INCORRECT",
            "verdict_relaxed": "CORRECT" if fact in right else "INCORRECT",
            "judge": "keyfacts",
            "style": fact in right,
            "json_valid": False,
            "prompt_tokens": 50 + 10 * FACTS.index(fact) if fact in FACTS else 50,
            "split": "test",
            **changes,
        }
        for fact in facts
    ]


def save(name, records, ledger=(), **metrics) -> None:
    folder = paths.OUT / "made_up" / name
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    parameters = {"conditions": {"rag_json": {"instruction": "json"}, "as_json": {"instruction": "json"}}}
    summary = {"metrics": metrics, "ledger": [*ledger], "parameters": parameters}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


@pytest.fixture
def study():
    """Two notebooks; the second asks base once more. Tuned has a, b; retrieval has b, c, d; nobody has e."""
    yesno = rows("base", ["y"], facts=["y"], value_type="yesno")
    screen = rows("base", ["k", "l"], facts=["k", "l", "m"], probe="general", split="screen")
    asked = {
        name: rows(name, right, facts=["k", "l", "m"], probe="general")
        for name, right in {"base": ["k", "m"], "noise_floor": ["k", "l"]}.items()
    }
    save(
        "02_one",
        [
            *rows("base", ["a"]),
            *yesno,
            *rows("lora_raw_20ep", ["a", "b"]),
            *screen,
            *asked["base"],
            *asked["noise_floor"],
        ],
        ledger=[
            {"condition": "lora_raw_20ep", "seed": 0, "probe": "training", "seconds": 100.0},
            {"condition": "lora_raw_20ep", "seed": 1, "probe": "training", "seconds": 140.0},
            {"condition": "lora_raw_20ep", "seed": 0, "probe": "trained", "seconds": 7.0},
        ],
        loss={"lora_raw_20ep": [0.5, 0.7]},
    )
    unknown = rows("rag", [], facts=["u1", "u2", "u3", "u4"], probe="unanswerable", verdict="NOT_ATTEMPTED")
    unknown[0]["verdict"] = "INCORRECT"
    save(
        "05_two",
        [
            *rows("base", FACTS),
            *rows("rag", ["b", "c", "d"]),
            *unknown,
            *rows("rag", FACTS, split="dev", facts=["a", "b"]),
        ],
        latency_ms={"rag": [10.0, 30.0, 90.0]},
        scoreboard=[{"id": "retrieval/recall@5/bm25", "value": 0.7, "low": 0.6, "high": 0.8, "n": 9, "unit": "share"}],
    )
    return ["02_one", "05_two"]


def traced(condition, **cases):
    """One row a fact from (the gold passages shown, the passage aligned); p and q are shown."""
    made = rows(condition, [], facts=list(cases))
    return [
        {**one, "passages": ["p", "q"], "gold": list(gold), "cited": cited}
        for one, (gold, cited) in zip(made, cases.values(), strict=True)
    ]


def test_citations_are_right_where_the_aligned_passage_is_gold():
    cases = {"a": ("p", "p"), "b": ("p", "q"), "c": ("p", None), "d": ("", "q"), "e": ("pq", "q")}
    names = traced("rag", f=("p", "p")) + traced("rag", g=("p", "q"))
    names[0]["value_type"], names[1]["value_type"] = "entity", "yesno"  # neither is ever aligned
    save("05_two", [*traced("rag", **cases), *names, *traced("rag_gold", a=("p", "p")), *rows("hybrid", ["a"])])
    lines, _ = everything_of(["05_two"])
    found = {name: line for name, line in lines.items() if name.startswith("citation/")}
    # cited: a, b, d, e, of which a and e gold; gold shown: a, b, c, e, of which a and e are cited
    assert set(found) == {"citation/precision/rag", "citation/recall/rag"}
    for line in found.values():
        assert (line["value"], line["n"], line["notebook"]) == (0.5, 4, "05_two")


def test_what_claude_cites_is_a_line_of_its_own():
    save("05_two", [*traced("claude_rag", a=("p", "p"), b=("p", "q")), *traced("rag", a=("p", "q"))])
    lines, _ = everything_of(["05_two"])
    found = {name: (line["value"], line["n"]) for name, line in lines.items() if name.startswith("citation/precision")}
    assert found == {"citation/precision/claude_rag": (0.5, 2), "citation/precision/rag": (0.0, 1)}


def everything_of(names):
    table, summaries = scoreboard.load_records("made_up", names), scoreboard.load_summaries("made_up", names)
    evidence = scoreboard.gather(table, summaries)
    lines = scoreboard.scoreboard(evidence, summaries, [])
    return {line["id"]: line for line in lines}, lines


def everything(names):
    table, summaries = scoreboard.load_records("made_up", names), scoreboard.load_summaries("made_up", names)
    evidence = scoreboard.gather(table, summaries)
    contrast = Contrast(a="rag", b="base", probe="paraphrase", metric="accuracy", direction="greater", margin=0)
    alone = contrast.model_copy(update={"b": None})
    findings = [claims.find(one, evidence) for one in (contrast, contrast, alone)]
    return {line["id"]: line for line in scoreboard.scoreboard(evidence, summaries, findings)}, (
        scoreboard.scoreboard(evidence, summaries, findings)
    )


def test_every_line_has_the_keys_that_others_read_and_an_id_of_its_own(study):
    _, lines = everything(study)
    ids = [line["id"] for line in lines]
    assert len(ids) == len(set(ids))
    for line in lines:
        assert set(line) == {"id", "value", "low", "high", "n", "unit", "notebook"}, line
    json.dumps(lines, allow_nan=False)


def test_a_value_lies_in_its_interval_and_a_share_between_zero_and_one(study):
    _, lines = everything(study)
    for line in lines:
        if line["low"] is not None:
            assert line["low"] <= line["value"] <= line["high"], line
        if line["unit"] == "share":
            assert 0 <= line["low"] <= line["high"] <= 1, line


def test_a_cell_asked_by_two_notebooks_is_counted_once_as_the_first_had_it(study):
    lines, _ = everything(study)
    # base is right on a alone in 02 (1 of 5), on all five in 05; the yes/no fact is not primary
    assert lines["accuracy/paraphrase/base"] == {
        **wilson(1, 5)._asdict(),
        "id": "accuracy/paraphrase/base",
        "unit": "share",
        "notebook": "02_one",
    }


def test_the_order_of_notebooks_says_which_one_counts(study):
    lines, _ = everything(study[::-1])
    assert lines["accuracy/paraphrase/base"]["value"] == 1
    assert lines["accuracy/paraphrase/base"]["notebook"] == "05_two"


def test_test_and_dev_rows_of_one_question_are_different_cells(study):
    table = scoreboard.load_records("made_up", study)
    assert len(table[(table.condition == "rag") & (table.question_id == "a/paraphrase")]) == 2
    lines, _ = everything(study)
    assert (lines["accuracy/paraphrase/rag"]["value"], lines["accuracy/paraphrase/rag"]["n"]) == (3 / 5, 5)


def test_the_dev_rows_of_the_chosen_candidate_are_those_of_the_hybrid():
    dev = [*rows("hybrid_one", ["a"], split="dev"), *rows("hybrid_two", [], split="dev")]
    save("06_hybrid", [*rows("hybrid", ["a"]), *dev], hybrid="hybrid_two")
    save("05_before", rows("rag", ["a"]))
    summaries = scoreboard.saved_summaries(paths.OUT / "made_up")
    assert list(summaries) == ["05_before", "06_hybrid"]
    assert scoreboard.chosen_hybrid(summaries) == "hybrid_two"
    table = scoreboard.load_records("made_up", list(summaries))
    assert set(scoreboard.gather(table, summaries).dev.condition) == {"hybrid_one", "hybrid"}
    before = {"05_before": summaries["05_before"]}
    assert scoreboard.chosen_hybrid(before) is None
    assert set(scoreboard.gather(table, before).dev.condition) == {"hybrid_one", "hybrid_two"}


def test_the_union_counted_by_hand(study):
    lines, _ = everything(study)
    # {a, b} or {b, c, d} is 4 of 5
    assert (lines["union/ft_or_rag"]["value"], lines["union/ft_or_rag"]["n"]) == (0.8, 5)
    table = scoreboard.load_records("made_up", study)
    counts = scoreboard.discordance(table, "lora_raw_20ep", "rag")
    assert counts.to_dict() == {"both": 1, "only lora_raw_20ep": 1, "only rag": 2, "neither": 1}


def test_swapping_the_two_sides_swaps_who_alone_is_right(study):
    table = scoreboard.load_records("made_up", study)
    there, back = (scoreboard.discordance(table, *pair) for pair in (("base", "rag"), ("rag", "base")))
    assert list(there) == [back.iloc[0], back.iloc[2], back.iloc[1], back.iloc[3]]


def test_head_room_is_counted_over_the_facts_that_all_were_asked(study):
    table = scoreboard.load_records("made_up", study)
    room = scoreboard.head_room(table, "lora_raw_20ep", "rag", ["base", "not_asked"]).set_index("condition")
    shared = set.intersection(
        *(
            set(table[(table.condition == name) & (table.probe == "paraphrase") & (table.split == "test")].question_id)
            for name in ("lora_raw_20ep", "rag", "base")
        )
    )
    assert set(room.facts) == {len(shared)}
    assert list(room.index) == [scoreboard.EITHER, "lora_raw_20ep", "rag", "base"]
    assert room.value[scoreboard.EITHER] >= max(room.value["lora_raw_20ep"], room.value["rag"])
    pair = scoreboard.head_room(table, "lora_raw_20ep", "rag", []).set_index("condition").value
    assert (pair["lora_raw_20ep"], pair["rag"], pair[scoreboard.EITHER]) == (2 / 5, 3 / 5, 4 / 5)


@pytest.mark.parametrize("pair", [("lora_raw_20ep", "never"), ("never", "rag"), ("never", "ever")])
def test_there_is_no_head_room_where_one_of_the_two_was_not_asked(study, pair):
    room = scoreboard.head_room(scoreboard.load_records("made_up", study), *pair, ["base"])
    assert len(room) == 0
    assert list(room.columns) == ["condition", "value", "low", "high", "facts", "seeds"]


def test_the_union_is_left_out_where_its_conditions_were_not_asked():
    save("01_only", rows("base", ["a"]))
    table = scoreboard.load_records("made_up", ["01_only"])
    summaries = scoreboard.load_summaries("made_up", ["01_only"])
    lines = scoreboard.scoreboard(scoreboard.gather(table, summaries), summaries, [])
    assert "union/ft_or_rag" not in {line["id"] for line in lines}


def test_a_failed_judgement_takes_no_part_in_head_room():
    failed = rows("rag", [], verdict="JUDGE_FAILED", facts=["e"])
    save("05_two", [*rows("lora_raw_20ep", ["a", "b"]), *rows("rag", ["b", "c"], facts=FACTS[:4]), *failed])
    room = scoreboard.head_room(scoreboard.load_records("made_up", ["05_two"]), "lora_raw_20ep", "rag", [])
    assert dict(zip(room.condition, room.value, strict=True)) == {
        scoreboard.EITHER: 3 / 4,
        "lora_raw_20ep": 2 / 4,
        "rag": 2 / 4,
    }


def test_a_failed_judgement_on_a_replaced_rule_is_neither_current_nor_not():
    asked = rows("rag", ["a", "b"], probe="current", stale=False)
    asked[-1] |= {"verdict": "JUDGE_FAILED", "verdict_relaxed": "JUDGE_FAILED"}
    save("05_two", asked)
    line = everything_of(["05_two"])[0]["currency/current/rag/unseen"]
    assert [line[key] for key in ("value", "low", "high")] == pytest.approx([0.5, wilson(2, 5).low, wilson(3, 5).high])


def test_kept_is_over_items_known_in_the_screening_wording(study):
    lines, _ = everything(study)
    # known: k and l. base keeps k, noise_floor both
    assert (lines["kept/base"]["value"], lines["kept/base"]["n"]) == (0.5, 2)
    assert lines["kept/noise_floor"]["value"] == 1
    # the screening rows themselves are in no accuracy: base has k and m of three right
    assert lines["accuracy/general/base"]["value"] == pytest.approx(2 / 3)


def test_hallucination_is_the_share_answered_anyway(study):
    lines, _ = everything(study)
    assert (lines["hallucination/rag"]["value"], lines["hallucination/rag"]["n"]) == (0.25, 4)


def test_costs_losses_and_measured_lines_by_hand(study):
    lines, _ = everything(study)
    # prompt tokens 50, 60, 70, 80, 90
    assert lines["cost/prompt_tokens/rag"]["value"] == 70
    assert (lines["cost/latency_ms/rag"]["value"], lines["cost/latency_ms/rag"]["n"]) == (30, 3)
    assert lines["loss/lora_raw_20ep"]["value"] == pytest.approx(0.6)
    assert lines["loss/lora_raw_20ep"]["low"] is None
    seconds = lines["cost/train_seconds/lora_raw_20ep"]
    assert (seconds["value"], seconds["n"], seconds["notebook"]) == (120, 2, "02_one")
    assert lines["retrieval/recall@5/bm25"]["notebook"] == "05_two"


def test_a_delta_is_the_difference_of_the_two_accuracies(study):
    lines, _ = everything(study)
    delta = lines["delta/paraphrase/rag-vs-base"]
    # (3 - 1) / 5; base's yes/no row takes no part
    assert (delta["value"], delta["n"]) == (pytest.approx(0.4), 5)
    assert not [name for name in lines if "-vs-None" in name]


def test_forgetting_that_could_not_be_measured_has_no_line(study):
    table, summaries = scoreboard.load_records("made_up", study), scoreboard.load_summaries("made_up", study)
    evidence = scoreboard.gather(table[table.split != "screen"], summaries)
    forgets = Contrast(a="rag", b="base", probe="kept", metric="kept", direction="less", margin=0)
    lines = scoreboard.scoreboard(evidence, summaries, [claims.find(forgets, evidence)])
    assert not [line["id"] for line in lines if "kept" in line["id"]]
    json.dumps(lines, allow_nan=False)


def test_conditions_that_are_asked_for_json_are_scored_by_it_whatever_their_name():
    save("06", [*rows("rag_json", [], json_valid=True), *rows("as_json", []), *rows("tuned_on_json", FACTS)])
    values = {name: line["value"] for name, line in everything_of(["06"])[0].items()}
    assert values["json_valid/rag_json"] == 1 and values["json_valid/as_json"] == 0
    assert values["style/tuned_on_json"] == 1
    assert not {"style/rag_json", "style/as_json", "json_valid/tuned_on_json"} & set(values)


def test_two_contrasts_that_would_share_a_line_are_told_of_and_the_same_one_twice_is_one_line(study):
    table, summaries = scoreboard.load_records("made_up", study), scoreboard.load_summaries("made_up", study)
    evidence = scoreboard.gather(table, summaries)
    styled = Contrast(a="noise_floor", b="base", probe="general", metric="style", direction="greater", margin=0)
    found = claims.find(styled, evidence)
    ids = [line["id"] for line in scoreboard.scoreboard(evidence, summaries, [found, found])]
    assert ids.count("delta/style/noise_floor-vs-base") == 1
    other = found._replace(contrast=styled.model_copy(update={"probe": "trained"}), value=found.value + 0.1)
    with pytest.raises(ValueError, match="share the scoreboard line delta/style/noise_floor-vs-base"):
        scoreboard.scoreboard(evidence, summaries, [found, other])


def test_a_notebook_that_did_not_run_is_named_with_the_command(study):
    with pytest.raises(FileNotFoundError, match=r"09_none.*make reproduce STUDY=studies/made_up\.yaml"):
        scoreboard.load_records("made_up", [*study, "09_none"])


def test_a_paired_comparison_in_a_notebook_is_over_shared_primary_facts(study):
    table = scoreboard.load_records("made_up", study)
    found = scoreboard.compare_paired(table, "rag", "base")
    # rag has b, c, d and base a: +1 -> 3 facts, -1 -> 1 fact, of 5
    assert (found.value, found.n, found.a_only, found.b_only) == (pytest.approx(0.4), 5, 3, 1)


def test_what_is_written_is_read_back(study):
    _, lines = everything(study)
    decided = claims.claims_json(type("S", (), {"claims": {"C1": Claim(text="t", notebook="01", missing="m")}}), None)
    folder = scoreboard.write_scoreboard("made_up", lines, decided)
    assert json.loads((folder / "scoreboard.json").read_text()) == lines
    assert json.loads((folder / "claims.json").read_text()) == decided


def test_gradients_reach_the_evidence_from_the_summary_that_measured_them(study):
    columns = {"unit": FACTS, "cosine": [0.1] * 5, "learned": [0.5] * 5}
    save("03_three", rows("base", ["a"]), gradients={"lora_raw": columns})
    names = [*study, "03_three"]
    table, summaries = scoreboard.load_records("made_up", names), scoreboard.load_summaries("made_up", names)
    assert scoreboard.gather(table, summaries).gradients == {"lora_raw": columns}
