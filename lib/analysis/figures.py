"""Figures: one message each, the same colour for the same kind of condition everywhere, intervals drawn and named."""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with any common colour vision, and by lightness in print.
BASE, TUNED, RETRIEVED, HYBRID, CONTROL = "#555555", "#D55E00", "#0072B2", "#009E73", "#CC79A7"

# More names than this do not fit into a title.
NAMED = 3

MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
LINES = ["-", "--", "-.", ":", (0, (1, 1, 5, 1)), (0, (6, 2))]

plt.rcParams.update(
    {
        # A white card keeps the figure legible on a dark page too.
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.dpi": 110,
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "svg.hashsalt": "workbook",
    }
)


def color_of(condition: str) -> str:
    """The colour of a condition's kind: untouched, tuned, retrieved, hybrid or control."""
    if condition.startswith(("hybrid", "raft")):
        return HYBRID
    if condition.startswith("rag"):
        return RETRIEVED
    if condition.startswith(("lora", "rslora", "dora", "attention", "full")):
        return TUNED
    return CONTROL if condition.startswith("noise") else BASE


def intervals(table: pd.DataFrame, *, topic: str, xlabel: str) -> Axes:
    """One dot with its 95 % interval a row: columns condition, value, low, high, facts. First row on top.

    The title states the finding, read from the table, so that it cannot outlive its numbers: which row is highest where its
    interval lies apart from all others, else which are not told apart by their intervals; of an empty table, that.
    """
    if table.empty:
        return _nothing(f"{topic}: there is nothing to show")
    leaders = _leaders(table.condition, table.value, table.low, table.high)
    title = f"{topic}: {leaders[0]} is highest, {100 * table.value.max():.0f} %"
    if len(leaders) > 1:
        title = f"{topic}: not told apart: {_listed(leaders)}"
    figure, ax = plt.subplots(figsize=(8, 0.42 * len(table) + 1.3), layout="constrained")
    for place, row in enumerate(table.itertuples()):
        y, colour = len(table) - place, color_of(row.condition)
        ax.plot([100 * row.low, 100 * row.high], [y, y], color=colour, linewidth=2)
        ax.plot([100 * row.value], [y], "o", color=colour)
        ax.annotate(
            f"{100 * row.value:.0f}", (100 * row.value, y), (0, 6), textcoords="offset points", ha="center", fontsize=9
        )
    labels = [f"{row.condition} (n={row.facts})" for row in table.itertuples()]
    ax.set_yticks(range(len(table), 0, -1), labels)
    ax.set(
        xlim=(-2, 102), ylim=(0.4, len(table) + 0.8), title=title, xlabel=f"{xlabel}; line: 95 % interval over facts"
    )
    ax.grid(axis="x", alpha=0.25)
    return ax


def _leaders(names: pd.Series, value: pd.Series, low: pd.Series, high: pd.Series) -> list[str]:
    """The name of the highest value, then, from high to low, all whose interval is not known to lie below its own."""
    rows = pd.DataFrame({"name": [*names], "value": [*value], "low": [*low], "high": [*high]})
    below = rows.high < rows.low[rows.value.idxmax()]
    return list(rows[~below].sort_values("value", ascending=False, kind="stable").name)


