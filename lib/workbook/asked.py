"""Whether a corpus has what the notebooks cannot do without, before anything is spent."""

from lib.corpus.load import Corpus
from lib.studies import Study

# The least number of questions of a probe, where a grid asks it; of all others a corpus may have none.
LEAST = {"trained": 1, "paraphrase": 1, "unanswerable": 2, "general": 1}


def missing(study: Study, corpus: Corpus) -> list[str]:
    """What the corpus lacks for the study, a line each, with what would mend it; empty where it lacks nothing."""
    asked: dict[tuple[str, str], list[str]] = {}
    for notebook, blocks in study.grids.items():
        for block in blocks:
            for probe in block.probes:
                asked.setdefault((probe, block.split), []).append(notebook)
    questions, lines = f"{study.corpus.folder}/questions.jsonl", []
    for (probe, split), notebooks in asked.items():
        least, found = LEAST.get(probe, 0), len(corpus.ask(probe, split))
        by = ", ".join(dict.fromkeys(notebooks))
        if found < least:
            lines.append(f"{questions}: {found} questions of probe {probe}, split {split}; {by} need {least} at least")
    if ("general", "test") in asked and corpus.ask("general") and not corpus.screen("general"):
        lines.append(
            f"{questions}: no question of probe general has a `screen_text`, which decides what the base model knows"
        )
    if study.gradients and not corpus.paraphrases:
        lines.append(
            f"{study.corpus.folder}/paraphrases.jsonl: empty or absent; the gradients of notebook 02 compare them"
        )
    return [f"{line}; add what is missing" for line in lines]


def refuse_missing(study: Study, corpus: Corpus) -> None:
    """Raises ValueError listing what is missing."""
    if lines := missing(study, corpus):
        raise ValueError("\n".join(lines))
