"""Verdicts where the right one is known: by the registered rule, and by made-up rows with a built-in effect."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import claims, stats
from lib.analysis.claims import Evidence, combine, decide, describe, find, judge_claims
from lib.analysis.tables import frame
from lib.studies import Claim, Contrast
from lib.study_file import load_study
from tests.analysis.rows import rows

NAN = math.nan


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 1000)


def contrast(direction="greater", margin=0.0, **changes) -> Contrast:
    fields = {"a": "tuned", "b": "base", "probe": "paraphrase", "metric": "accuracy"}
    return Contrast(**{**fields, "direction": direction, "margin": margin, **changes})


def evidence(*parts, losses=None, latencies=None, gradients=None) -> Evidence:
    table = frame([one for part in parts for one in part]) if parts else pd.DataFrame()
    return Evidence(table, losses or {}, latencies or {}, gradients or {})


# direction, margin, 95 % interval, 90 % interval, verdict
RULE = [
    ("greater", 0.05, (0.06, 0.20), (0.08, 0.18), "held"),
    ("greater", 0.05, (0.05, 0.20), (0.07, 0.18), "undecided"),  # low must exceed the margin, not reach it
    ("greater", 0.05, (0.01, 0.20), (0.03, 0.18), "undecided"),
    ("greater", 0.05, (-0.10, 0.05), (-0.08, 0.04), "not_held"),  # high at the margin is enough to fail
    ("greater", 0.05, (-0.10, 0.04), (-0.08, 0.03), "not_held"),
    ("greater", 0.0, (0.0, 0.0), (0.0, 0.0), "not_held"),
    ("less", 0.05, (-0.10, 0.04), (-0.08, 0.03), "held"),
    ("less", 0.05, (-0.10, 0.05), (-0.08, 0.04), "undecided"),
    ("less", 0.05, (0.01, 0.20), (0.03, 0.18), "undecided"),
    ("less", 0.05, (0.05, 0.20), (0.07, 0.18), "not_held"),
    ("less", 0.0, (0.0, 0.0), (0.0, 0.0), "not_held"),
    ("less", 0.0, (-0.2, -0.01), (-0.18, -0.02), "held"),
    ("differs", 0.0, (0.01, 0.20), (0.02, 0.19), "held"),
    ("differs", 0.0, (-0.20, -0.01), (-0.19, -0.02), "held"),
    ("differs", 0.0, (0.0, 0.20), (0.01, 0.19), "undecided"),
    ("differs", 0.0, (-0.20, 0.0), (-0.19, -0.01), "undecided"),
    ("differs", 0.0, (0.0, 0.0), (0.0, 0.0), "undecided"),  # a failure to see a difference proves none
    ("flat", 0.05, (-0.06, 0.06), (-0.04, 0.04), "held"),  # the 90 % interval decides equivalence
    ("flat", 0.05, (-0.06, 0.06), (-0.05, 0.05), "held"),
    ("flat", 0.05, (-0.06, 0.06), (-0.051, 0.04), "undecided"),
    ("flat", 0.05, (0.04, 0.20), (0.06, 0.18), "undecided"),
    ("flat", 0.05, (0.05, 0.20), (0.06, 0.18), "undecided"),
    ("flat", 0.05, (0.051, 0.20), (0.06, 0.18), "not_held"),
    ("flat", 0.05, (-0.20, -0.051), (-0.18, -0.06), "not_held"),
    ("flat", 0.05, (0.0, 0.0), (0.0, 0.0), "held"),
]


@pytest.mark.parametrize(("direction", "margin", "interval", "interval90", "verdict"), RULE)
def test_the_registered_rule(direction, margin, interval, interval90, verdict):
    (low, high), (low90, high90) = interval, interval90
    found = decide(contrast(direction, margin), value=(low + high) / 2, low=low, high=high, low90=low90, high90=high90)
    assert found == verdict


@pytest.mark.parametrize("direction", ["greater", "less", "differs", "flat"])
@pytest.mark.parametrize("broken", ["value", "low", "high"])
def test_a_number_that_is_missing_decides_nothing(direction, broken):
    numbers = {"value": 0.5, "low": 0.4, "high": 0.6, "low90": 0.42, "high90": 0.58, broken: NAN}
    assert decide(contrast(direction), **numbers) == "undecided"


def test_a_missing_90_percent_interval_never_shows_equivalence():
    found = decide(contrast("flat", 0.05), value=0, low=-0.06, high=0.06, low90=NAN, high90=NAN)
    assert found == "undecided"


SHARES = st.floats(-1, 1)


@given(st.lists(SHARES, min_size=5, max_size=5).map(sorted), st.floats(0, 0.5))
def test_turning_every_sign_turns_greater_into_less(bounds, margin):
    low, low90, value, high90, high = bounds
    greater = decide(contrast("greater", margin), value=value, low=low, high=high, low90=low90, high90=high90)
    less = decide(contrast("less", -margin), value=-value, low=-high, high=-low, low90=-high90, high90=-low90)
    assert greater == less


@given(st.lists(SHARES, min_size=5, max_size=5).map(sorted), st.floats(0, 0.5))
def test_no_evidence_shows_both_greater_and_less_or_flat(bounds, margin):
    low, low90, value, high90, high = bounds
    numbers = {"value": value, "low": low, "high": high, "low90": low90, "high90": high90}
    held = [name for name in ("greater", "flat") if decide(contrast(name, margin), **numbers) == "held"]
    held += ["less"] if decide(contrast("less", -margin), **numbers) == "held" else []
    assert len(held) <= 1 or (low90 == high90 == value)


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["held"], "held"),
        (["held", "held"], "held"),
        (["held", "undecided"], "undecided"),
        (["undecided"], "undecided"),
        (["held", "not_held"], "not_held"),
        (["undecided", "not_held"], "not_held"),
        ([], "undecided"),
    ],
)
def test_a_claim_holds_when_all_its_contrasts_do(verdicts, whole):
    assert combine(verdicts) == whole
    assert combine(verdicts[::-1]) == whole


ALL, NONE = [1] * 40, [0] * 40
THIRTY_MORE = [1] * 30 + [0] * 10


@pytest.mark.parametrize(
    ("direction", "margin", "tuned", "base", "verdict"),
    [
        ("greater", 0.05, THIRTY_MORE, NONE, "held"),  # +75 points on 40 facts
        ("greater", 0.05, NONE, THIRTY_MORE, "not_held"),
        ("greater", 0.05, [1, 1] + [0] * 38, NONE, "undecided"),  # +5 points from two facts
        ("less", 0.05, NONE, THIRTY_MORE, "held"),
        ("less", 0.05, THIRTY_MORE, NONE, "not_held"),
        ("less", 0.05, NONE, NONE, "held"),  # no gain at all is surely less than 5 points
        ("flat", 0.05, THIRTY_MORE, THIRTY_MORE, "held"),
        ("flat", 0.05, THIRTY_MORE, NONE, "not_held"),
        ("flat", 0.05, [1] * 20 + [0] * 20, [0] * 20 + [1] * 20, "undecided"),  # equal means, all facts changed
        ("differs", 0.0, THIRTY_MORE, NONE, "held"),
        ("differs", 0.0, NONE, THIRTY_MORE, "held"),
        ("differs", 0.0, ALL, ALL, "undecided"),
    ],
)
def test_a_made_up_study_gets_the_verdict_that_was_built_into_it(direction, margin, tuned, base, verdict):
    found = find(contrast(direction, margin), evidence(rows("tuned", tuned), rows("base", base)))
    assert found.verdict == verdict
    assert found.value == pytest.approx((sum(tuned) - sum(base)) / 40)
    assert found.n == 40


def test_the_finding_reports_the_exact_test_and_what_it_could_have_seen():
    found = find(contrast(), evidence(rows("tuned", [1, 1, 1, 0]), rows("base", [0, 0, 1, 1])))
    # 2 against 1 of 3 discordant: p = 2 * (1 + 3) / 8 = 1; planned at 30 %, 2.80158 * sqrt(0.3 / 4) = 0.76725
    assert found.note == "exact McNemar p = 1 (2 against 1 facts)"
    assert found.detectable == pytest.approx(0.76725, abs=1e-4)


def test_yes_and_no_facts_are_outside_accuracy_but_inside_style():
    yesno = [rows(name, [1] * 40, facts=[f"y{n}" for n in range(40)], value_type="yesno") for name in ("tuned", "base")]
    seen = evidence(rows("tuned", THIRTY_MORE), rows("base", NONE), *yesno)
    assert find(contrast(), seen).n == 40
    assert find(contrast(metric="style"), seen).n == 80


def test_arms_trained_on_a_subset_are_compared_on_it():
    wide = rows("base", [1] * 4 + [0] * 16)
    narrow = rows("tuned", [0] * 4)  # the first four facts only, all of which base has right
    found = find(contrast(), evidence(narrow, wide))
    # -100 points on the 4 shared facts; against all 20 of base it would be -20
    assert (found.value, found.n, found.verdict) == (-1, 4, "not_held")
    swapped = find(contrast(a="base", b="tuned"), evidence(narrow, wide))
    assert (swapped.value, swapped.n, swapped.verdict) == (1, 4, "held")


def test_arms_that_share_no_fact_raise():
    apart = evidence(rows("tuned", [1], facts=["x"]), rows("base", [1], facts=["y"]))
    with pytest.raises(ValueError, match="at least one unit"):
        find(contrast(), apart)


def test_a_condition_without_rows_raises_and_is_named():
    with pytest.raises(ValueError, match="'tuned'"):
        find(contrast(), evidence(rows("base", [1])))


def test_seeds_are_pooled_within_facts():
    seen = evidence(rows("tuned", [1, 0]), rows("tuned", [0, 1], seed=1), rows("base", [0, 0]))
    found = find(contrast(), seen)
    assert (found.value, found.n, found.seeds) == (0.5, 2, (2, 1))
    assert (found.low, found.high) == pytest.approx((-0.2978, 0.7978), abs=1e-4)  # see test_stats, two facts at 1/2
    assert found.note == "exact McNemar by seed, p = 0: 1 (1 against 0 facts), 1: 1 (1 against 0 facts)"


@pytest.mark.parametrize(
    ("right", "verdict"),
    # Wilson: 2 of 40 reaches 16.5 %, 20 of 40 is 35 % to 65 %, 38 of 40 begins at 83.5 %
    [(2, "held"), (20, "undecided"), (38, "not_held")],
)
def test_one_side_alone_is_held_against_the_margin(right, verdict):
    seen = evidence(rows("tuned", [1] * right + [0] * (40 - right)))
    found = find(contrast("less", 0.5, b=None), seen)
    assert (found.verdict, found.value, found.n) == (verdict, right / 40, 40)
    assert math.isnan(found.detectable)


def kept(condition, results):
    return rows(condition, results, probe="kept")


@pytest.mark.parametrize(("known", "verdict"), [(claims.FEWEST_KNOWN - 1, "undecided"), (claims.FEWEST_KNOWN, "held")])
def test_fewer_than_sixty_known_items_decide_nothing_about_forgetting(known, verdict):
    forgets = contrast("less", metric="kept", probe="kept")
    found = find(forgets, evidence(kept("tuned", [0] * known), kept("base", [1] * known)))
    assert (found.verdict, found.n, found.value) == (verdict, known, -1)
    assert ("are needed" in found.note) == (verdict == "undecided")


def test_a_base_model_that_knew_nothing_leaves_forgetting_undecided():
    forgets = contrast("less", metric="kept", probe="kept")
    found = find(forgets, evidence(rows("tuned", [1]), rows("base", [1])))
    assert (found.verdict, found.n, found.rows) == ("undecided", 0, [])
    assert "not measured" in describe(found)
    assert "nan" not in describe(found)


@pytest.mark.parametrize(
    ("tuned", "base", "verdict"),
    [([1.0, 1.2], [2.0, 2.2], "held"), ([2.0], [1.0], "not_held"), ([1.0], [1.0], "not_held")],
)
def test_losses_are_compared_by_their_means(tuned, base, verdict):
    found = find(contrast("less", metric="loss", probe="training"), evidence(losses={"tuned": tuned, "base": base}))
    assert found.verdict == verdict
    assert found.value == pytest.approx(sum(tuned) / len(tuned) - sum(base) / len(base))
    assert math.isnan(found.low)
    assert "interval" not in describe(found).split(";")[0]


def test_a_loss_that_is_not_a_number_decides_nothing():
    found = find(contrast("less", metric="loss", probe="training"), evidence(losses={"tuned": [NAN], "base": [1.0]}))
    assert found.verdict == "undecided"


def test_latencies_are_paired_by_question():
    times = {"tuned": [100.0, 210.0, 330.0], "base": [200.0, 310.0, 430.0]}
    found = find(contrast("less", metric="latency_ms"), evidence(latencies=times))
    # 100 ms faster on each question, though the questions differ by more than that
    assert (found.verdict, found.value, found.low, found.high, found.n) == ("held", -100, -100, -100, 3)
    assert found.note == "median 210 ms against 310 ms, one question at a time"


def test_latencies_of_other_questions_raise():
    with pytest.raises(ValueError, match="same length"):
        find(contrast(metric="latency_ms"), evidence(latencies={"tuned": [1.0], "base": [1.0, 2.0]}))


def measured(cosine, learned=None, facts=None) -> dict[str, list]:
    facts = facts or [f"f{place:03}" for place in range(len(cosine))]
    return {"unit": facts, "cosine": list(cosine), "learned": list(learned if learned is not None else cosine)}


COSINES = np.random.default_rng(0).normal(0.3, 0.1, 24)
ROUGH = np.random.default_rng(1).normal(0, 0.02, 24)


@pytest.mark.parametrize(
    ("raw", "uniform", "verdict"),
    [
        (COSINES, COSINES + 0.1 + ROUGH, "held"),
        (COSINES + 0.1 + ROUGH, COSINES, "not_held"),
        (COSINES, COSINES + ROUGH, "undecided"),
        (COSINES, COSINES, "not_held"),  # no difference at all is not less
    ],
)
def test_cosines_are_paired_by_fact(raw, uniform, verdict):
    less = contrast("less", metric="gradient_cosine", probe="training")
    turned = measured(uniform[::-1], facts=measured(uniform)["unit"][::-1])
    found = find(less, evidence(gradients={"tuned": measured(raw), "base": turned}))
    assert found.verdict == verdict
    assert found.value == pytest.approx((raw - uniform).mean())
    # A cosine of a few hundredths is told from 0: its interval is not that of a share of 24 facts.
    assert found.high - found.low < 0.03
    assert found.n == 24


def test_cosines_of_other_facts_raise():
    less = contrast("less", metric="gradient_cosine", probe="training")
    seen = evidence(gradients={"tuned": measured(COSINES), "base": measured(COSINES[1:])})
    with pytest.raises(ValueError, match="different facts"):
        find(less, seen)


@pytest.mark.parametrize(
    ("learned", "verdict"),
    [(COSINES**3, "held"), (-COSINES, "not_held"), (np.random.default_rng(5).normal(size=24), "undecided")],
)
def test_a_link_is_a_rank_correlation_of_one_arm(learned, verdict):
    link = contrast("greater", metric="gradient_link", probe="training", b=None)
    found = find(link, evidence(gradients={"tuned": measured(COSINES, learned)}))
    assert found.verdict == verdict
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (found.p < 0.05) == (verdict != "undecided")


@pytest.mark.parametrize(
    ("right", "verdict"), [([1] * 20 + [0] * 4, "held"), ([0] * 24, "undecided"), ([0] * 24, "not_held")]
)
def test_conflict_is_a_cause_only_when_learning_is_better_without_it(right, verdict):
    claim = load_study("itr").claims["C4"]
    kept = [1] * 20 + [0] * 4 if verdict == "not_held" else [0] * 24
    gradients = {"lora_raw_r64": measured(COSINES), "lora_r64": measured(COSINES + 0.1 + ROUGH)}
    seen = evidence(rows("lora_raw_projected", right), rows("lora_raw_r64", kept), gradients=gradients)
    found, findings = judge_claims({"C4": claim}, seen)["C4"]
    assert [finding.verdict for finding in findings] == ["held", "held", verdict]
    assert found == verdict


def test_cosines_and_links_are_numbers_not_points():
    link = contrast("greater", metric="gradient_link", probe="training", b=None)
    text = describe(find(link, evidence(gradients={"tuned": measured(COSINES)})))
    assert text.startswith("gradient_link (training), tuned: +1.000 (95 % interval +1.000 to +1.000, n = 24")
    assert "points" not in text
    assert "%" not in text.split("(95 % interval")[0]


def test_prompt_tokens_are_tokens_not_points():
    seen = evidence(rows("tuned", [0] * 5, prompt_tokens=40), rows("base", [0] * 5, prompt_tokens=240))
    found = find(contrast("less", metric="prompt_tokens"), seen)
    assert (found.verdict, found.value) == ("held", -200)
    assert "points" not in describe(found)


@pytest.mark.parametrize("metric", ["style", "json_valid", "answered"])
def test_other_shares_are_read_from_their_own_column(metric):
    base = rows("base", [1] * 40)
    tuned = rows("tuned", [1] * 40, style=False, json_valid=False, verdict="NOT_ATTEMPTED")
    found = find(contrast("less", metric=metric), evidence(tuned, base))
    assert (found.verdict, found.value) == ("held", -1)


def test_the_sample_rows_are_those_where_the_sides_differ():
    found = find(contrast(), evidence(rows("tuned", [0] * 9 + [1]), rows("base", [0] * 10)))
    assert found.rows[0] == "tuned/0/f009/paraphrase"
    assert len(found.rows) == 5


def test_the_order_of_rows_changes_no_finding():
    parts = rows("tuned", [1, 0, 1, 1]), rows("base", [0, 0, 1, 0])
    one = find(contrast(), evidence(*parts))
    other = find(contrast(), evidence(parts[1][::-1], parts[0][::-1]))
    assert one[1:9] == other[1:9]


CLAIM = Claim(text="Tuning helps.", notebook="02", contrasts=(contrast(), contrast("flat", 0.05)))
MISSING = Claim(text="Some day.", notebook="07", missing="no rows yet")


def test_a_claim_is_judged_by_all_its_contrasts():
    seen = evidence(rows("tuned", THIRTY_MORE), rows("base", NONE))
    verdict, findings = judge_claims({"C2": CLAIM}, seen)["C2"]
    assert [finding.verdict for finding in findings] == ["held", "not_held"]
    assert verdict == "not_held"


def test_a_claim_without_evidence_is_undecided_and_says_what_is_missing():
    assert judge_claims({"C9": MISSING}, evidence()) == {"C9": ("undecided", [])}
    study = SimpleNamespace(claims={"C9": MISSING})
    written = claims.claims_json(study, evidence())
    assert written == {
        "C9": {"claim": "Some day.", "verdict": "undecided", "evidence": "not decided yet: no rows yet", "rows": []}
    }


# Six facts gained and none lost among forty.
BARELY = [1.0] * 6 + [0.0] * 34


def test_a_verdict_that_one_look_supports_does_not_survive_many():
    seen = evidence(rows("tuned", BARELY), rows("base", [0.0] * 40))
    alone = judge_claims({"C2": Claim(text="", notebook="02", contrasts=(contrast(),))}, seen)["C2"]
    assert alone[0] == "held"
    enough = math.ceil(0.05 / alone[1][0].p)
    assert 1 < enough < 30
    looks = {f"C{n}": Claim(text="", notebook="02", contrasts=(contrast(),)) for n in range(enough)}
    together = judge_claims(looks, seen)
    assert {verdict for verdict, _ in together.values()} == {"undecided"}
    note = together["C0"][1][0].note
    assert note.startswith("held by its own interval, not after the correction: p = ")
    assert f"among {enough} contrasts" in note


def test_families_are_corrected_apart():
    seen = evidence(rows("tuned", BARELY), rows("base", [0.0] * 40))
    looks = {f"C{n}": Claim(text="", notebook="02", contrasts=(contrast(family=f"f{n}"),)) for n in range(12)}
    assert {verdict for verdict, _ in judge_claims(looks, seen).values()} == {"held"}


def test_a_correction_never_makes_a_verdict():
    seen = evidence(rows("tuned", [1.0, 0.0, 0.0, 1.0]), rows("base", [0.0, 1.0, 0.0, 0.0]))
    for direction, margin in (("greater", 0.0), ("less", 0.0), ("flat", 0.05), ("differs", 0.0)):
        claim = Claim(text="", notebook="02", contrasts=(contrast(direction, margin),))
        assert find(claim.contrasts[0], seen).verdict == "undecided"
        assert judge_claims({"C2": claim}, seen)["C2"][0] == "undecided"


@pytest.mark.parametrize(("direction", "margin"), [("greater", 0.1), ("less", 0.1), ("flat", 0.3), ("differs", 0.0)])
@pytest.mark.parametrize("gained", [0, 2, 9, 20, 38])
def test_a_verdict_by_the_interval_is_a_p_value_below_five_percent(direction, margin, gained):
    seen = evidence(rows("tuned", [1.0] * gained + [0.0] * (40 - gained)), rows("base", [0.0] * 40))
    found = find(contrast(direction, margin), seen)
    assert (found.verdict != "undecided") == (found.p <= 0.05), found


def test_the_written_claims_hold_verdict_numbers_and_rows():
    seen = evidence(rows("tuned", THIRTY_MORE), rows("base", NONE))
    written = claims.claims_json(SimpleNamespace(claims={"C2": CLAIM}), seen)["C2"]
    assert written["verdict"] == "not_held"
    assert "accuracy (paraphrase), tuned - base: +75.0 points (95 % interval" in written["evidence"]
    known = {f"{row.condition}/{row.seed}/{row.question_id}" for row in seen.table.itertuples()}
    assert set(written["rows"]) <= known


def test_takeaways_are_those_of_the_notebook():
    study = SimpleNamespace(claims={"C2": CLAIM, "C9": MISSING})
    seen = evidence(rows("tuned", THIRTY_MORE), rows("base", NONE))
    assert claims.takeaways(study, "07", seen) == "- **C9 undecided.** Some day. missing: no rows yet."
    assert claims.takeaways(study, "02", seen).startswith("- **C2 not held.** Tuning helps. accuracy (paraphrase)")


def test_a_takeaway_is_never_surer_than_the_findings_will_be():
    """What 02 holds on its own contrasts, 08 may leave open among those of all claims: then 02 leaves it open too."""
    seen = evidence(rows("tuned", [1] * 9 + [0] * 31), rows("base", NONE))
    own = CLAIM.model_copy(update={"contrasts": (contrast("greater", 0.0),)})
    p = find(own.contrasts[0], seen).p
    fits = int(claims.ALPHA / p)
    for others, verdict in ((fits - 1, "held"), (fits, "undecided")):
        elsewhere = MISSING.model_copy(update={"contrasts": own.contrasts * others})
        told = claims.takeaways(SimpleNamespace(claims={"C2": own, "C9": elsewhere}), "02", seen)
        assert told.startswith(f"- **C2 {verdict}.**") and f"among the study's {others + 1} contrasts at most" in told
        study = SimpleNamespace(claims={"C2": own, "C9": elsewhere})
        final = claims.judge_claims(study.claims, seen)["C2"][0]
        assert verdict in (final, "undecided")


def test_where_nothing_differs_greater_is_seldom_held():
    """Null simulation: 200 studies of 60 facts, both sides right on half of them; 2.5 % may show a gain, plus noise."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(200):
        sides = [rows(name, rng.random(60) < 0.5) for name in ("tuned", "base")]
        held += find(contrast(), evidence(*sides)).verdict == "held"
    # 2.5 % of 200 is 5; three standard deviations above it are 11.6, the percentile bootstrap being a little narrow
    assert held <= 12


