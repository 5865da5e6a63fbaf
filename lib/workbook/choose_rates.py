"""Choose learning rates on dev facts, and say where the study file has others.

python -m lib.workbook.choose_rates STUDY
"""

import sys

from lib.analysis.rates import disagreements, rate_table, twins
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.study_file import load_study
from lib.training.curves import measure_losses
from lib.training.targets import wording_targets


def dev_losses(bench: Bench) -> dict[str, list[float]]:
    """For each twin and seed, trained if need be, the mean loss on the value's tokens in unseen wordings of its dev facts."""
    losses = {}
    for name, recipe in twins(bench.study).items():
        tokenizer = bench.language_model("base", 0).tokenizer
        unseen = wording_targets(bench.corpus, tokenizer, recipe.data, recipe.facts, "dev")["paraphrase"]
        adapters = [bench.adapter(name, recipe.epochs, seed) for seed in recipe.seeds]
        found = [[row["value_loss"] for row in measure_losses(adapter, unseen)] for adapter in adapters]
        losses[name] = [sum(values) / len(values) for values in found]
    return losses


def main(study_name: str) -> None:
    """Print the table. Raises ValueError with what to write into the study file where it has another rate than dev chose."""
    study = load_study(study_name)
    if not twins(study):
        raise ValueError(f"study {study.name}: no recipe has split dev, so there is nothing to choose a rate by")
    table = rate_table(study, dev_losses(Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))))
    print(table.to_string(index=False))
    if told := disagreements(study, table):
        raise ValueError("\n".join([f"write what dev chose into the study file of {study.name}:", *told]))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
