"""Check a corpus and print what is in it.

python -m lib.workbook.check_data FOLDER
"""

import sys

from lib.analysis import datasheet
from lib.analysis.gates import judge_anchors
from lib.analysis.tables import percent
from lib.corpus.load import Corpus, describe, load_corpus
from lib.judging.style import style_problems

EMBEDDER = "all-minilm-l6-v2"


def main(folder: str) -> None:
    """Load with every check, hold the whole against its bounds, test each uniform answer, grade gold and shuffled answers.

    Raises ValueError naming what is wrong and what to do.
    """
    corpus = load_corpus(folder)
    if lacking := _lacking(corpus):
        raise ValueError(f"{folder}:\n" + "\n".join(lacking))
    broken = [f"{item.id}: {'; '.join(found)}" for item in corpus.faq if (found := style_problems(item.uniform_answer))]
    if broken:
        raise ValueError("uniform answers that break the style:\n" + "\n".join(broken))
    for name, counts in describe(corpus).items():
        print(f"{name:22} " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    print("\nanswers of test facts, in words\n" + datasheet.answer_lengths(corpus).round(2).to_string())
    nearness = datasheet.nearest_training_wordings(corpus, embedder=EMBEDDER)
    print("\ntest wordings beside the closest training wording of their facts, 0 to 1")
    print(datasheet.nearness_table(nearness).round(2).to_string() + "\n")
    kept = datasheet.bounds(corpus, nearness)
    for bound in kept:
        print(f"{'ok ' if bound.holds else 'NO '} {bound.name}: {bound.value:.2%}, at most {bound.most:.0%}")
    if lost := [bound for bound in kept if not bound.holds]:
        raise ValueError(f"{folder}:\n" + "\n".join(f"{bound.name}: {bound.remedy}" for bound in lost))
    for name, result in judge_anchors(corpus).items():
        print(f"ok  judge on {name} answers: {percent(result)} graded CORRECT")
    print(f"\n{folder}: no problem found")


def _lacking(corpus: Corpus) -> list[str]:
    """What must be there for the corpus to be weighed at all."""
    lines = []
    if len(corpus.items("test")) < 2:
        lines.append(
            "faq.jsonl: fewer than two items on facts of split test; add the questions and answers to be taught"
        )
    unasked = [split for split in ("test", "dev") if not corpus.ask("paraphrase", split)]
    return lines + [
        f"questions.jsonl: no paraphrase question about a fact of split {split}; add some" for split in unasked
    ]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
