"""What a study is: what is compared, on which corpus, with which models, and what each claim must show.

`lib.study_file` reads one from its YAML file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lib import paths, runs
from lib.corpus.records import Probe

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Judge = Literal["keyfacts", "claude"]
# The probe that a contrast of such a metric names; but for kept, no grid need ask it.
MEASURED_ON = {
    "loss": "training",
    "gradient_cosine": "training",
    "gradient_link": "training",
    "latency_ms": "paraphrase",
    "kept": "kept",
}
# Metrics that are a comparison or nothing.
OF_TWO = ("loss", "latency_ms", "gradient_cosine")
# `kept` is asked by these: the questions that are screened for what the base model knows.
SCREENED = ("general", "easy")


class Misplaced(ValueError):
    """A problem found while checking a whole section, and where in that section it is."""

    def __init__(self, location: tuple[str | int, ...], value: object, message: str):
        super().__init__(message)
        self.location, self.value = location, value


class Schema(BaseModel):
    """Base of every section: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, fields):
        for key in fields if isinstance(fields, dict) else ():
            if key not in cls.model_fields:
                raise Misplaced((key,), key, f"unknown key; the keys here are {', '.join(cls.model_fields)}")
        return fields


class Corpus(Schema):
    """Where the knowledge is, and how much of it to use (None: all): facts of each split, unanswerable questions,
    `wordings`, how many paraphrase questions are asked about a fact, and `prose`, how many paragraphs of plain text are read.
    """

    folder: str
    test: int | None = Field(None, ge=2)
    dev: int | None = Field(None, ge=2)
    raft: int | None = Field(None, ge=2)
    neighbour: int | None = Field(None, ge=1)
    easy: int | None = Field(None, ge=1)
    general: int | None = Field(None, ge=1)
    unanswerable: int | None = Field(None, ge=1)
    wordings: int | None = Field(None, ge=1)
    prose: int | None = Field(None, ge=2)

    @property
    def limits(self) -> dict[str, int | None]:
        """The limits alone, as `load_corpus` takes them."""
        return self.model_dump(exclude={"folder", "prose"})


def _later(default: Any) -> Any:
    """A field newer than the first registrations: at its default it is in no dump, so that their hashes hold."""
    return Field(default, exclude_if=lambda value: value == default)


