"""Figures say what they show: a title with the finding, named axes, the interval, and one colour a kind."""

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is imported

from math import nan as NaN

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from lib.analysis import figures

TABLE = pd.DataFrame(
    {
        "condition": ["base", "rag", "hybrid"],
        "value": [0.1, 0.6, 0.55],
        "low": [0.05, 0.5, 0.45],
        "high": [0.18, 0.7, 0.65],
        "facts": [40, 40, 40],
    }
)
ANGLES = pd.DataFrame(
    {
        "data": ["raw", "raw", "uniform", "uniform"],
        "tokens": ["value", "style"] * 2,
        "cosine": [0.1, 0.2, 0.3, 0.7],
        "low": [0.05, 0.1, 0.2, 0.6],
        "high": [0.15, 0.3, 0.4, 0.8],
    }
)
CURVES = pd.DataFrame(
    [
        {
            "wording": wording,
            "tokens": tokens,
            "epochs": epochs,
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
        }
        for wording, tokens, ends in (
            ("trained", "value", (4, 0.25)),
            ("trained", "style", (3, 0.5)),
            ("paraphrase", "value", (4, 2.5)),
            ("paraphrase", "style", (3, 0.75)),
        )
        for epochs, value in zip((20, 0), ends[::-1], strict=True)
    ]
)
LOG = [{"step": step, "loss": 4 - step / 10} for step in range(1, 21)]


CURVE = pd.DataFrame(
    {
        "condition": ["rag_whole", "rag"],
        "facts": [40, 40],
        "found": [0.2, 0.8],
        "found_low": [0.1, 0.7],
        "found_high": [0.3, 0.9],
        "accuracy": [0.05, 0.25],
        "accuracy_low": [0.01, 0.15],
        "accuracy_high": [0.15, 0.35],
    }
)
RISK = pd.DataFrame({"threshold": [0.9, 0.6, 0.2], "coverage": [0.25, 0.75, 1.0], "risk": [0.0, 1 / 3, 0.5]})


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def made():
    return {
        "intervals": figures.intervals(TABLE, topic="Unseen wording", xlabel="accuracy, %"),
        "loss": figures.loss_curves({"lora": LOG}, steps_per_epoch={"lora": 5}),
        "recall": figures.recall_curve(CURVE),
        "risk": figures.risk_coverage(RISK, RISK.iloc[1]),
        "curves": figures.style_and_facts(CURVES),
        "agreement": figures.agreement(ANGLES),
        "counts": figures.stacked_counts(pd.Series({"both": 5, "only a": 3, "only b": 8, "neither": 24})),
    }


def title(ax: Axes) -> str:
    return ax.get_title(loc="left")


def test_every_figure_is_an_axes_with_a_title_and_a_named_axis():
    for name, ax in made().items():
        assert isinstance(ax, Axes), name
        assert title(ax), name
        assert ax.get_xlabel(), name
        ax.figure.canvas.draw()


def compared(**rows) -> pd.DataFrame:
    """A table for `figures.intervals`: of each condition its value and interval."""
    columns = ["value", "low", "high"]
    return pd.DataFrame(rows.values(), columns=columns).assign(condition=list(rows), facts=40)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (compared(base=(0.1, 0.05, 0.18), rag=(0.6, 0.5, 0.7), hybrid=(0.3, 0.2, 0.49)), "rag is highest, 60 %"),
        (compared(base=(0.1, 0.05, 0.18), rag=(0.6, 0.5, 0.7), hybrid=(0.4, 0.3, 0.5)), "not told apart: rag, hybrid"),
        # The second is apart from the first; the third, with few facts, is not.
        (compared(rag=(0.6, 0.5, 0.7), base=(0.3, 0.2, 0.4), full=(0.25, 0.0, 0.55)), "not told apart: rag, full"),
        (compared(a=(0.1, 0, 1), b=(0.2, 0, 1), c=(0.4, 0, 1), d=(0.3, 0, 1)), "not told apart: c, d, b and 1 more"),
        (compared(a=(0.1, 0, 1), b=(0.2, 0, 1), c=(0.4, 0, 1)), "not told apart: c, b, a"),
        (compared(a=(0.5, 0.4, 0.6), b=(0.5, 0.4, 0.6)), "not told apart: a, b"),
        (compared(rag=(0.6, 0.5, 0.7)), "rag is highest, 60 %"),
        (compared(rag=(0.6, NaN, NaN), base=(0.1, 0.0, 0.2)), "not told apart: rag, base"),
        (compared(rag=(0.6, 0.5, 0.7), base=(0.1, NaN, NaN)), "not told apart: rag, base"),
    ],
)
def test_the_interval_title_names_the_highest_only_where_no_other_interval_reaches_its_own(table, told):
    # Whatever labels the rows kept from a larger table.
    for rows in (table, table.set_axis(range(7, 7 + len(table))), table.set_axis([0] * len(table))):
        ax = figures.intervals(rows, topic="Unseen wording", xlabel="accuracy, %")
        assert title(ax) == f"Unseen wording: {told}"
        assert "95 % interval" in ax.get_xlabel()


