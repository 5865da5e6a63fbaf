"""What models are shown: the passages of a study under each retrieval setting, and which of them state which fact."""

from collections.abc import Sequence
from functools import cached_property

from lib.corpus.load import Corpus
from lib.corpus.records import Document, Passage, Question
from lib.retrieval.chunking import gold_passages, split_documents
from lib.retrieval.contexts import choose, plant
from lib.retrieval.index import Index, build_index
from lib.studies import Study


class Shelf:
    """The indexes of a study, each built or opened when first needed, and what every question was shown from them.

    A retrieval setting is named as in the study's `retrievals`; None stands for its `retrieval` section.
    """

    def __init__(self, study: Study, corpus: Corpus):
        self.study, self.corpus = study, corpus
        self._indexes: dict[tuple, Index] = {}
        self._gold: dict[str, dict[str, set[str]]] = {}
        self._shown: dict[tuple, tuple[Passage, ...]] = {}

    @property
    def index(self) -> Index:
        """The passage index over the study's documents."""
        return self.index_of(None)

    @property
    def gold(self) -> dict[str, set[str]]:
        """For each fact id, the ids of the passages that state it."""
        return self.gold_of(None)

    @cached_property
    def vintages(self) -> dict[str, Index]:
        """The pages of the replaced rules, before and after: two tagged versions of one table. Empty without such pages."""
        if not self.corpus.older:
            return {}
        index = build_index(
            self._split(self.corpus.older, None), embedder=self.study.embedding, settings=self.study.retrieval
        )
        return {"before": index, "after": index.replaced(self._split(self.corpus.newer, None))}

    def index_of(self, retrieval: str | None) -> Index:
        """The index that a setting searches; settings that cut alike share one."""
        settings = self.study.retrieval_named(retrieval)
        embedder = settings.embedder or self.study.embedding
        key = (settings.chunker, settings.passage_tokens, embedder, settings.k)
        if key not in self._indexes:
            passages = self._split(self.corpus.documents, retrieval)
            self._indexes[key] = build_index(passages, embedder=embedder, settings=settings)
        return self._indexes[key]

    def _split(self, documents: Sequence[Document], retrieval: str | None) -> list[Passage]:
        settings = self.study.retrieval_named(retrieval)
        return split_documents(
            documents,
            embedder=settings.embedder or self.study.embedding,
            passage_tokens=settings.passage_tokens,
            chunker=settings.chunker,
        )

    def gold_of(self, retrieval: str | None) -> dict[str, set[str]]:
        """For each fact id, the ids of the passages of a setting's index that state it."""
        index = self.index_of(retrieval)
        if index.key not in self._gold:
            passages = list(index.passages.values())
            self._gold[index.key] = gold_passages(passages, self.corpus.evidence, self.corpus.documents)
        return self._gold[index.key]

    def gold_for(self, question: Question, retrieval: str | None) -> set[str]:
        """The passages that state any fact the question asks for."""
        gold = self.gold_of(retrieval)
        return set().union(*(gold.get(fact_id, set()) for fact_id in question.fact_ids))

    def find(self, questions: Sequence[Question], retrieval: str | None) -> list[list[str]]:
        """The ids of the passages a setting finds for each question, best first, `depth` of them."""
        texts = [question.text for question in questions]
        return self.index_of(retrieval).find(texts, self.study.retrieval_named(retrieval), k=self.depth(retrieval))

    def depth(self, retrieval: str | None) -> int:
        """How many passages a setting looks for: more than any context shows, and 10 at least. Fusion ranks among these."""
        return max(self.study.retrieval_named(retrieval).k + 8, 10)

    def passages(
        self, questions: Sequence[Question], kind: str, retrieval: str | None = None, vintage: str | None = None
    ) -> list[tuple[Passage, ...]]:
        """The passages each question is shown, looked up once.

        kind: none, retrieved, reversed (the best one last), poisoned (with an instruction planted in one), gold (among
        retrieved ones) or distractors.
        They come from the guides, or from the replaced rules' pages of a `vintage`.
        """
        keys = [(question.id, question.text, kind, retrieval, vintage) for question in questions]
        new = [(key, question) for key, question in zip(keys, questions, strict=True) if key not in self._shown]
        found = self._retrieve([question for _, question in new], kind, retrieval, vintage) if new else []
        self._shown.update(zip([key for key, _ in new], found, strict=True))
        return [self._shown[key] for key in keys]

    def retrieve(
        self, questions: Sequence[Question], kind: str, retrieval: str | None = None, vintage: str | None = None
    ) -> list[tuple[Passage, ...]]:
        """As `passages`, with every question embedded and searched anew, whatever was looked up before."""
        if kind == "none":
            return [()] * len(questions)
        index = self.vintages[vintage] if vintage else self.index_of(retrieval)
        with index.encoder.afresh():
            return self._retrieve(questions, kind, retrieval, vintage)

    def _retrieve(
        self, questions: Sequence[Question], kind: str, retrieval: str | None, vintage: str | None
    ) -> list[tuple[Passage, ...]]:
        if kind == "none":
            return [()] * len(questions)
        settings = self.study.retrieval_named(retrieval)
        if vintage:
            index = self.vintages[vintage]
            found = index.find([question.text for question in questions], settings, k=settings.k)
            return [tuple(index.passages[i] for i in ids) for ids in found]
        index, shown = self.index_of(retrieval), []
        for question, ids in zip(questions, self.find(questions, retrieval), strict=True):
            chosen = choose(ids, self.gold_for(question, retrieval), kind, k=settings.k, question_id=question.id)
            passages = tuple(index.passages[i] for i in chosen)
            shown.append(plant(passages, question.id) if kind == "poisoned" else passages)
        return shown
