"""Measure our own statistics on made-up studies; results/simulation.json, about two minutes on one core.

python -m lib.workbook.simulate
"""

import pandas as pd

from lib import paths, runs
from lib.analysis.simulation import simulate

if __name__ == "__main__":
    found = simulate()
    runs.write_json(paths.RESULTS / "simulation.json", found)
    rows = pd.DataFrame(found["rows"])
    kinds = rows.groupby(["role", "procedure", "measure"]).rate
    print((100 * kinds.agg(["min", "median", "max"])).round(1).assign(shapes=kinds.size()).to_string())
    print(rows[(rows.meets == "misses") & (rows.role == "used")].to_string(index=False))
