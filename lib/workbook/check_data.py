"""Check a corpus and print what is in it.

python -m lib.workbook.check_data FOLDER
"""

import sys

from lib.analysis.gates import judge_anchors
from lib.analysis.tables import percent
from lib.corpus.load import describe, load_corpus
from lib.judging.style import style_problems


def main(folder: str) -> None:
    """Load with every check, test each uniform answer against the style, and grade gold and shuffled answers."""
    corpus = load_corpus(folder)
    broken = [f"{item.id}: {'; '.join(found)}" for item in corpus.faq if (found := style_problems(item.uniform_answer))]
    if broken:
        raise ValueError("uniform answers that break the style:\n" + "\n".join(broken))
    for name, counts in describe(corpus).items():
        print(f"{name:22} " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    for name, result in judge_anchors(corpus).items():
        print(f"judge on {name:13} {percent(result)}")
    print(f"{folder}: no problem found")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from None