class Recipe(Schema):
    """How one set of weights is trained. `facts` limits training to the first facts of the split, in study order.

    data: answers of a split (raw, uniform), reading exercises of the raft split (raft, json), the raft split's answers without
    passages (style), or the answers about replaced rules as they stood or as they stand (before, after).
    split: whose answers raw and uniform are; on dev alone may a learning rate be chosen.
    rslora: the adapter's output is scaled by alpha / sqrt(rank), not by alpha / rank. dora: its direction and its length are
    learned apart. target_modules: every linear layer but the vocabulary head, or those of attention alone.
    conflicts: whether an example's gradient keeps or loses what opposes another's of its batch (`lib.training.surgery`).
    """

    data: Literal["raw", "uniform", "raft", "json", "style", "before", "after"]
    method: Literal["lora", "full"] = "lora"
    rank: int | None = Field(None, ge=1)
    alpha: int | None = Field(None, ge=1)
    rslora: bool = _later(False)
    dora: bool = _later(False)
    target_modules: Literal["all-linear", "attention"] = _later("all-linear")
    conflicts: Literal["kept", "projected"] = _later("kept")
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(8, ge=1)
    facts: int | None = Field(None, ge=2)
    split: Literal["test", "dev"] = _later("test")
    seeds: tuple[int, ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _seeds_differ(self):
        if len(set(self.seeds)) < len(self.seeds):
            raise Misplaced(("seeds",), list(self.seeds), "a seed is given twice; each is trained once")
        return self

    @model_validator(mode="after")
    def _adapter_shape(self):
        if {self.rank is not None, self.alpha is not None} != {self.method == "lora"}:
            raise ValueError("rank and alpha belong to method lora, and only to it")
        if self.method == "full" and (self.rslora or self.dora or self.target_modules != "all-linear"):
            raise ValueError("rslora, dora and target_modules belong to method lora alone")
        if self.method == "full" and self.conflicts == "projected":
            size = "a gradient of all weights for each example of a batch would not fit into memory"
            raise ValueError(f"conflicts projected belongs to method lora alone: {size}")
        if self.split == "dev" and self.data not in ("raw", "uniform"):
            raise ValueError(f"split dev belongs to data raw and uniform; data {self.data} has a split of its own")
        return self


class Condition(Schema):
    """Weights (base, another model, or a recipe) times context, and the prompt they are asked with.

    `batch_size` overrides the study's layout; only the noise floor does. `retrieval` names one of the study's `retrievals`;
    unset, its `retrieval` section holds. `vintage` searches the pages of the replaced rules, before or after their
    replacement, in place of the guides. `unless_surer` names a condition without passages, whose answer is given in place of
    this one's wherever the model is surer of it (`lib.answering.routing`).
    """

    weights: Name
    context: Literal["none", "retrieved", "reversed", "poisoned", "gold", "distractors"] = "none"
    retrieval: Name | None = None
    prompt: Literal["chat", "few_shot"] = "chat"
    instruction: Literal["neutral", "reworded", "style", "json"] = "neutral"
    shots: int = Field(0, ge=0, le=8)
    batch_size: int | None = Field(None, ge=1)
    vintage: Literal["before", "after"] | None = None
    unless_surer: Name | None = None

    @model_validator(mode="after")
    def _vintage_is_searched(self):
        if self.vintage and self.context != "retrieved":
            raise ValueError("a vintage is searched: it needs context retrieved")
        return self

    @model_validator(mode="after")
    def _retrieves(self):
        if self.retrieval and self.context == "none":
            raise ValueError("retrieval belongs to a condition that is shown passages, and context is none")
        return self


class Retrieval(Schema):
    """How documents become passages, how passages are searched, and how many of them reach the prompt.

    chunker: headings (at most passage_tokens, never across a heading), sentences (whole ones while they fit, blind to
    headings), tokens (windows of just so many), document (a whole guide is one passage, and passage_tokens is not given).
    embedder: as the study's `embedding`, which holds when none is named. rerank: sentences orders what was found by the
    sentence nearest to the question.
    """

    chunker: Literal["headings", "sentences", "tokens", "document"] = "headings"
    passage_tokens: int | None = Field(None, ge=32, le=512)
    embedder: str | None = None
    search: Literal["bm25", "dense", "hybrid"]
    rerank: Literal["none", "sentences"] = "none"
    k: int = Field(ge=1, le=20)

    @model_validator(mode="after")
    def _passage_size(self):
        if (self.passage_tokens is None) != (self.chunker == "document"):
            raise ValueError("passage_tokens belongs to every chunker but document, and only to those")
        return self


class Generation(Schema):
    """Greedy decoding and its layout. The layout is recorded because rounding, hence text, can depend on it."""

    max_new_tokens: int = Field(ge=4)
    batch_size: int = Field(ge=1)
    batch_tokens: int = Field(ge=256)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class Block(Schema):
    """A rectangle of a notebook's grid: every condition, with each of its seeds, is asked every question.

    `facts` keeps the questions to the facts that a recipe with the same limit was trained on.
    """

    conditions: tuple[Name, ...] = Field(min_length=1)
    probes: tuple[Probe, ...] = Field(min_length=1)
    split: Literal["test", "dev"] = "test"
    facts: int | None = Field(None, ge=2)


class Contrast(Schema):
    """One registered comparison of conditions `a` and `b` (b None: a alone against the margin).

    direction, on the difference d = a - b (or on a's value) with its 95 % interval [low, high]:
    greater  held if low > margin, not_held if high <= margin
    less     held if high < margin, not_held if low >= margin
    differs  held if low > margin or high < -margin, else undecided
    flat     held if the 90 % interval lies in [-margin, margin], not_held if the 95 % interval excludes it

    The margin of differs and flat is 0 or more. A verdict must survive Holm's correction over all contrasts of its `family`,
    or the contrast is undecided.
    `right_before` keeps to the replaced rules whose old value each of these conditions gave; too few of them decide nothing.
    gradient_cosine is the mean cosine of the examples' whole gradients before training; gradient_link, of `a` alone, the
    rank correlation over facts of that cosine with how much of the loss on its value a fact has lost by halfway.
    """

    a: Name
    b: Name | None = None
    probe: str
    metric: Literal[
        "accuracy",
        "style",
        "json_valid",
        "kept",
        "loss",
        "answered",
        "latency_ms",
        "prompt_tokens",
        "found",
        "stale",
        "gradient_cosine",
        "gradient_link",
    ]
    direction: Literal["greater", "less", "differs", "flat"]
    margin: float = Field(allow_inf_nan=False)
    family: Name = "claims"
    right_before: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _decidable(self):
        if self.metric in OF_TWO and self.b is None:
            raise Misplaced(("metric",), self.metric, f"{', '.join(OF_TWO)} compare two conditions: b is needed")
        if self.direction in ("differs", "flat") and self.margin < 0:
            message = f"the margin of {self.direction} is a distance from 0 on either side: 0 or more"
            raise Misplaced(("margin",), self.margin, message)
        if (probe := MEASURED_ON.get(self.metric, self.probe)) != self.probe:
            raise Misplaced(("probe",), self.probe, f"metric {self.metric} is measured on probe {probe!r}")
        return self


class Claim(Schema):
    """A claim of the story: held when all its contrasts hold, not held when one fails, else undecided.

    margin_reason: why the margins are what they are. otherwise: written before the run, the likeliest reason for another
    outcome and the experiment that would decide; shown where the claim does not hold.
    """

    text: str
    notebook: str
    contrasts: tuple[Contrast, ...] = ()
    missing: str | None = None
    margin_reason: str = ""
    otherwise: str = ""

    @model_validator(mode="after")
    def _decidable(self):
        if bool(self.contrasts) == bool(self.missing):
            raise ValueError("a claim has either contrasts, or `missing` saying what it would take to decide it")
        return self


class Gradients(Schema):
    """What is measured of per-example gradients, and of value and style losses: the first `items` test facts, with the
    weights of two recipes that differ in their answers alone, after each number of `epochs` (0: before training).
    """

    raw: Name
    uniform: Name
    items: int = Field(ge=4)
    epochs: tuple[int, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _ascending_from_zero(self):
        if self.epochs[0] != 0 or list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError(f"epochs must begin with 0 and ascend; got {list(self.epochs)}")
        return self

    @property
    def halfway(self) -> int:
        """The epochs at which it is judged how much a fact has been learned, before all of them are."""
        return self.epochs[len(self.epochs) // 2]


class Claude(Schema):
    """Which Claude models answer and judge. Used only when ANTHROPIC_API_KEY is set.

    max_usd is for the whole study, over all its runs since .cache/ was made. From `batch_from` requests on they go as a
    batch, which costs half, takes minutes to hours, is looked at every `poll_s` and waited for until `deadline_s`.
    """

    answer_model: str
    judge_model: str
    max_usd: float = Field(1.0, gt=0)
    batch_from: int = Field(8, ge=1)
    poll_s: float = Field(30, gt=0)
    deadline_s: float = Field(4 * 3600, gt=0)


class Decision(Schema):
    """Who asks, and what they need: the inputs of the advice (see `lib.analysis.decision`).

    approaches: the condition that stands for each way. Shares lie in 0 to 1; money is USD of machine time.
    """

    approaches: dict[Literal["neither", "fine_tuning", "retrieval", "both"], Name] = Field(min_length=2)
    least_accuracy: float = Field(ge=0, le=1)
    least_style: float = Field(ge=0, le=1)
    most_latency_ms: float = Field(gt=0)
    answers_per_month: float = Field(ge=0)
    updates_per_month: float = Field(ge=0)
    usd_per_machine_hour: float = Field(gt=0)
    most_usd_per_month: float = Field(gt=0)


class Study(Schema):
    """A whole study file. `judge` says who grades the answers that are words with a reference: see lib.judging.judges.

    accelerate: a config file of `accelerate launch`, under which weights are trained; None: by the notebook's own process,
    as must those whose conflicts are projected.
    """

    name: Name
    title: str
    corpus: Corpus
    models: dict[Name, str]
    embedding: str
    generation: Generation
    retrieval: Retrieval
    retrievals: dict[Name, Retrieval] = Field(default_factory=dict)
    recipes: dict[Name, Recipe]
    conditions: dict[Name, Condition]
    grids: dict[str, tuple[Block, ...]]
    hybrid_candidates: tuple[Name, ...] = Field(min_length=1)
    claims: dict[str, Claim]
    decision: Decision
    claude: Claude | None = None
    judge: Judge = "keyfacts"
    gradients: Gradients | None = None
    accelerate: str | None = None
    latency_questions: int = Field(8, ge=1)
    second_judge_answers: int = Field(40, ge=1)  # labelled answers that the base model judges as well, in notebook 01

    @model_validator(mode="after")
    def _judge_is_named(self):
        if self.judge == "claude" and self.claude is None:
            raise Misplaced(("judge",), self.judge, "judge claude needs a section `claude` with a judge_model")
        return self

    @model_validator(mode="after")
    def _launch_is_configured(self):
        if self.accelerate and not (paths.ROOT / self.accelerate).is_file():
            known = sorted(str(path.relative_to(paths.ROOT)) for path in (paths.STUDIES / "accelerate").glob("*.yaml"))
            raise Misplaced(("accelerate",), self.accelerate, f"no such file; those here are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _references(self):
        if "base" not in self.models:
            raise ValueError("models needs an entry `base`")
        weights = set(self.models) | set(self.recipes)
        if both := sorted(set(self.models) & set(self.recipes)):
            message = "a model has this name too, and would be asked in the recipe's place; take another"
            raise Misplaced(("recipes", both[0]), both[0], message)
        if "hybrid" in self.conditions:
            message = "`hybrid` stands for the candidate that dev chooses; give the condition another name"
            raise Misplaced(("conditions", "hybrid"), "hybrid", message)
        for name, condition in self.conditions.items():
            if condition.weights not in weights:
                message = f"weights {condition.weights!r} not one of {sorted(weights)}"
                raise Misplaced(("conditions", name, "weights"), condition.weights, message)
            closed = self.conditions.get(condition.unless_surer or name)
            routed = condition.unless_surer is not None
            if routed and (closed is None or closed.context != "none" or condition.weights in self.recipes):
                plain = sorted(n for n, other in self.conditions.items() if other.context == "none")
                message = f"untrained weights can give way to a condition without passages, which are {plain}"
                raise Misplaced(("conditions", name, "unless_surer"), condition.unless_surer, message)
            if condition.retrieval not in {None, *self.retrievals}:
                message = f"retrieval {condition.retrieval!r} not one of {sorted(self.retrievals)}"
                raise Misplaced(("conditions", name, "retrieval"), condition.retrieval, message)
        known = set(self.conditions) | {"hybrid"}
        named = [
            (("claims", c, "contrasts", i, side), getattr(contrast, side))
            for c, claim in self.claims.items()
            for i, contrast in enumerate(claim.contrasts)
            for side in ("a", "b")
        ]
        named += [
            (("claims", c, "contrasts", i, "right_before", j), name)
            for c, claim in self.claims.items()
            for i, contrast in enumerate(claim.contrasts)
            for j, name in enumerate(contrast.right_before)
        ]
        named += [
            (("grids", g, i, "conditions", j), name)
            for g, blocks in self.grids.items()
            for i, block in enumerate(blocks)
            for j, name in enumerate(block.conditions)
        ]
        named += [(("hybrid_candidates", i), name) for i, name in enumerate(self.hybrid_candidates)]
        named += [(("decision", "approaches", way), name) for way, name in self.decision.approaches.items()]
        for location, name in named:
            if name is not None and name not in known:
                raise Misplaced(location, name, f"condition {name!r} not one of {sorted(known)}")
        for i, name in enumerate(self.hybrid_candidates):
            if name == "hybrid" or self.conditions[name].context != "retrieved":
                raise Misplaced(
                    ("hybrid_candidates", i), name, f"a hybrid retrieves; {name!r} has no retrieved context"
                )
            if self.conditions[name].instruction == "json":
                message = f"{name!r} is among hybrid_candidates, and answers of `hybrid` are graded as plain text"
                raise Misplaced(("conditions", name, "instruction"), "json", message)
        self._measured_recipes()
        self._measured_contrasts()
        self._whole_batches()
        return self

    def _measured_contrasts(self) -> None:
        for c, claim in self.claims.items():
            # A notebook decides its claims on what it and those before it asked.
            asked = {
                (name, probe)
                for notebook, blocks in self.grids.items()
                for block in blocks
                if notebook <= claim.notebook and block.split == "test"
                for name in block.conditions
                for probe in block.probes
            }
            asked |= {(name, "kept") for name, probe in asked if probe in SCREENED}
            for i, contrast in enumerate(claim.contrasts):
                place = ("claims", c, "contrasts", i)
                sides = [(("a",), contrast.a), (("b",), contrast.b)]
                sides += [(("right_before", j), name) for j, name in enumerate(contrast.right_before)]
                for side, name in sides:
                    if contrast.metric == "loss" and name not in self.recipes:
                        message = f"losses are those of recipes: {name!r} not one of {sorted(self.recipes)}"
                        raise Misplaced((*place, *side), name, message)
                    unasked = contrast.metric in MEASURED_ON and contrast.metric != "kept"
                    if name is None or unasked or (name, contrast.probe) in asked:
                        continue
                    probes = sorted(probe for other, probe in asked if other == name)
                    told = f"no grid up to {claim.notebook} asks {name!r} in probe {contrast.probe!r}"
                    message = f"{told}, but in {probes or 'none'}"
                    wrong = (("probe",), contrast.probe) if probes else (side, name)
                    raise Misplaced((*place, *wrong[0]), wrong[1], message)

    def _measured_recipes(self) -> None:
        measured = [self.gradients.raw, self.gradients.uniform] if self.gradients else []
        for name, claim in self.claims.items():
            for place, contrast in enumerate(claim.contrasts):
                for side in ("a", "b") if contrast.metric.startswith("gradient") else ():
                    arm = getattr(contrast, side)
                    if arm is not None and arm not in measured:
                        message = f"gradients are measured of {measured}, not of {arm!r}; see section `gradients`"
                        raise Misplaced(("claims", name, "contrasts", place, side), arm, message)
        for side in ("raw", "uniform") if self.gradients else ():
            name = getattr(self.gradients, side)
            recipe = self.recipes.get(name)
            if recipe is None or recipe.data != side or recipe.method != "lora" or 0 not in recipe.seeds:
                message = f"{name!r} is not a recipe with data {side}, method lora and seed 0"
                raise Misplaced(("gradients", side), name, message)
            if self.gradients.epochs[-1] != recipe.epochs:
                message = f"the last point must be the end of {name}, which has {recipe.epochs} epochs"
                raise Misplaced(("gradients", "epochs"), str(self.gradients.epochs[-1]), message)

    def _whole_batches(self) -> None:
        asked = {name for blocks in self.grids.values() for block in blocks for name in block.conditions}
        for name in sorted(asked - {"hybrid"}) if self.accelerate else ():
            recipe = self.recipes.get(self.conditions[name].weights)
            if recipe and recipe.conflicts == "projected":
                message = f"{name} projects conflicts, for which one process must see the whole batch"
                remedy = "ask it in no grid and no claim, or leave accelerate out"
                raise Misplaced(("accelerate",), self.accelerate, f"{message}; {remedy}")

    @property
    def registration(self) -> str:
        """The hash of what is registered: all that decides which numbers are measured and how they are judged."""
        named = {"claims", "conditions", "decision", "gradients", "grids", "judge", "recipes", "retrievals"}
        # Without what is not set, so that a field which a later version adds does not make an old study look changed.
        return runs.content_hash(self.model_dump(mode="json", include=named, exclude_none=True))

    def retrieval_named(self, name: str | None) -> Retrieval:
        """The retrieval setting of a name; the `retrieval` section for None."""
        return self.retrieval if name is None else self.retrievals[name]