def _listed(names: Sequence[str]) -> str:
    """Names in a title: the first few, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _nothing(title: str) -> Axes:
    figure, ax = plt.subplots(figsize=(8, 1.0), layout="constrained")
    ax.set(title=title)
    ax.axis("off")
    return ax


def loss_curves(logs: Mapping[str, Sequence[dict]], *, steps_per_epoch: Mapping[str, float]) -> Axes:
    """Training loss of answer tokens against exposures per fact (epochs), smoothed over one epoch."""
    figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    ends = {}
    for (name, log), style in zip(logs.items(), itertools.cycle(LINES)):
        losses = pd.Series([row["loss"] for row in log])
        smooth = losses.rolling(max(1, round(steps_per_epoch[name])), min_periods=1).mean()
        epochs = [row["step"] / steps_per_epoch[name] for row in log]
        ends[name] = smooth.iloc[-1]
        ax.plot(epochs, smooth, linestyle=style, label=f"{name} ({ends[name]:.2f} at the end)")
    lowest = min(ends, key=ends.get)
    ax.set(title=f"Training loss: lowest at the end {ends[lowest]:.2f}, {lowest}", xlabel="exposures per fact (epochs)")
    ax.set(ylabel="loss, nats per answer token", ylim=(0, None))
    # Many names would stand on the curves: then they stand beside them.
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(logs) > len(LINES) else {}
    ax.legend(frameon=False, fontsize=9, **beside)
    return ax


def stacked_outcomes(table: pd.DataFrame) -> Axes:
    """What is said of replaced rules: one bar a condition cut into stale, current and other answers.

    Columns condition, facts, stale, stale low, stale high, current, other: shares, and the interval of the first. First row on
    top; the title states the stalest where its interval lies apart from all others.
    """
    parts = {"stale": ("#E69F00", "//"), "current": (RETRIEVED, ""), "other": ("#DDDDDD", "..")}
    figure, ax = plt.subplots(figsize=(8, 0.5 * max(1, len(table)) + 1.6), layout="constrained")
    places, left = range(len(table), 0, -1), 0 * table.stale
    for name, (colour, hatch) in parts.items():
        bars = ax.barh(places, 100 * table[name], left=left, color=colour, edgecolor="white", hatch=hatch, label=name)
        labels = [f"{100 * share:.0f}" if share >= 0.05 else "" for share in table[name]]
        ax.bar_label(bars, labels, label_type="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        left = left + 100 * table[name]
    title = "No replaced rule was asked about"
    if len(table):
        stalest = _leaders(table.condition, table.stale, table["stale low"], table["stale high"])
        title = f"Replaced rules: {stalest[0]} gives the old value most often, {100 * table.stale.max():.0f} %"
        if len(stalest) > 1:
            title = f"Replaced rules: not told apart as to the old value: {_listed(stalest)}"
    ax.set_yticks(places, [f"{row.condition} (n={row.facts})" for row in table.itertuples()])
    ax.set(xlim=(0, 100), title=title, xlabel="answers, %: old value (stale), new value (current), neither (other)")
    ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.3), fontsize=9)
    return ax


def stacked_counts(counts: pd.Series) -> Axes:
    """Who is right about how many facts: one bar cut into both, only one, only the other, neither."""
    figure, ax = plt.subplots(figsize=(8, 1.9), layout="constrained")
    left = 0
    hatches = ["", "//", "..", ""]
    for (name, count), colour, hatch in zip(
        counts.items(), [HYBRID, TUNED, RETRIEVED, "#DDDDDD"], hatches, strict=True
    ):
        ax.barh([0], [count], left=left, color=colour, edgecolor="white", hatch=hatch, label=f"{name}: {count}")
        left += count
    right = counts.sum() - counts.iloc[-1]
    ax.set(title=f"At least one of the two is right on {right} of {counts.sum()} facts")
    ax.set(yticks=[], xlabel=f"facts (n = {int(counts.sum())})", xlim=(0, max(1, counts.sum())))
    ax.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.55), fontsize=9)
    return ax


def recall_curve(table: pd.DataFrame) -> Axes:
    """Answers right against gold passages shown, one dot a condition: the table of `recall.recall_and_accuracy`.

    The title states the two ends, read from the table.
    """
    worst, best = table.iloc[0], table.iloc[-1]
    figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for row, marker in zip(table.itertuples(), itertools.cycle(MARKERS)):
        x, y = 100 * row.found, 100 * row.accuracy
        ax.plot([100 * row.found_low, 100 * row.found_high], [y, y], color=RETRIEVED, linewidth=1, alpha=0.4)
        ax.plot([x, x], [100 * row.accuracy_low, 100 * row.accuracy_high], color=RETRIEVED, linewidth=1, alpha=0.4)
        ax.plot([x], [y], marker, color=RETRIEVED, label=row.condition, linestyle="none")
    ends = [f"{100 * row.accuracy:.0f} % are right where {100 * row.found:.0f} % are found" for row in (worst, best)]
    ax.set(title=f"Facts: {ends[0]}, {ends[1]}")
    ax.set(xlabel=f"facts whose gold passage is in the prompt, % (n = {worst.facts}); lines: 95 % intervals")
    ax.set(ylabel="facts right, %", xlim=(-2, 102), ylim=(-2, 102))
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def risk_coverage(curve: pd.DataFrame, chosen: pd.Series) -> Axes:
    """Share wrong among the answers given, against the share given; the dot is the threshold that dev chose."""
    figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
    ax.plot(100 * curve.coverage, 100 * curve.risk, color=RETRIEVED, drawstyle="steps-post")
    ax.plot([100 * chosen.coverage], [100 * chosen.risk], "o", color=HYBRID)
    ax.annotate(
        "threshold", (100 * chosen.coverage, 100 * chosen.risk), (0, 8), textcoords="offset points", ha="center"
    )
    whole = f"{100 * curve.risk.iloc[-1]:.0f} % wrong when all are answered"
    ax.set(title=f"{whole}, {100 * chosen.risk:.0f} % of the {100 * chosen.coverage:.0f} % above the threshold")
    ax.set(xlabel="questions answered, surest first, %", ylabel="answers wrong, %", xlim=(-2, 102), ylim=(-2, 102))
    ax.grid(alpha=0.25)
    return ax


def style_and_facts(table: pd.DataFrame) -> Axes:
    """Loss of style and of value tokens after the trained and an unseen question, against exposures per fact.

    Columns wording (trained, paraphrase), tokens (value, style), epochs, value, low, high. One line a wording and kind of
    tokens; the band is the 95 % interval over facts.
    """
    figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
    drawn = {("trained", "style"): (BASE, "--", "s"), ("paraphrase", "style"): (CONTROL, "--", "D")}
    drawn |= {("trained", "value"): (TUNED, "-", "o"), ("paraphrase", "value"): (RETRIEVED, "-", "^")}
    ends = {}
    for (wording, tokens), rows in table.groupby(["wording", "tokens"], sort=False):
        colour, line, marker = drawn[wording, tokens]
        rows = rows.sort_values("epochs")
        ends[wording, tokens] = rows.value.iloc[-1]
        name = f"{tokens} tokens, {'trained' if wording == 'trained' else 'unseen'} question"
        ax.plot(rows.epochs, rows.value, color=colour, linestyle=line, marker=marker, label=name)
        ax.fill_between(rows.epochs, rows.low, rows.high, color=colour, alpha=0.12, linewidth=0)
    trained, unseen = ends["trained", "value"], ends["paraphrase", "value"]
    ax.set(title=f"The value's loss ends at {trained:.2f} after the trained question, {unseen:.2f} after an unseen one")
    ax.set(xlabel="exposures per fact (epochs); band: 95 % interval over facts", ylabel="loss, nats per token")
    ax.set(ylim=(0, None), xticks=sorted(table.epochs.unique()))
    ax.legend(frameon=False, fontsize=9)
    return ax


def agreement(table: pd.DataFrame) -> Axes:
    """Mean cosine of value and of style gradients, one dot with its 95 % interval a data set: columns data, tokens, cosine,
    low, high. Left of 0 gradients conflict on the whole. The title names the least where its interval lies apart from all others.
    """
    names = list(dict.fromkeys(table.data))
    figure, ax = plt.subplots(figsize=(8, 0.6 * len(names) + 1.4), layout="constrained")
    for tokens, colour, marker, shift in (("value", TUNED, "o", 0.14), ("style", BASE, "s", -0.14)):
        rows = table[table.tokens == tokens].set_index("data").loc[names]
        places = [len(names) - place + shift for place in range(len(names))]
        ax.hlines(places, rows.low, rows.high, color=colour, linewidth=2)
        ax.plot(rows.cosine, places, marker, color=colour, label=f"{tokens} tokens")
    least = _leaders(table.tokens + " tokens of " + table.data, -table.cosine, -table.high, -table.low)
    title = f"Gradients agree least on {least[0]}: mean cosine {table.cosine.min():.2f}"
    if len(least) > 1:
        title = f"Where gradients agree least is not told apart: {_listed(least)}"
    ax.axvline(0, color="#AAAAAA", linewidth=1)
    ax.set_yticks(range(len(names), 0, -1), names)
    ax.set(title=title, xlabel="mean cosine of two examples' gradients; line: 95 % interval over facts")
    ax.grid(axis="x", alpha=0.25)
    ax.legend(frameon=False, fontsize=9)
    return ax


def aims(table: pd.DataFrame) -> Axes:
    """How many times over each aim of speed is met, one bar a row from 1, on a logarithmic axis: columns what, measured, aim,
    reached. Right of 1 the aim is met. The title counts those that are; of an empty table it says so.
    """
    if table.empty:
        return _nothing("Speed: nothing was measured")
    met = table.reached >= 1
    figure, ax = plt.subplots(figsize=(8, 0.42 * len(table) + 1.3), layout="constrained")
    places = range(len(table), 0, -1)
    colours = [RETRIEVED if row else TUNED for row in met]
    ax.barh(places, table.reached - 1, left=1, color=colours, height=0.6)
    ax.axvline(1, color=BASE, linewidth=1)
    for place, row in zip(places, table.itertuples(), strict=True):
        label, end = f"{row.measured}, aim {row.aim}", (max(1, row.reached), place)
        ax.annotate(label, end, (5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_xscale("log")
    ax.set_xticks([0.25, 0.5, 1, 2], ["a quarter", "half", "as aimed", "twice"])
    ax.minorticks_off()
    ax.set_yticks(places, table.what)
    ax.set(title=f"Speed: {met.sum()} of {len(table)} aims are met", xlabel="measured, in times of the aim")
    ax.set(xlim=(min(0.2, 0.9 * table.reached.min()), 6 * max(1, table.reached.max())))
    return ax