def test_a_contrast_on_what_is_found_counts_gold_passages_shown_and_not_answers():
    shown = {"passages": ["p"], "cited": None}
    a = rows("tuned", [0] * 40, gold=["p"], **shown)
    b = rows("base", [1] * 40, gold=[], **shown)
    found = claims.find(contrast(metric="found"), evidence(a, b))
    assert (found.value, found.n, found.verdict) == (1.0, 40, "held")
    assert claims.find(contrast(metric="accuracy"), evidence(a, b)).value == -1.0


def ruled(condition, outcomes) -> list[dict]:
    """One row a replaced rule: new (the new value is given), old (the old one), or neither."""
    new, old = [one == "new" for one in outcomes], [one == "old" for one in outcomes]
    made = rows(condition, new, probe="current")
    return [{**row, "stale": stale} for row, stale in zip(made, old, strict=True)]


# 24 rules: the tuned model knew 22 of the old values, retrieval 18 of them; after the change it reads 15 new ones.
TUNED_BEFORE = ["old"] * 22 + ["neither"] * 2
RAG_BEFORE = ["old"] * 18 + ["neither"] * 6
RAG_AFTER = ["new"] * 15 + ["old"] + ["neither"] * 8


def of_rules(direction, **changes) -> Contrast:
    fields = {"a": "rag_after", "b": "tuned_before", "probe": "current", "right_before": ["tuned_before"]}
    return contrast(direction, **{**fields, **changes})


