"""Measure our own statistics on made-up studies; results/simulation.json, about two minutes on one core.

python -m lib.workbook.simulate
"""

import pandas as pd

from lib import paths, runs
from lib.analysis.simulation import simulate, summary

if __name__ == "__main__":
    found = simulate()
    runs.write_json(paths.RESULTS / "simulation.json", found)
    print(summary(found).to_string(index=False))
    rows = pd.DataFrame(found["rows"])
    print(rows[(rows.meets == "misses") & (rows.role == "used")].to_string(index=False))
