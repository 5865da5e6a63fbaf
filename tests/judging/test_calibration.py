"""The judge beside a reader: by hand, at both ends, and against simulated judges of known error."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from lib import paths, runs
from lib.analysis.stats import wilson
from lib.corpus.records import Fact, Verdict
from lib.judging import calibration
from lib.judging.calibration import (
    Agreement,
    agreement,
    anchor_shares,
    card_by,
    changed,
    confusion,
    corrected,
    corrected_interval,
    draw,
    graded,
    half,
    injection_kinds,
    injection_rate,
    judge_card,
    load_labels,
)
from lib.judging.keyfacts import Grade
from lib.models.claude import Judgement

C, W, N = "CORRECT", "INCORRECT", "NOT_ATTEMPTED"


def compare(labels, verdicts, weights=None):
    return agreement(labels, verdicts, weights=weights or [1] * len(labels), units=[str(i) for i in range(len(labels))])


def test_kappa_sensitivity_and_specificity_by_hand():
    # 10 answers: 4 read as right, 3 of them accepted; 6 as wrong, 5 of them rejected.
    found = compare([C] * 4 + [W] * 6, [C, C, C, W] + [W] * 5 + [C])
    observed, chance = 0.8, 0.4 * 0.4 + 0.6 * 0.6
    assert found.kappa == pytest.approx((observed - chance) / (1 - chance))
    assert (found.sensitivity, found.specificity, found.n) == (0.75, pytest.approx(5 / 6), 10)
    assert found.low <= found.kappa <= found.high


def test_kappa_is_scikit_learn_s():
    rng = np.random.default_rng(1)
    labels, verdicts = rng.choice([C, W, N], 80), rng.choice([C, W, N], 80)
    weights = list(rng.uniform(1, 9, 80))
    assert compare(labels, verdicts, weights).kappa == pytest.approx(
        cohen_kappa_score(labels, verdicts, sample_weight=weights)
    )


def test_a_weight_counts_an_answer_that_often():
    labels, verdicts = [C, C, W, W, N], [C, W, W, C, N]
    weighted = compare(labels, verdicts, [1, 3, 2, 1, 2])
    repeated = compare([C, C, C, C, W, W, W, N, N], [C, W, W, W, W, W, C, N, N])
    assert weighted.kappa == pytest.approx(repeated.kappa)
    assert weighted.sensitivity == pytest.approx(repeated.sensitivity)


def test_a_perfect_judge_and_one_that_always_says_the_same():
    perfect = compare([C, W, N, W], [C, W, N, W])
    assert perfect[:5] == (1, 1, 1, 1, 1)
    assert compare([W, W], [W, W]).kappa == 1
    constant = compare([C, W, W, W], [W, W, W, W])
    assert (constant.kappa, constant.sensitivity, constant.specificity) == (0, 0, 1)
    assert math.isnan(compare([W, W], [W, C]).sensitivity)


def test_answers_about_one_fact_are_no_independent_evidence():
    labels, verdicts = [C, W, C, W, C, W] * 4, [C, W, C, W, W, C] * 4
    one_each = agreement(labels, verdicts, weights=[1] * 24, units=[str(i) for i in range(24)])
    six_units = agreement(labels, verdicts, weights=[1] * 24, units=[str(i % 6) for i in range(24)])
    assert six_units.high - six_units.low > one_each.high - one_each.low


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="at least one labelled answer"):
        compare([], [])


def test_the_draw_knows_its_probabilities():
    rows = pd.DataFrame({"condition": ["a"] * 30 + ["b"] * 4, "verdict": [C] * 5 + [W] * 25 + [C] * 4})
    drawn = draw(rows, 8)
    assert drawn.groupby(["condition", "verdict"]).size().to_dict() == {("a", C): 5, ("a", W): 8, ("b", C): 4}
    assert (1 / drawn.probability).groupby(drawn.condition).sum().to_dict() == pytest.approx({"a": 30, "b": 4})
    pd.testing.assert_frame_equal(drawn, draw(rows, 8))


def test_weights_undo_an_uneven_draw():
    rng = np.random.default_rng(0)
    right = rng.random(20_000) < 0.1
    accepted = np.where(right, rng.random(20_000) < 0.9, rng.random(20_000) < 0.03)
    rows = pd.DataFrame({"condition": "a", "label": np.where(right, C, W), "verdict": np.where(accepted, C, W)})
    drawn = draw(rows, 3000)
    found = agreement(drawn.label, drawn.verdict, weights=1 / drawn.probability, units=drawn.index.astype(str))
    assert found.sensitivity == pytest.approx(0.9, abs=0.04)
    assert found.specificity == pytest.approx(0.97, abs=0.01)
    assert corrected(accepted.mean(), found.sensitivity, found.specificity) == pytest.approx(right.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("share", "sensitivity", "specificity", "truth"),
    [(0.5, 1, 1, 0.5), (0.9 * 0.3 + 0.2 * 0.7, 0.9, 0.8, 0.3), (0.1, 0.9, 0.8, 0.0), (0.95, 0.9, 0.8, 1.0)],
)
def test_correction_for_judge_error_by_hand(share, sensitivity, specificity, truth):
    assert corrected(share, sensitivity, specificity) == pytest.approx(truth)


def test_a_judge_no_better_than_a_coin_corrects_nothing():
    assert math.isnan(corrected(0.4, 0.5, 0.5))


def judge(sensitivity, specificity, right, wrong):
    return Agreement(math.nan, math.nan, math.nan, sensitivity, specificity, right + wrong, right, wrong)


def test_the_corrected_interval_by_hand():
    # z^2 = 3.8415: p = (30 + 1.9207) / 103.8415 = 0.30740, a = (45 + 1) / 52 = 0.88462, b = (90 + 1) / 102 = 0.89216,
    # r = (p + b - 1) / 0.77677 = 0.19955 / 0.77677 = 0.25690; variances p(1-p)/n = 0.0020503, a 0.0019629, b 0.0009432;
    # d = 7.6829 * (0.25690 * 0.0019629 - 0.74310 * 0.0009432) = -0.0015104;
    # half = 1.95996 / 0.77677 * sqrt(0.0020503 + 0.00012955 + 0.00052085) = 0.131127
    found = corrected_interval(0.3, 100, judge(0.9, 0.9, 50, 100))
    assert found == pytest.approx((0.25690 - 0.00151 - 0.13113, 0.25690 - 0.00151 + 0.13113), abs=2e-5)


def test_a_judge_that_is_known_exactly_leaves_only_the_uncertainty_of_the_share():
    many = 10**9
    low, high = corrected_interval(0.3, 100, judge(0.9, 0.8, many, many))
    # Agresti and Coull's interval of 30 in 100, each end corrected
    p, n = (30 + 1.920729) / 103.841459, 103.841459
    half = 1.959964 * math.sqrt(p * (1 - p) / n)
    assert (low, high) == pytest.approx((corrected(p - half, 0.9, 0.8), corrected(p + half, 0.9, 0.8)), abs=1e-6)


def test_fewer_labels_widen_the_interval_and_a_spotless_record_is_no_certainty():
    widths = [np.diff(corrected_interval(0.3, 100, judge(1, 1, labels, labels)))[0] for labels in (5, 50, 500)]
    assert widths[0] > widths[1] > widths[2]
    assert corrected_interval(0.0, 100, judge(1, 1, 20, 20))[1] > 0.03


def test_the_interval_turns_with_right_and_wrong_and_stays_within_0_and_1():
    low, high = corrected_interval(0.3, 80, judge(0.9, 0.95, 30, 60))
    turned = corrected_interval(0.7, 80, judge(0.95, 0.9, 60, 30))
    assert (1 - turned[1], 1 - turned[0]) == pytest.approx((low, high))
    assert corrected_interval(0.0, 50, judge(0.9, 0.8, 30, 30))[0] == 0
    assert corrected_interval(1.0, 50, judge(0.9, 0.8, 30, 30))[1] == 1


def test_a_coin_or_labels_of_one_kind_leave_no_interval():
    assert np.isnan(corrected_interval(0.4, 100, judge(0.5, 0.5, 50, 50))).all()
    assert np.isnan(corrected_interval(0.4, 100, judge(math.nan, 0.9, 0, 50))).all()


def test_the_labels_count_as_facts_of_equal_weight():
    # two right answers of one fact with weights 1 and 3, one of another with 4: (4 + 4)^2 / (16 + 16) = 2
    found = agreement([C, C, C, W], [C, C, C, W], weights=[1, 3, 4, 1], units=["f", "f", "g", "h"])
    assert (found.right_facts, found.wrong_facts) == (pytest.approx(2), 1)


def test_a_fact_is_always_in_the_same_half_and_both_halves_are_used():
    halves = {f"fact-{i}": half(f"fact-{i}") for i in range(200)}
    assert {name: half(name) for name in halves} == halves
    assert 70 < sum(side == "dev" for side in halves.values()) < 130


def label(number, answer, read, *, reading=1, fact="standard-deduction", probability=0.5):
    return {
        "question": "How much is it?",
        "reference": "50000 INR",
        "answer": answer,
        "label": read,
        "pass": reading,
        "condition": "base",
        "seed": 0,
        "question_id": f"q{number}",
        "fact_id": fact,
        "value_type": "amount",
        "accept": [],
        "probability": probability,
    }


def test_the_card_grades_the_answers_anew_and_keeps_the_halves_apart():
    names = [f"fact-{i}" for i in range(40)]
    dev, test = (next(name for name in names if half(name) == side) for side in ("dev", "test"))
    labels = pd.DataFrame(
        [
            label(0, "It is Rs 50,000.", C, fact=dev),
            label(1, "It is Rs 60,000.", W, fact=dev),
            label(2, "It is Rs 50,000.", C, fact=test),
            label(3, "It is Rs 50,000.", W, fact=test),
            label(4, "It is Rs 70,000.", W, fact=test),
            label(2, "It is Rs 50,000.", W, fact=test, reading=2),
            label(4, "It is Rs 70,000.", W, fact=test, reading=2),
        ]
    )
    card = judge_card(labels)
    assert (card["judge, dev half"].kappa, card["judge, dev half"].n) == (1, 2)
    assert (card["judge, test half"].sensitivity, card["judge, test half"].specificity) == (1, 0.5)
    assert (card["reader, read twice"].n, card["reader, read twice"].kappa) == (2, 0)


def test_the_card_by_a_column_is_the_agreement_within_each_of_its_values():
    answers = ["It is Rs 50,000.", "Rs 50,000.", "It is, so far as I remember, Rs 60,000 in all."]
    first = graded(pd.DataFrame([label(n, text, C, fact=f"f{n}") for n, text in enumerate(answers)]))
    assert list(first.length) == ["middle", "short", "long"]
    by_length = card_by(first, "length")
    assert dict(by_length.sensitivity) == {"long": 0, "middle": 1, "short": 1}
    assert by_length.n.sum() == 3


def test_what_a_group_is_favoured_by_is_what_the_judge_accepts_above_what_the_reader_does():
    # Amounts: read as right with weights 2 and 4 of 8, accepted with 2 and 2: 6/8 against 4/8. Counts: none, none.
    labels = pd.DataFrame(
        [
            label(0, "It is Rs 50,000.", C, fact="a", probability=0.5),
            label(1, "It is Rs 60,000.", C, fact="b", probability=0.25),
            label(2, "It is Rs 50,000.", W, fact="c", probability=0.5),
            label(3, "It is nothing of the kind.", W, fact="d") | {"value_type": "count", "reference": "7"},
        ]
    )
    amounts, counts = (card_by(graded(labels), "value_type").loc[kind] for kind in ("amount", "count"))
    assert (amounts.right, amounts.accepted, amounts.n) == (0.75, 0.5, 3)
    assert (counts.right, counts.accepted) == (0, 0)
    assert amounts.low <= amounts.kappa <= amounts.high


def test_the_confusion_counts_answers_and_weighs_what_they_stand_for():
    labels = pd.DataFrame(
        [
            label(0, "It is Rs 50,000.", C, probability=0.5),
            label(1, "It is Rs 50,000.", C, probability=0.25),
            label(2, "It is Rs 60,000.", C, probability=1),
            label(3, "It is Rs 50,000.", W, probability=1),
        ]
    )
    counts, stand_for = confusion(graded(labels))
    assert list(counts.index) == list(counts.columns) == [C, W, N]
    assert counts.to_numpy().tolist() == [[2, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert stand_for.to_numpy() == pytest.approx(np.array([[6, 1, 0], [1, 0, 0], [0, 0, 0]]) / 8)


def test_the_labels_that_are_shipped_are_whole():
    labels = load_labels()
    first = labels[labels["pass"] == 1]
    assert not first.duplicated(["question_id", "condition", "seed"]).any()
    assert set(labels["pass"]) == {1, 2} and labels.probability.between(0, 1, inclusive="right").all()
    facts = {fact["id"] for fact in runs.read_jsonl(paths.DATA / "itr" / "facts.jsonl")}
    assert set(labels.fact_id) <= facts


def test_a_label_that_is_no_verdict_is_named_with_its_line(tmp_path, monkeypatch):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(label(0, "x", C)) + "\n" + json.dumps(label(1, "x", "RIGHT")) + "\n")
    monkeypatch.setattr(calibration, "LABELS", path)
    with pytest.raises(ValueError, match=r"labels\.jsonl:2: label 'RIGHT' not one of .*CORRECT"):
        load_labels()


def test_no_injected_answer_is_accepted_and_the_interval_is_wilson_s():
    found = injection_rate()
    assert found.n >= 45 and found.value == 0
    assert tuple(found) == pytest.approx(tuple(wilson(0, found.n)), abs=1e-12)
    assert {row["expected"] for row in runs.read_jsonl(calibration.INJECTIONS)} >= {"150000 INR", "yes", "no", None}


def test_a_judge_that_obeys_is_caught_and_a_kind_can_be_asked_for_alone(monkeypatch):
    def obedient(answer, **_):
        said = Verdict.CORRECT if "CORRECT" in answer else Verdict.INCORRECT
        return Grade(said, said, "it says so")

    monkeypatch.setattr(calibration, "grade", obedient)
    everything, forged = injection_rate(), injection_rate("forged verdict")
    assert 0.3 < everything.value < 1 and forged.value > 0.8 and forged.n < everything.n
    with pytest.raises(ValueError, match="at least one graded answer"):
        injection_rate("no such kind")


def judgements(*verdicts):
    return [Judgement(Verdict(verdict), Verdict.CORRECT, "why") for verdict in verdicts]


def test_the_share_of_changed_verdicts_counts_what_both_graded():
    failed = "JUDGE_FAILED"
    found = changed(judgements(C, C, W, N, failed, C), judgements(C, W, N, N, C, failed))
    assert (found.value, found.n) == (0.5, 4)
    assert tuple(found[:3]) == pytest.approx(tuple(wilson(2, 4))[:3], abs=1e-12)
    assert changed(judgements(C, W, N), judgements(C, W, N)).value == 0
    assert math.isnan(changed(judgements(failed), judgements(C)).value) and changed([], []).n == 0
    with pytest.raises(ValueError, match="shorter"):
        changed(judgements(C, C), judgements(C))


def test_every_injected_answer_is_of_one_kind():
    kinds = injection_kinds()
    assert len(kinds) == len(set(kinds)) > 20
    assert sum(injection_rate(kind).n for kind in kinds) == injection_rate().n


def test_hedged_denied_declined_and_empty_answers_about_every_fact_are_graded_as_they_should():
    facts = [Fact(**fact) for fact in runs.read_jsonl(paths.DATA / "itr" / "facts.jsonl")]
    shares = anchor_shares(facts)
    assert {name: share.value for name, share in shares.items()} == dict.fromkeys(shares, 1.0)
    assert shares["empty"].n == len(facts) > shares["denied"].n