def after_a_change(**parts) -> Evidence:
    default = {"tuned_before": TUNED_BEFORE, "rag_before": RAG_BEFORE, "rag_after": RAG_AFTER}
    return evidence(*(ruled(name, outcomes) for name, outcomes in {**default, **parts}.items()))


def test_staleness_is_compared_on_the_rules_that_were_known_before():
    found = find(of_rules("less", metric="stale"), after_a_change())
    assert (found.verdict, found.n) == ("held", 22)
    assert found.value == pytest.approx(1 / 22 - 1)
    current = find(of_rules("greater", metric="accuracy"), after_a_change())
    assert (current.verdict, current.value) == ("held", pytest.approx(15 / 22))


def test_a_retrieval_that_stays_stale_as_well_does_not_hold():
    # What was right before is stale without training, so that a margin of 0 could never fail: half of it is registered.
    stale = after_a_change(rag_after=TUNED_BEFORE)
    assert find(of_rules("less", metric="stale", margin=-0.5), stale).verdict == "not_held"
    assert find(of_rules("less", metric="stale", margin=0.0), stale).verdict == "undecided"
    assert find(of_rules("greater", metric="accuracy", margin=0.15), stale).verdict == "not_held"


def test_the_registered_claim_of_currency_can_be_held_and_can_fail():
    claim = load_study("itr").claims["C11"]

    def verdict(of_retrieval):
        made = [
            {**row, "probe": "current_trained"}
            for name, outcomes in (("tuned_before", ["old"] * 28), ("rag_after", of_retrieval))
            for row in ruled(name, outcomes)
        ]
        return judge_claims({"C11": claim}, evidence(made))["C11"][0]

    assert verdict(["new"] * 14 + ["neither"] * 14) == "held"
    assert verdict(["old"] * 26 + ["new"] * 2) == "not_held"
    assert verdict(["neither"] * 28) != "held"


