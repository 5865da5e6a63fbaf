"""The generated parts of README.md: every number in it comes from results/ of the default study."""

import json
import re

from lib import paths, runs
from lib.workbook.report import HEADLINE_HEADER, headline_rows

RESULTS = paths.RESULTS / "itr"


def write() -> None:
    """Rewrite the generated blocks of README.md and the figure beside them."""
    path = paths.ROOT / "README.md"
    runs.write_atomic(path, filled(path.read_text(encoding="utf-8")))


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


def _scoreboard() -> dict[str, dict]:
    return {line["id"]: line for line in json.loads((RESULTS / "scoreboard.json").read_text())}


def _claims() -> dict[str, dict]:
    return json.loads((RESULTS / "claims.json").read_text())


def _share(line: dict) -> str:
    return f"{100 * line['value']:.0f} % ({100 * line['low']:.0f} to {100 * line['high']:.0f})"


def answer_block() -> str:
    """The answer in words, from the headline conditions and the verdicts."""
    lines, claims = _scoreboard(), _claims()
    shown = {name: _share(lines[f"accuracy/paraphrase/{name}"]) for name in ("base", "lora_raw_20ep", "rag", "hybrid")}
    trained = _share(lines["accuracy/trained/lora_raw_20ep"])
    counts = {
        verdict: [n for n, c in claims.items() if c["verdict"] == verdict]
        for verdict in ("held", "not_held", "undecided")
    }
    return (
        f"On questions worded as nobody trained on, the model alone is right on {shown['base']}, fine-tuned for 20 epochs on "
        f"{shown['lora_raw_20ep']} (on the very wordings it was trained on: {trained}), with retrieval on {shown['rag']}, and as "
        f"a hybrid, tuned to read and fed by retrieval, on {shown['hybrid']}. Intervals are 95 %, over facts.\n\n"
        f"Of the {len(claims)} registered claims, {len(counts['held'])} held ({', '.join(counts['held']) or 'none'}), "
        f"{len(counts['not_held'])} did not ({', '.join(counts['not_held']) or 'none'}), and {len(counts['undecided'])} are "
        f"undecided ({', '.join(counts['undecided']) or 'none'}); the [findings](notebooks/08_findings.ipynb) say why."
    )


def table_block() -> str:
    """The headline table as Markdown."""
    rows = [HEADLINE_HEADER, ["---"] * len(HEADLINE_HEADER), *headline_rows(_scoreboard())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def claims_block() -> str:
    """Every claim with its verdict as a Markdown table."""
    rows = [["", "claim", "verdict"], ["---"] * 3]
    rows += [[name, claim["claim"], claim["verdict"].replace("_", " ")] for name, claim in _claims().items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def times_block() -> str:
    """Minutes of each notebook in the published run, and its device."""
    summaries = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*/summary.json"))]
    rows = [["notebook", "minutes computed", "rows", "peak memory, GiB"], ["---"] * 4]
    for summary in summaries:
        minutes = summary["computed_seconds"] / 60
        rows.append([summary["notebook"], f"{minutes:.0f}", str(summary["n"]), f"{summary['peak_memory_gib']:.1f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\nDevice: {summaries[0]['device']}."


BLOCKS = {"answer": answer_block, "table": table_block, "claims": claims_block, "times": times_block}

if __name__ == "__main__":
    write()