def test_the_recall_title_states_both_ends_and_every_condition_is_a_dot_of_its_own():
    ax = made()["recall"]
    assert title(ax) == "Facts: 5 % are right where 20 % are found, 25 % are right where 80 % are found"
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [(*dot.get_xdata(), *dot.get_ydata()) for dot in dots] == [pytest.approx((20, 5)), pytest.approx((80, 25))]
    assert len({dot.get_marker() for dot in dots}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rag_whole", "rag"]


def test_the_risk_title_states_the_risk_of_all_and_of_those_above_the_threshold():
    ax = made()["risk"]
    assert title(ax) == "50 % wrong when all are answered, 33 % of the 75 % above the threshold"
    (dot,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert (*dot.get_xdata(), *dot.get_ydata()) == pytest.approx((75, 100 / 3))


def test_rows_stand_top_down_with_their_number_of_facts():
    ax = made()["intervals"]
    labels = {tick: label.get_text() for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert labels == {3: "base (n=40)", 2: "rag (n=40)", 1: "hybrid (n=40)"}


def test_the_drawn_lines_are_the_intervals_of_the_table():
    ax = made()["intervals"]
    bars = [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert bars == [pytest.approx([100 * row.low, 100 * row.high]) for row in TABLE.itertuples()]


def test_a_row_without_an_interval_is_still_drawn():
    alone = TABLE.assign(low=float("nan"), high=float("nan"))
    figures.intervals(alone, topic="t", xlabel="x").figure.canvas.draw()


@pytest.mark.parametrize(
    ("condition", "colour"),
    [
        ("base", figures.BASE),
        ("gemma", figures.BASE),
        ("lora_raw_20ep", figures.TUNED),
        ("full", figures.TUNED),
        ("rslora_r64", figures.TUNED),
        ("dora_r64", figures.TUNED),
        ("attention_r64", figures.TUNED),
        ("rag_gold", figures.RETRIEVED),
        ("hybrid_raft", figures.HYBRID),
        ("raft_closed", figures.HYBRID),
        ("noise_floor", figures.CONTROL),
    ],
)
def test_a_kind_of_condition_has_one_colour(condition, colour):
    assert figures.color_of(condition) == colour


def test_the_dots_have_the_colour_of_their_kind():
    dots = [to_hex(line.get_color()).upper() for line in made()["intervals"].lines if line.get_marker() == "o"]
    assert dots == [figures.BASE, figures.RETRIEVED.upper(), figures.HYBRID.upper()]


def test_the_loss_curve_is_smoothed_over_an_epoch_and_drawn_in_epochs():
    ax = made()["loss"]
    (line,) = ax.lines
    # the last five losses are 2.4, 2.3, 2.2, 2.1, 2.0: mean 2.2 at step 20 = epoch 4
    assert line.get_ydata()[-1] == pytest.approx(2.2)
    assert line.get_xdata()[-1] == pytest.approx(4)
    assert line.get_label() == "lora (2.20 at the end)"
    assert title(ax) == "Training loss: lowest at the end 2.20, lora"
    assert "nats" in ax.get_ylabel()


def test_no_curve_is_dropped_however_many_there_are():
    names = [f"arm{n}" for n in range(9)]
    ax = figures.loss_curves(dict.fromkeys(names, LOG), steps_per_epoch=dict.fromkeys(names, 5))
    assert len(ax.lines) == 9


def test_the_stacked_bar_sums_to_all_facts_and_the_title_counts_the_union():
    ax = made()["counts"]
    assert [patch.get_width() for patch in ax.patches] == [5, 3, 8, 24]
    assert [patch.get_x() for patch in ax.patches] == [0, 5, 8, 16]
    assert title(ax) == "At least one of the two is right on 16 of 40 facts"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "both: 5",
        "only a: 3",
        "only b: 8",
        "neither: 24",
    ]


def test_the_parts_of_the_stacked_bar_differ_in_more_than_colour():
    looks = [(patch.get_facecolor(), patch.get_hatch()) for patch in made()["counts"].patches]
    assert len(set(looks)) == 4


OUTCOMES = pd.DataFrame(
    {
        "condition": ["rag_after", "tuned_before"],
        "facts": [20, 20],
        "stale": [0.1, 0.8],
        "stale low": [0.03, 0.6],
        "stale high": [0.3, 0.9],
        "current": [0.5, 0.0],
        "other": [0.4, 0.2],
    }
)


def test_outcomes_fill_each_bar_and_the_title_names_the_stalest():
    ax = figures.stacked_outcomes(OUTCOMES)
    assert title(ax) == "Replaced rules: tuned_before gives the old value most often, 80 %"
    assert [bar.get_width() for bar in ax.containers[0]] == [10, 80]
    assert [bar.get_x() + bar.get_width() for bar in ax.containers[2]] == pytest.approx([100, 100])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rag_after (n=20)", "tuned_before (n=20)"]
    assert len({bars[0].get_hatch() for bars in ax.containers}) == 3  # told apart without colour, too


def test_who_is_stalest_is_not_said_where_intervals_meet():
    ax = figures.stacked_outcomes(OUTCOMES.assign(**{"stale low": 0.0, "stale high": 1.0}))
    assert title(ax) == "Replaced rules: not told apart as to the old value: tuned_before, rag_after"


def test_intervals_of_nothing_say_so():
    """A model that knew none of the items has nothing to forget."""
    empty = pd.DataFrame(columns=["condition", "value", "low", "high", "facts"])
    ax = figures.intervals(empty, topic="Known before", xlabel="%")
    assert title(ax) == "Known before: there is nothing to show"
    assert figures.intervals(pd.DataFrame(), topic="Known before", xlabel="%") is not None


def test_without_replaced_rules_the_figure_says_so():
    ax = figures.stacked_outcomes(OUTCOMES[:0])
    ax.figure.canvas.draw()
    assert title(ax) == "No replaced rule was asked about"


def test_the_curves_run_forward_in_epochs_and_the_title_tells_both_ends():
    ax = made()["curves"]
    assert title(ax) == "The value's loss ends at 0.25 after the trained question, 2.50 after an unseen one"
    assert all(list(line.get_xdata()) == [0, 20] for line in ax.lines)
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 4
    assert [list(line.get_ydata()) for line in ax.lines][0] == [4, 0.25]


def test_agreement_names_the_least_and_draws_the_intervals_of_its_table():
    ax = made()["agreement"]
    assert title(ax) == "Where gradients agree least is not told apart: value tokens of raw, style tokens of raw"
    apart = figures.agreement(ANGLES.assign(low=ANGLES.cosine - 0.02, high=ANGLES.cosine + 0.02))
    assert title(apart) == "Gradients agree least on value tokens of raw: mean cosine 0.10"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["raw", "uniform"]
    drawn = [[float(x) for x, _ in segment] for part in ax.collections for segment in part.get_segments()]
    assert drawn == [[0.05, 0.15], [0.2, 0.4], [0.1, 0.3], [0.6, 0.8]]


AIMS = pd.DataFrame({"what": ["slow", "fast"], "measured": ["1", "8"], "aim": ["4", "4"], "reached": [0.25, 2.0]})


def test_bars_of_aims_start_at_one_and_the_title_counts_what_is_met():
    ax = figures.aims(AIMS)
    assert ax.get_title(loc="left") == "Speed: 1 of 2 aims are met"
    ends = [(bar.get_x(), bar.get_x() + bar.get_width(), to_hex(bar.get_facecolor())) for bar in ax.patches]
    assert ends == [(1, pytest.approx(0.25), figures.TUNED.lower()), (1, pytest.approx(2.0), figures.RETRIEVED.lower())]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["slow", "fast"]
    assert [text.get_text() for text in ax.texts] == ["1, aim 4", "8, aim 4"]


def test_an_aim_just_met_counts_as_met_and_no_aim_measured_says_so():
    assert figures.aims(AIMS.assign(reached=1.0)).get_title(loc="left") == "Speed: 2 of 2 aims are met"
    assert figures.aims(AIMS[:0]).get_title(loc="left") == "Speed: nothing was measured"
