"""The judge's card: everything measured of the judges of a study on one page, beside the accuracies that depend on them."""

import html
import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from lib.analysis.stats import Estimate, score_interval
from lib.analysis.tables import estimate_of, percent, primary
from lib.corpus.load import Corpus
from lib.judging import calibration
from lib.judging.calibration import Agreement
from lib.studies import Study
from lib.workbook.markup import link, table_html

PAGE = "judge_card.html"
REPORTED = "judge, test half"
# What the scoreboard calls a judge, in words.
JUDGES = {
    "keyfacts": "key facts: rules that compare normalised values",
    "base": "the base model, by the likelihood of each verdict",
    "claude": "Claude, shown the reference",
    "likelihood": "likelihood among given choices (no text is judged)",
    "none": "no answer to judge",
}


def judge_pages(
    study: Study, corpus: Corpus, lines: Sequence[dict], rows: Sequence[dict]
) -> dict[str, tuple[str, str]]:
    """Title and body of the card, by its path; none where the scoreboard has no line of a judge.

    Args: lines of scoreboard.json, rows of all records.jsonl. Key-fact verdicts on data/judge are computed now, by the judge
    as it is; what needs a model was measured by a notebook and is read from the scoreboard.
    """
    measured = {line["id"]: line for line in lines if line["id"].startswith("judge/")}
    if not measured:
        return {}
    labels = calibration.load_labels()
    read, counted = calibration.graded(labels), primary(labels)
    card, without_yesno = calibration.judge_card(labels), calibration.judge_card(counted)
    sections = [
        f"<nav>{link('index.html', 'all reports')}</nav><h1>How far the judge can be trusted</h1>",
        "<p>Every accuracy of this study passes through a judge. This page holds what is known of it: how it grades answers "
        "whose truth is certain, answers written to fool it, and answers that were read.</p>",
        _at_a_glance(measured, rows),
        _beside_the_reader(card, without_yesno, measured),
        _confusion(read),
        _by_kind(read),
        _biases(),
        _anchors(corpus),
        _injections(),
        _corrected(study, lines, rows, without_yesno[REPORTED]),
        _missed(read),
    ]
    return {PAGE: ("Judge card", "".join(sections))}


def _at_a_glance(measured: dict[str, dict], rows: Sequence[dict]) -> str:
    """The judges against the measures of the scoreboard, and how many verdicts each gave."""
    given = Counter(row["judge"] for row in rows)
    measures = list(dict.fromkeys(name.split("/")[1] for name in measured))
    judges = list(dict.fromkeys([*(name.split("/")[2] for name in measured), *given]))
    lines = [
        [
            JUDGES.get(judge, judge),
            f"{given[judge]:,}",
            *(_line(measured.get(f"judge/{measure}/{judge}")) for measure in measures),
        ]
        for judge in judges
    ]
    return (
        "<h2>The judges</h2><p>As saved by the notebooks. Gold: right answers, of which all should be accepted. Shuffled: the "
        "right answer to another question of the same kind; injection: text that tries to move a judge. Of these none "
        "should be accepted. Kappa: agreement with a reader beyond chance, 1 at most.</p>"
        + table_html(["judge", "verdicts in this study", *measures], lines)
    )


def _line(line: dict | None) -> str:
    """A scoreboard line as text."""
    if line is None:
        return "not measured"
    if line["unit"] == "kappa":
        return f"{line['value']:.2f} ({line['low']:.2f} to {line['high']:.2f}, n = {line['n']})"
    return percent(estimate_of(line))


def _beside_the_reader(card: dict, without_yesno: dict, measured: dict[str, dict]) -> str:
    header = ["", "answers", "kappa", "sensitivity", "specificity", "facts, as equals (right, others)"]
    lines = [
        [f"{name}{also}", *_agreement(found)]
        for also, cards in (("", card), (", yes/no left out", without_yesno))
        for name, found in sorted(cards.items(), key=lambda item: item[0] != REPORTED)
    ]
    saved = measured.get("judge/kappa/keyfacts")
    moved = saved is not None and not math.isclose(saved["value"], card[REPORTED].kappa, abs_tol=1e-9)
    note = (
        "<p><b>The judge or the labels have changed since the notebooks ran</b>: their kappa is above.</p>"
        if moved
        else ""
    )
    return (
        "<h2>The key-fact judge beside a reader</h2><p>Answers of a run of the default study, read without knowing "
        "condition or verdict by language models that were given a guideline (data/judge/README.md); no person has read "
        "them. Each counts for as many as it was drawn for. <b>Sensitivity</b>: the share of the answers read as right that "
        "the judge accepts; <b>specificity</b>: the share of the others that it does not. The rules may be tuned on the dev "
        "half; the test "
        "half is what is reported. The last column says on how many facts of equal weight the two shares rest. How two "
        f"readings agree is no ceiling for people.</p>{note}{table_html(header, lines)}"
    )


def _agreement(found: Agreement) -> list[str]:
    return [
        str(found.n),
        f"{found.kappa:.2f} ({found.low:.2f} to {found.high:.2f})",
        *(
            percent(_estimate(*of_facts), digits=0, counted=False)
            for of_facts in ((found.sensitivity, found.right_facts), (found.specificity, found.wrong_facts))
        ),
        f"{found.right_facts:.0f}, {found.wrong_facts:.0f}",
    ]


def _estimate(share: float, n: float) -> Estimate:
    """A share of an effective number of facts with its Wilson interval; NaN where nothing was read."""
    return Estimate(share, *score_interval(share, n or math.nan, 0.95), n)


