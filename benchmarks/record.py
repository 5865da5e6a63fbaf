"""Where measurements go: benchmarks/latest.json, one row an id; a measurement replaces its own rows and leaves the others."""

import json

from lib import paths, runs
from lib.models import registry


def record(values: dict[str, tuple[float, str]]) -> None:
    """Print and write values with their units; rows of another machine are dropped, since rates of two do not compare."""
    path, machine = paths.BENCHMARKS / "latest.json", registry.device_name()
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": machine, "rows": []}
    kept = {row["id"]: row for row in before["rows"]} if before["machine"] == machine else {}
    rows = {name: {"id": name, "value": round(value, 3), "unit": unit} for name, (value, unit) in values.items()}
    for row in rows.values():
        print(f"{row['id']:44} {row['value']:10.2f} {row['unit']}")
    runs.write_json(path, {"machine": machine, "rows": list({**kept, **rows}.values())})
