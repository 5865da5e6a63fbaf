"""A second offline opinion: a local language model as judge, by the likelihood of the three verdicts, without generating."""

from collections.abc import Sequence

import lib.models.likelihood
from lib import runs
from lib.corpus.records import Verdict
from lib.models.claude import JUDGE_INSTRUCTION, VERDICTS, JudgeItem, Judgement
from lib.models.generate import Layout
from lib.models.likelihood import choice_scores
from lib.models.prompts import RENDERERS, Prompt
from lib.models.registry import LanguageModel


def judge_by_likelihood(
    lm: LanguageModel, items: Sequence[JudgeItem], *, layout: Layout, template: str = "chat", turned: bool = False
) -> list[Judgement]:
    """One judgement of each item, in order: the verdict that the model finds likeliest after the judge's prompt.

    score(v) = log p(v | prompt) / len(v) for v in CORRECT, INCORRECT, NOT_ATTEMPTED; a tie at the top is JUDGE_FAILED. One
    likelihood cannot tell the strict grade from the relaxed one, so both are the same. The answer is shown as ASCII JSON
    without angle brackets, as Claude is shown it. Journaled under a hash of the weights, prompts and scoring.

    Args:
        template: a key of `lib.models.prompts.RENDERERS`.
        turned: the answer is shown above the reference, to see whether a verdict depends on it.
    """
    labels = tuple(VERDICTS)
    shown = [f"{item.shown(turned=turned)}\nGive the strict verdict alone, in one word." for item in items]
    texts = [RENDERERS[template](lm.tokenizer, Prompt(JUDGE_INSTRUCTION, text)) for text in shown]
    parts = {"judge": lm.fingerprint, "prompts": texts, "layout": list(layout)}
    parts |= {"versions": runs.versions(), "code": runs.code_version(lib.models.likelihood)}
    key = runs.content_hash(parts)
    return [_judgement(scores) for scores in choice_scores(lm, texts, [labels] * len(texts), layout=layout, key=key)]


def _judgement(scores: Sequence[float]) -> Judgement:
    first, second = sorted(scores, reverse=True)[:2]
    verdict = list(VERDICTS.values())[scores.index(first)] if first > second else Verdict.JUDGE_FAILED
    return Judgement(verdict, verdict, f"log-likelihood per character {first - second:.3f} above the next verdict")