@pytest.mark.parametrize(
    ("conditions", "known"), [(["tuned_before"], 19), (["tuned_before", "rag_before"], 18), (["nobody"], 0)]
)
def test_too_few_rules_known_before_decide_nothing_and_say_so(conditions, known):
    table = after_a_change(tuned_before=["old"] * 19 + ["neither"] * 5)
    found = find(of_rules("less", metric="stale", right_before=conditions), table)
    assert (found.verdict, found.n, math.isnan(found.p)) == ("undecided", known, True)
    assert f"the old value of only {known} replaced rules; 20 are needed" in describe(found)


def test_twenty_rules_known_before_are_enough():
    table = after_a_change(tuned_before=["old"] * 20 + ["neither"] * 4)
    assert find(of_rules("less", metric="stale"), table).verdict == "held"


def test_a_corpus_without_replaced_rules_leaves_them_undecided():
    found = find(of_rules("less", metric="stale"), evidence(rows("tuned", ALL)))
    assert (found.verdict, found.n) == ("undecided", 0)


def test_yes_no_rules_do_not_count_as_known():
    table = after_a_change()
    table.table.loc[table.table.unit < "f003", "value_type"] = "yesno"
    assert find(of_rules("less", metric="stale"), table).n == 19


def failing(condition, results, failures):
    """Results of which the first `failures` could not be judged, whatever they are."""
    made = rows(condition, results)
    for row in made[:failures]:
        row["verdict"] = row["verdict_relaxed"] = "JUDGE_FAILED"
    return made


