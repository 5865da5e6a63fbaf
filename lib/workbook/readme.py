"""The generated parts of README.md: every number in it comes from results/, most of the default study, or from benchmarks/."""

import json
import re
from io import StringIO
from pathlib import Path

from lib import paths, runs
from lib.analysis import decision, figures, findings, scoreboard
from lib.analysis.tables import estimate_of, percent
from lib.studies import Study
from lib.study_file import load_study
from lib.workbook import aims, answer
from lib.workbook.index import FLIPS_HEADER, HEADLINE_HEADER, headline_rows

RESULTS, ARMS = paths.RESULTS / "itr", paths.RESULTS / "ranks"
ARMS_HEADER = [
    "arm",
    "final loss",
    "trained wording",
    "unseen wording",
    "known before and still right",
    "perplexity, times base",
]


def write() -> None:
    """Rewrite the generated blocks of README.md and the figure beside them."""
    path, figure = paths.ROOT / "README.md", figures.aims(aims.reached(_speeds()[1])).figure
    runs.write_atomic(path, filled(path.read_text(encoding="utf-8")))
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    runs.write_atomic(paths.BENCHMARKS / "speed.svg", drawn.getvalue())


def filled(text: str) -> str:
    """README text with every block `<!-- generated: name -->` ... `<!-- end -->` filled from results/.

    Raises ValueError for a block that nothing generates.
    """

    def fill(match: re.Match) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise ValueError(f"README.md: no generator for block {name!r}; there are {sorted(BLOCKS)}")
        return f"<!-- generated: {name} -->\n{BLOCKS[name]()}\n<!-- end -->"

    return re.sub(r"<!-- generated: (?P<name>[a-z]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def _published(folder: Path = RESULTS) -> Study:
    """The study as it was when the published results were made; the study file may have changed since."""
    return Study.model_validate(next(iter(_summaries(folder).values()))["parameters"])


def _summaries(folder: Path = RESULTS) -> dict[str, dict]:
    return scoreboard.saved_summaries(folder)


def changed_since(published: Study, current: Study, asked: int) -> str:
    """A warning when the study file registers something else than what was published; empty when it does not."""
    if published.registration == current.registration:
        return ""
    return (
        f"**The figures on this page, in results/ and in the notebooks are of an earlier run: registration "
        f"{published.registration}, {asked} test facts. Since then the corpus and the study file have grown (registration "
        f"{current.registration}); `make reproduce` measures what they say now.**\n\n"
    )


def _scoreboard(folder: Path = RESULTS) -> dict[str, dict]:
    return {line["id"]: line for line in json.loads((folder / "scoreboard.json").read_text())}


def _claims() -> dict[str, dict]:
    return json.loads((RESULTS / "claims.json").read_text())


def answer_block() -> str:
    """The answer in words, from the headline conditions and the verdicts."""
    lines, claims, study, chosen = _scoreboard(), _claims(), _published(), scoreboard.chosen_hybrid(_summaries())
    asked = lines["accuracy/paraphrase/base"]["n"]
    lead, rest = answer.short_answer(study, lines, claims, chosen)
    return changed_since(study, load_study("itr"), asked) + "\n\n".join(
        [
            f"**{lead}** {rest}",
            answer.measured(study, lines, chosen),
            f"{answer.verdicts(claims)} The [findings](notebooks/08_findings.ipynb) have what each rests on, and what had been "
            "registered for the undecided ones.",
        ]
    )


def table_block() -> str:
    """The headline table as Markdown, and the figure."""
    rows = headline_rows(_published(), _scoreboard(), scoreboard.chosen_hybrid(_summaries()))
    table = _markdown_table(HEADLINE_HEADER, rows)
    return (
        f"{table}\n\n![Facts answered right in unseen wording, by condition, 95 % intervals](results/itr/headline.svg)"
    )


def claims_block() -> str:
    """Every claim with its verdict and what was compared, as a Markdown table; those that held first."""
    rows = [
        [name, claim["claim"], claim["verdict"].replace("_", " "), "<br>".join(findings.brief(claim["evidence"]))]
        for name, claim in findings.by_verdict(_claims()).items()
    ]
    return _markdown_table(["", "claim", "verdict", "compared"], rows)


def decision_block() -> str:
    """The advice, what it rests on and where it would flip."""
    study, chosen = _published(), scoreboard.chosen_hybrid(_summaries())
    approaches, needs = decision.measured(study, _scoreboard(), chosen), study.decision
    card = _markdown_table(decision.CARD_HEADER, decision.card_rows(approaches, needs))
    return (
        f"**{decision.sentence(approaches, needs)}**\n\n{card}\n\n"
        f"{_markdown_table(FLIPS_HEADER, decision.flips(approaches, needs))}"
    )


def arms_block() -> str:
    """What each arm of the study of arms learned and forgot, as a Markdown table, the largest final loss first."""
    lines, rows = _scoreboard(ARMS), []
    arms = _published(ARMS).grids["04_rank_sweep"][1].conditions
    for arm in sorted(arms, key=lambda arm: -lines[f"loss/{arm}"]["value"]):
        shares = [lines[f"{kind}/{arm}"] for kind in ("accuracy/trained", "accuracy/paraphrase", "kept")]
        ratio = lines[f"perplexity_ratio/{arm}"]
        rows.append(
            [
                arm,
                f"{lines[f'loss/{arm}']['value']:.3f}",
                *(percent(estimate_of(line), digits=0, counted=False) for line in shares),
                f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
            ]
        )
    again = percent(estimate_of(lines["kept/noise_floor"]), digits=0, counted=False)
    counted = (
        f"Counted are {shares[0]['n']} facts, and {shares[2]['n']} items that the base model knew, of which it answers {again} "
        "when it is asked again in other words."
    )
    return f"{_markdown_table(ARMS_HEADER, rows)}\n\n{counted}"


def _markdown_table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def times_block() -> str:
    """Minutes of each notebook in the published run, of all without repeats, and its device."""
    summaries = list(_summaries().values())
    rows, seconds = [], {}
    for summary in summaries:
        minutes = summary["computed_seconds"] / 60
        # Weights that came from the cache were trained in another process; their ledger knows how large that one was.
        peaks = [line["peak_memory_gib"] for line in summary["ledger"] if "peak_memory_gib" in line]
        peak = max([summary["peak_memory_gib"], *peaks])
        rows.append([summary["notebook"], f"{minutes:.0f}", str(summary["n"]), f"{peak:.1f}"])
        # The same answers or training, read from the cache by a later notebook, is the same line there.
        seconds |= {
            json.dumps({**line, "seconds": None}, sort_keys=True): line["seconds"] for line in summary["ledger"]
        }
    table = _markdown_table(["notebook", "minutes computed", "rows", "peak memory, GiB"], rows)
    whole = f"In all {sum(seconds.values()) / 60:.0f} minutes, with what two notebooks share counted once."
    return f"{table}\n\n{whole} Device: {summaries[0]['device']}."


def speed_block() -> str:
    """What `make bench` measured beside its aims, and the figure."""
    machine, values = _speeds()
    table = _markdown_table(["what", "measured", "aim"], aims.table_rows(values))
    return f"{table}\n\nDevice: {machine}.\n\n![How many times over each aim of speed is met](benchmarks/speed.svg)"


def _speeds() -> tuple[str, dict[str, float]]:
    measured = json.loads((paths.BENCHMARKS / "latest.json").read_text())
    return measured["machine"], {row["id"]: row["value"] for row in measured["rows"]}


BLOCKS = {
    "arms": arms_block,
    "speed": speed_block,
    "answer": answer_block,
    "table": table_block,
    "claims": claims_block,
    "decision": decision_block,
    "times": times_block,
}

if __name__ == "__main__":
    write()
