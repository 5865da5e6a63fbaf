"""Print a study's scoreboard beside the published one, claims first.

python -m lib.workbook.show STUDY
"""

import json
import sys
from pathlib import Path

from lib import paths


def print_scoreboard(study: str) -> None:
    """The claims, then every scoreboard line: this run's value and interval, and the published value when there is one."""
    claims = _read(paths.OUT / study / "claims.json", {})
    lines = _read(paths.OUT / study / "scoreboard.json", [])
    published = {line["id"]: line for line in _read(paths.RESULTS / study / "scoreboard.json", [])}
    print(f"\nClaims of study {study}")
    for name, claim in claims.items():
        print(f"  {name:4} {claim['verdict']:10} {claim['claim']}")
    print(f"\n{'scoreboard':44} {'this run':>10} {'95 % interval':>20} {'n':>5} {'published':>10}")
    for line in lines:
        before = published.get(line["id"])
        interval = f"{line['low']:.3f} .. {line['high']:.3f}" if line["low"] is not None else ""
        shown = f"{before['value']:.3f}" if before else ""
        print(f"{line['id']:44} {line['value']:10.3f} {interval:>20} {line['n']:5} {shown:>10}")


def _read(path: Path, default):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


if __name__ == "__main__":
    print_scoreboard(sys.argv[1])