# direction, margin, results of tuned and of base, verdict without failures and with 8 of tuned's first 10
FAILING = [
    ("greater", 0.0, [1] * 10 + [0] * 30, NONE, "held", "undecided"),  # all that was gained was not judged
    ("greater", 0.0, THIRTY_MORE, NONE, "held", "held"),  # 22 remain
    ("less", 0.0, NONE, [1] * 10 + [0] * 30, "held", "undecided"),
    ("less", 0.05, NONE, NONE, "held", "undecided"),  # 8 failures could be 20 points
    ("flat", 0.15, ALL, ALL, "held", "undecided"),
    ("differs", 0.0, [1] * 10 + [0] * 30, NONE, "held", "undecided"),
    ("differs", 0.0, THIRTY_MORE, NONE, "held", "held"),
    ("greater", 0.05, NONE, THIRTY_MORE, "not_held", "not_held"),
]


@pytest.mark.parametrize(("direction", "margin", "tuned", "base", "judged", "verdict"), FAILING)
def test_a_verdict_holds_however_the_failed_judgements_are_read(direction, margin, tuned, base, judged, verdict):
    registered = contrast(direction, margin)
    assert find(registered, evidence(rows("tuned", tuned), rows("base", base))).verdict == judged
    found = find(registered, evidence(failing("tuned", tuned, 8), rows("base", base)))
    assert found.verdict == verdict
    assert "8 failed judgements, read both ways" in found.note
    readings = []
    for read in (0, 1):
        known = rows("tuned", [read] * 8 + tuned[8:])
        readings.append(find(registered, evidence(known, rows("base", base))))
    assert {one.verdict for one in readings} == {verdict} or verdict == "undecided"
    assert found.low == min(one.low for one in readings) and found.high == max(one.high for one in readings)
    assert found.value == pytest.approx(sum(one.value for one in readings) / 2)


def test_a_share_against_a_margin_is_read_both_ways_too():
    below = contrast("less", 0.5, b=None)
    assert find(below, evidence(rows("tuned", [0] * 40))).verdict == "held"
    assert find(below, evidence(failing("tuned", [0] * 40, 4))).verdict == "held"
    assert find(below, evidence(failing("tuned", [0] * 40, 20))).verdict == "undecided"


def test_a_failed_judgement_says_nothing_against_style():
    styled = contrast(metric="style")
    whole = find(styled, evidence(rows("tuned", ALL), rows("base", NONE)))
    failed = find(styled, evidence(failing("tuned", ALL, 40), rows("base", NONE)))
    assert failed[1:9] == whole[1:9]
