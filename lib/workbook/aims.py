"""What `make bench` measured beside what was aimed at, as the README's table and figure."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd


class Aim(NamedTuple):
    """A row of benchmarks/latest.json, what it says, how it is written, and the least or the most aimed at; neither: no aim."""

    row: str
    what: str
    form: str
    least: float | None = None
    most: float | None = None

    @property
    def text(self) -> str:
        """The aim in words, in the row's unit; empty without one."""
        if self.least is not None:
            return f"at least {self.form.format(self.least)}"
        return f"at most {self.form.format(self.most)}" if self.most is not None else ""

    def reached(self, value: float) -> float | None:
        """How many times over a value meets the aim: 1 just meets it, less misses it; None without an aim."""
        if self.least is not None:
            return value / self.least
        return self.most / value if self.most is not None else None


TIMES, MS = "{:.1f} times", "{:.0f} ms"
AIMS = (
    Aim("train_ratio/trl_default", "training speed over TRL's defaults", TIMES, least=5),
    Aim("train_ratio/trl_no_checkpointing", "the same, over TRL without checkpointing", TIMES, least=4),
    Aim("train_share_of_matmul_peak", "training, as a share of a matrix product's speed", "{:.0%}", least=0.25),
    Aim("generate_ratio/plain_8", "answering speed over plain generate, 8 at a time", TIMES, least=4),
    Aim("generate_ratio/plain_best", "the same, over its best batch size", TIMES, least=1.3),
    Aim("retrieve_approximate_dense_ms_p50/100000", "vector search (IVF, 8 bits), 10^5 passages, median", MS, most=10),
    Aim("retrieve_approximate_dense_ms_p50/1000000", "the same, 10^6 passages", MS, most=25),
    Aim("approximate_recall@10/dense/100000", "its recall@10 of exact search, 10^5 passages", "{:.2f}", least=0.95),
    Aim("approximate_recall@10/dense/1000000", "the same, 10^6 passages", "{:.2f}", least=0.95),
    Aim("retrieve_approximate_dense_memory_gib/1000000", "memory that searches 10^6 passages", "{:.1f} GiB", most=2),
    Aim("retrieve_ms_p50/1000", "the workbook's own search, words and vectors, exact, 10^3", MS),
    Aim("retrieve_ms_p50/100000", "the same, 10^5", MS),
)


def table_rows(values: Mapping[str, float]) -> list[list[str]]:
    """What was measured, its value and the aim, a line each; a row that was not measured is said to be missing."""
    return [
        [aim.what, aim.form.format(values[aim.row]) if aim.row in values else "not measured", aim.text] for aim in AIMS
    ]


def reached(values: Mapping[str, float]) -> pd.DataFrame:
    """How many times over each aim is met, of those measured: columns what, measured, aim, reached."""
    lines = [
        {"what": aim.what, "measured": aim.form.format(values[aim.row]), "aim": aim.text, "reached": times}
        for aim in AIMS
        if aim.row in values and (times := aim.reached(values[aim.row])) is not None
    ]
    return pd.DataFrame(lines, columns=["what", "measured", "aim", "reached"])
