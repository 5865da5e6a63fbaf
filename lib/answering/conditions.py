"""Answer questions under conditions. A condition is weights times context; one path serves them all."""

import time
from collections.abc import Sequence
from functools import partial

import lib.models.generate
import lib.models.likelihood
import lib.models.perplexity
from lib import paths, runs
from lib.answering.routing import confidence, surer
from lib.answering.shelf import Shelf
from lib.corpus.load import Corpus
from lib.corpus.records import Answer, Passage, Question
from lib.models import registry
from lib.models.generate import Layout, answer_alone, generate
from lib.models.likelihood import choice_scores
from lib.models.perplexity import TextLoss, text_losses
from lib.models.prompts import INSTRUCTIONS, RENDERERS, Prompt, target_answer, user_message
from lib.models.registry import LanguageModel
from lib.retrieval.citations import aligned_passage
from lib.studies import Block, Condition, Study
from lib.training.gradients import Adapter
from lib.training.launch import launched
from lib.training.recipes import build_examples
from lib.training.sft import Trained, load_trained, train

STOPS = {"chat": None, "few_shot": "\n"}
# Plain text needs the logits of every token, not of a few last ones: 200 MB for so many tokens and 49,152 words.
TEXT_TOKENS = 1024


class Bench:
    """One study at work: its corpus, its models and its index, each loaded when first needed and only once.

    `ledger` collects what every condition cost, in the order it was answered.
    """

    def __init__(self, study: Study, corpus: Corpus):
        registry.allow_downloads(list(study.models.values()))
        self.study, self.corpus, self.shelf = study, corpus, Shelf(study, corpus)
        self.layout = Layout(
            study.generation.max_new_tokens, study.generation.batch_size, study.generation.batch_tokens
        )
        self.ledger: list[dict] = []
        self.hybrid: str | None = None  # which candidate `hybrid` stands for, once dev has chosen it
        self._models: dict[str, LanguageModel] = {}

    def grid(self, notebook: str, *, split: str = "test") -> list[Answer]:
        """One answer for every cell of the grid that the study declares for a notebook, in the given split.

        Raises RuntimeError when the count differs from the declared grid, so that no mean is over a partial one.
        """
        asked = [
            (name, seed, self.corpus.ask(probe, split, block.facts))
            for block in self.study.grids[notebook]
            if block.split == split
            for name in self.possible(block)
            for seed in self.seeds(name)
            for probe in block.probes
        ]
        # Answered weights by weights, so that none are loaded twice; returned in the order declared.
        weights = [(self.condition(name).weights, seed) for name, seed, _ in asked]
        found: list[list[Answer]] = [[] for _ in asked]
        for place in sorted(range(len(asked)), key=lambda place: weights.index(weights[place])):
            name, seed, questions = asked[place]
            found[place] = self.answer(name, questions, seed=seed)
        answers = [answer for part in found for answer in part]
        cells = sum(len(questions) for _, _, questions in asked)
        if len({(a.condition, a.seed, a.question_id) for a in answers}) != cells:
            raise RuntimeError(f"{len(answers)} answers for a grid of {cells} different cells in {notebook}")
        return answers

    def possible(self, block: Block) -> list[str]:
        """The conditions of a block, less those trained on replaced rules where the corpus has none."""
        ruled = {name for name, recipe in self.study.recipes.items() if recipe.data in ("before", "after")}
        untaught = set() if self.corpus.replacements else ruled
        return [name for name in block.conditions if self.condition(name).weights not in untaught]

    def jobs(self, block: Block, name: str) -> list[tuple]:
        """What a block asks one of its conditions: (condition, seed, probe, split, facts), one for each seed and probe."""
        return [(name, seed, probe, block.split, block.facts) for seed in self.seeds(name) for probe in block.probes]

    def condition(self, name: str) -> Condition:
        """The condition of a name; `hybrid` is the candidate that dev chose. Raises ValueError when none is chosen yet."""
        if name == "hybrid" and self.hybrid is None:
            raise ValueError("`hybrid` is asked before a candidate was chosen on dev; set bench.hybrid first")
        return self.study.conditions[self.hybrid if name == "hybrid" else name]

    def seeds(self, name: str) -> tuple[int, ...]:
        """The training seeds of a condition, or of the one it gives way to; untrained ones have seed 0 alone."""
        recipe = self.study.recipes.get(self.sides(name)[-1].weights)
        return recipe.seeds if recipe else (0,)

    def sides(self, name: str) -> list[Condition]:
        """What a condition asks: itself, and before its answer is given the condition that it gives way to, if any."""
        condition = self.condition(name)
        if not condition.unless_surer:
            return [condition]
        return [condition.model_copy(update={"unless_surer": None}), self.study.conditions[condition.unless_surer]]

    def screen(self, probes: Sequence[str], conditions: Sequence[str] = ("base",)) -> list[Answer]:
        """The answers of untrained conditions to the other wording of the probes' questions."""
        return [
            a for name in conditions for probe in probes for a in self.answer(name, self.corpus.screen(probe), seed=0)
        ]

    def answer(self, name: str, questions: Sequence[Question], *, seed: int) -> list[Answer]:
        """Answers of one condition with one seed, in the order of `questions`."""
        if not questions:
            return []
        sides = self.sides(name)
        answers = [self._answered(name, side, questions, seed) for side in sides]
        if len(sides) == 1:
            return answers[0]
        return surer(
            *answers, *(self._confidence(*of_one, questions, seed) for of_one in zip(sides, answers, strict=True))
        )

    def _confidence(self, condition: Condition, answers: list[Answer], questions, seed: int) -> list[float]:
        lm, prompts, _ = self._asked(condition, questions, seed)
        return confidence(lm, prompts, [answer.text for answer in answers], self.layout)

    def _asked(self, condition: Condition, questions: Sequence[Question], seed: int) -> tuple:
        """The model that is asked, the prompts as it reads them, and the passages in them."""
        lm = self.language_model(condition.weights, seed)
        passages = self.shelf.passages(questions, condition.context, condition.retrieval, condition.vintage)
        return lm, self.prompts(condition, lm, questions, passages), passages

    def _answered(self, name: str, condition: Condition, questions: Sequence[Question], seed: int) -> list[Answer]:
        lm, prompts, passages = self._asked(condition, questions, seed)
        if questions[0].choices:
            return self._choose(name, questions, seed, lm, prompts, passages)
        stop = STOPS[condition.prompt]
        layout = self.layout._replace(batch_size=condition.batch_size or self.layout.batch_size)
        run = _run_hash(lm, prompts, layout, stop)
        label = f"{name}, seed {seed}, {questions[0].probe}"
        completions = generate(lm, prompts, layout=layout, stop=stop, key=run, label=label)
        self._record(name, seed, questions[0].probe, completions)
        return [
            Answer(
                question.id,
                name,
                seed,
                done.text,
                tuple(p.id for p in shown),
                done.prompt_tokens,
                done.answer_tokens,
                None,
                run,
                **self._traced(condition, question, done.text, shown),
            )
            for question, done, shown in zip(questions, completions, passages, strict=True)
        ]

    def _traced(self, condition: Condition, question: Question, text: str, shown: tuple[Passage, ...]) -> dict:
        """Which of the passages shown are gold, and which one states the answer's value."""
        if not shown:
            return {}
        gold = self.shelf.gold_for(question, condition.retrieval)
        value_type = self.corpus.value_type(question)
        cited = aligned_passage(text, question=question.text, value_type=value_type, passages=shown)
        return {"gold": tuple(p.id for p in shown if p.id in gold), "cited": cited}

    def _choose(self, name, questions, seed, lm, prompts, passages) -> list[Answer]:
        choices = [question.choices for question in questions]
        run = runs.content_hash(
            [lm.fingerprint, prompts, choices, self.layout, runs.versions(), runs.code_version(lib.models.likelihood)]
        )
        scores = choice_scores(lm, prompts, choices, layout=self.layout, key=run)
        return [
            Answer(
                question.id,
                name,
                seed,
                question.choices[max(range(len(row)), key=row.__getitem__)],
                tuple(p.id for p in shown),
                len(lm.tokenizer(prompt, add_special_tokens=False).input_ids),
                0,
                None,
                run,
                row,
            )
            for question, prompt, row, shown in zip(questions, prompts, scores, passages, strict=True)
        ]

    def text_losses(self, name: str, texts: Sequence[str], *, seed: int) -> list[TextLoss]:
        """How well the weights of a condition foresee each text; no prompt, hence none of the condition's context."""
        lm = self.language_model(self.condition(name).weights, seed)
        layout = self.layout._replace(batch_tokens=TEXT_TOKENS)
        code = runs.code_version(lib.models.perplexity)
        key = runs.content_hash([lm.fingerprint, texts, layout, runs.versions(), code])
        losses = text_losses(lm, texts, layout=layout, key=key)
        line = {"condition": name, "seed": seed, "probe": "perplexity"}
        line |= {"prompt_tokens": sum(x.tokens for x in losses), "seconds": round(sum(x.seconds for x in losses), 2)}
        self.ledger.append(line)
        return losses

    def latency(self, conditions: Sequence[str], questions: Sequence[Question]) -> dict[str, list[float]]:
        """Milliseconds per answer, retrieval included, each question asked alone and nothing cached.

        The first answer of a condition warms it up and is not counted. Where two answers are written before one is given,
        both are counted.
        """
        measured = {}
        for name in conditions:
            sides = [
                self._times(side, self.seeds(name)[0], [questions[0], *questions])[1:] for side in self.sides(name)
            ]
            measured[name] = [sum(times) for times in zip(*sides, strict=True)]
        return measured

    def _times(self, condition: Condition, seed: int, questions: Sequence[Question]) -> list[float]:
        lm, times = self.language_model(condition.weights, seed), []
        for question in questions:
            started = time.perf_counter()
            passages = self.shelf.retrieve([question], condition.context, condition.retrieval, condition.vintage)
            (prompt,) = self.prompts(condition, lm, [question], passages)
            answer_alone(lm, prompt, layout=self.layout, stop=STOPS[condition.prompt])
            times.append((time.perf_counter() - started) * 1000)
        return times

    def prompts(
        self, condition: Condition, lm: LanguageModel, questions: Sequence[Question], passages: list
    ) -> list[str]:
        """The rendered prompts, exactly as the model reads them."""
        shots = self._shots(condition)
        render = RENDERERS[condition.prompt]
        return [
            render(lm.tokenizer, Prompt(_instruction(condition, question), question.text, shown, shots))
            for question, shown in zip(questions, passages, strict=True)
        ]

    def _shots(self, condition: Condition) -> tuple[tuple[str, str], ...]:
        """Worked examples from the dev split: plain statements, or the format that the instruction asks for."""
        items = [i for i in self.corpus.items("dev") if self.corpus.fact[i.fact_ids[0]].value_type != "yesno"]
        if len(items) < condition.shots:
            raise ValueError(
                f"{condition.shots} worked examples are asked for, and {len(items)} items of the dev split can be one (those "
                "that are not answered by yes or no); raise `dev` in the study's corpus, or lower the condition's `shots`"
            )
        items = items[: condition.shots]
        if not items:
            return ()
        questions = [self.corpus.question[f"{item.fact_ids[0]}/trained"] for item in items]
        shown = self.shelf.passages(questions, "gold" if condition.context != "none" else "none", condition.retrieval)
        answers = [
            target_answer(item, {"style": "uniform", "json": "json"}[condition.instruction])
            if condition.instruction in ("style", "json")
            else self.corpus.fact[item.fact_ids[0]].statement
            for item in items
        ]
        return tuple((user_message(q.text, p), a) for q, p, a in zip(questions, shown, answers, strict=True))

    def language_model(self, weights: str, seed: int) -> LanguageModel:
        """The language model of a weights name: a model of the study, or a recipe's result (trained if need be)."""
        if weights in self.study.models and weights not in self._models:
            self._models[weights] = registry.load_language_model(
                self.study.models[weights], self.study.generation.precision
            )
        if weights in self.study.models:
            return self._models[weights]
        name = f"{weights}/{seed}"
        if name not in self._models:
            # One set of tuned weights in memory at a time.
            self._models = {key: lm for key, lm in self._models.items() if key in self.study.models}
            self._models[name] = self._tuned(weights, seed)
        return self._models[name]

    def _tuned(self, recipe: str, seed: int) -> LanguageModel:
        trained, source = self.train(recipe, seed), self.study.models["base"]
        base = self.language_model("base", 0)
        load = partial(load_trained, source, trained)
        return registry.with_weights(base, trained.key, load, self.study.generation.precision)

    def train(self, name: str, seed: int, epochs: int | None = None) -> Trained:
        """The trained weights of a recipe and seed, with their learning curve and ledger.

        `epochs`: as they were after so many of the recipe's epochs; ask for those in ascending order, and before the whole.
        """
        whole = self.study.recipes[name]
        recipe = whole.model_copy(update={"epochs": epochs or whole.epochs})
        examples = build_examples(self.corpus, recipe, self.language_model("base", 0).tokenizer, self.shelf.passages)
        family = [
            other.epochs
            for other in self.study.recipes.values()
            if other.model_dump(exclude={"epochs", "seeds"}) == recipe.model_dump(exclude={"epochs", "seeds"})
            and seed in other.seeds
        ]
        trained = train(
            self.study.models["base"],
            self.study.generation.precision,
            examples,
            recipe,
            seed=seed,
            label=f"{name} seed {seed}",
            longest=recipe.epochs == max(family),
            run=launched(paths.ROOT / self.study.accelerate) if self.study.accelerate else None,
        )
        line = {"condition": name, "seed": seed, "probe": "training", **trained.ledger}
        # The whole run's line counts the part too.
        if recipe == whole and line not in self.ledger:
            self.ledger.append(line)
        return trained

    def adapter(self, name: str, epochs: int, seed: int = 0) -> Adapter:
        """A recipe's adapter, or its full weights, after so many epochs of training; 0: as training finds it, of seed 0."""
        trained = self.train(name, seed, epochs) if epochs else None
        return Adapter(self.study.models["base"], self.study.generation.precision, self.study.recipes[name], trained)

    def _record(self, name: str, seed: int, probe: str, completions: list) -> None:
        self.ledger.append(
            {
                "condition": name,
                "seed": seed,
                "probe": probe,
                "answers": len(completions),
                "prompt_tokens": sum(c.prompt_tokens for c in completions),
                "answer_tokens": sum(c.answer_tokens for c in completions),
                "seconds": round(sum(c.seconds for c in completions), 2),
            }
        )


def _instruction(condition: Condition, question: Question) -> str:
    """The condition's instruction; unanswerable questions permit "I don't know", for every condition alike."""
    permitted = question.probe == "unanswerable" and condition.instruction == "neutral"
    return INSTRUCTIONS["abstain" if permitted else condition.instruction]


def _run_hash(lm: LanguageModel, prompts: list[str], layout: Layout, stop: str | None) -> str:
    code = runs.code_version(lib.models.generate)
    return runs.content_hash([lm.fingerprint, prompts, layout, stop, runs.versions(), code])