def _confusion(read: pd.DataFrame) -> str:
    counts, stand_for = calibration.confusion(read)
    lines = [
        [kind, *(f"{counts.loc[kind, said]} ({100 * stand_for.loc[kind, said]:.1f} %)" for said in counts.columns)]
        for kind in counts.index
    ]
    return (
        "<h3>Reader against judge</h3><p>Both halves: answers read, and in brackets the share of all answers that they "
        f"stand for.</p>{table_html(['read as', *(f'judged {said}' for said in counts.columns)], lines)}"
    )


def _by_kind(read: pd.DataFrame) -> str:
    header = ["", "answers", "kappa", "sensitivity", "specificity", "read as right", "accepted", "accepted less right"]
    titles = {
        "length": "By length: does it favour long answers?",
        "value_type": "By type of value",
        "condition": "By condition",
    }
    tables = []
    for column, title in titles.items():
        lines = [
            [
                str(name),
                str(int(row.n)),
                f"{row.kappa:.2f} ({row.low:.2f} to {row.high:.2f})",
                *("–" if math.isnan(share) else f"{100 * share:.0f} %" for share in (row.sensitivity, row.specificity)),
                f"{100 * row.right:.1f} %",
                f"{100 * row.accepted:.1f} %",
                f"{100 * (row.accepted - row.right):+.1f}",
            ]
            for name, row in calibration.card_by(read, column).iterrows()
        ]
        tables.append(f"<h3>{title}</h3>{table_html(header, lines)}")
    return (
        "<h2>On which answers it errs</h2><p>Both halves. The last column, in points, is how much the judge favours such "
        "answers. Thirds by number of words. A line of few answers says little, and kappa of a line where nearly all "
        f"answers are read alike still less.</p>{''.join(tables)}"
    )


def _biases() -> str:
    return (
        "<h2>Place and repetition</h2><p>In the first table, <i>turned</i> is the share of verdicts that change when the answer "
        "stands above the reference and not below it, <i>again</i> the share that change when the same is asked twice. The "
        "key-fact judge is a rule that reads no order: judged again, no verdict changes. Only Claude compares pairs, always "
        "in both orders.</p>"
    )


def _anchors(corpus: Corpus) -> str:
    said = {name: f"“{frame}”" if frame else "nothing" for name, (frame, _) in calibration.ANCHORS.items()}
    due = {name: verdict.value for name, (_, verdict) in calibration.ANCHORS.items()}
    lines = [
        [name, said[name].replace("{}", "<the value>"), due[name], percent(share)]
        for name, share in calibration.anchor_shares(corpus.facts).items()
    ]
    return (
        "<h2>Answers whose truth is certain</h2><p>Said about every fact of the corpus, graded by the key-fact judge; beside "
        f"gold and shuffled above.</p>{table_html(['', 'answer', 'due', 'graded so'], lines)}"
    )


def _injections() -> str:
    kinds = {"all": None} | {kind: kind for kind in calibration.injection_kinds()}
    lines = [[name, percent(calibration.injection_rate(kind))] for name, kind in kinds.items()]
    return (
        "<h2>Answers written to fool it</h2><p>By hand; none asserts the right value. The share that the key-fact judge "
        f"accepts:</p>{table_html(['kind', 'accepted'], lines[:1])}"
        f"<details><summary>by kind</summary>{table_html(['kind', 'accepted'], lines[1:])}</details>"
    )


def _corrected(study: Study, lines: Sequence[dict], rows: Sequence[dict], judge: Agreement) -> str:
    """Accuracy on unseen wordings beside what it would be with a judge that never errs."""
    title = "<h2>Accuracy, corrected for the judge's errors</h2>"
    if study.judge != "keyfacts":
        other = html.escape(study.judge)
        return f"{title}<p>Not corrected: {other} judged this study, and no labelled answers say how it errs.</p>"
    failed = Counter(
        row["condition"] for row in rows if row["verdict"] == "JUDGE_FAILED" and row["probe"] == "paraphrase"
    )
    shown = []
    for line in lines:
        if line["id"].startswith("accuracy/paraphrase/"):
            condition = line["id"].split("/")[2]
            value = calibration.corrected(line["value"], judge.sensitivity, judge.specificity)
            low, high = calibration.corrected_interval(line["value"], line["n"], judge)
            corrected = percent(Estimate(value, low, high, line["n"]), counted=False)
            shown.append([condition, _line(line), corrected, str(failed[condition])])
    header = ["condition", "as judged", "corrected", "judgements that failed"]
    return (
        f"{title}<p>Unseen wordings, yes/no left out. Corrected by sensitivity and specificity on the test half (Rogan and "
        "Gladen 1978), the interval for share and judge both being estimates (Lang and Reiczigel 2014). One sensitivity stands "
        "for all conditions, and the labelled answers are taken to be few of those counted. A judgement that failed is "
        "neither right nor wrong: the interval as judged spans both readings.</p>"
        f"{table_html(header, shown)}"
    )


def _missed(read: pd.DataFrame) -> str:
    missed = read[(read.half == "dev") & (read.label != read.verdict)]
    lines = missed[["question", "reference", "answer", "label", "verdict"]].values.tolist()
    return (
        "<h2>What it misses</h2><p>Every disagreement of the dev half. Those of the test half stay unread, so that no rule is "
        f"made for them.</p>{table_html(['question', 'reference', 'answer', 'read as', 'judged'], lines)}"
    )
