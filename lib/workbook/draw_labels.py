"""Answers of a finished study for readers to label, so that the judge can be held against something other than itself.

python -m lib.workbook.draw_labels STUDY

Writes out/<study>/labels_to_read.jsonl: what a reader may see (number, question, reference, answer), shuffled, and
out/<study>/labels_key.jsonl: what belongs to each number and stays hidden. data/judge/README.md holds the guideline.
"""

import sys
from pathlib import Path

from lib import paths, runs
from lib.analysis import scoreboard
from lib.corpus.load import load_corpus
from lib.judging.calibration import SEED, draw
from lib.study_file import load_study

PROBES = ("trained", "paraphrase")
PER_CELL = 14
SEEN = ("number", "question", "reference", "answer")


def main(study_name: str) -> Path:
    """Draw the answers of a study; returns the file for readers. Raises FileNotFoundError when the study has not run."""
    study = load_study(study_name)
    corpus = load_corpus(study.corpus.folder, **study.corpus.limits)
    names = [name for name in study.grids if (paths.OUT / study.name / name / "records.jsonl").exists()]
    table = scoreboard.load_records(study.name, names or list(study.grids))
    asked = table[(table.split == "test") & table.probe.isin(PROBES) & (table.judge != "none")]
    drawn = draw(asked, PER_CELL).sample(frac=1, random_state=SEED).reset_index(drop=True)
    rows = []
    for number, row in enumerate(drawn.itertuples(), 1):
        question, (fact_id,) = corpus.question[row.question_id], row.fact_ids
        rows.append(
            {
                "number": number,
                "question": question.text,
                "reference": question.expected,
                "answer": row.answer,
                "question_id": row.question_id,
                "fact_id": fact_id,
                "value_type": row.value_type,
                "accept": list(corpus.fact[fact_id].accept),
                "condition": row.condition,
                "seed": row.seed,
                "probability": row.probability,
            }
        )
    folder = paths.OUT / study.name
    runs.write_jsonl(folder / "labels_key.jsonl", rows)
    runs.write_jsonl(folder / "labels_to_read.jsonl", [{key: row[key] for key in SEEN} for row in rows])
    return folder / "labels_to_read.jsonl"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1]))
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
