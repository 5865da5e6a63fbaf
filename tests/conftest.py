"""What several tests share: a store of their own, a tiny but real model on disk, and a small cut of the corpus."""

import os
from dataclasses import replace

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lib import paths
from lib.corpus.load import load_corpus
from lib.studies import Study
from tests.standin import KEY, StandIn

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LINES = ["system user assistant Answer in one short sentence.", "Which form is to be filed? Passages: Question:"]


@pytest.fixture(scope="session", autouse=True)
def session_store(tmp_path_factory):
    """The tests' own cache and output. Only the unpacked weights are shared with the reader's cache: they never differ."""
    weights = paths.CACHE / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "JUDGE"):
            patch.delenv(name, raising=False)  # no test may reach the real API, whatever shell starts it
        patch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
        patch.setattr(paths, "OUT", tmp_path_factory.mktemp("out"))
        (paths.CACHE / "weights").symlink_to(weights)
        yield paths.CACHE


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    """A cache in which nothing has been done yet."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return paths.CACHE


@pytest.fixture
def standin(monkeypatch, empty_store):
    """A stand-in for the Claude API, in whose place the SDK finds it, and a cache in which nothing has been asked yet."""
    server = StandIn()
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    yield server
    server.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a two-layer Llama with random weights and a byte-level tokenizer that speaks ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)  # the sums of a matrix product, hence bits, depend on it
    folder = tmp_path_factory.mktemp("tiny")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    # ASCII alone, so that a model with random weights writes text that can be cut and compared.
    alphabet = [letter for letter in pre_tokenizers.ByteLevel.alphabet() if letter.isascii()] + ["Ġ", "Ċ"]
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=160, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(LINES, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = CHATML
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_model):
    """The tiny model, loaded as any local directory is, in float32."""
    from lib.models.registry import load_language_model

    return load_language_model(str(tiny_model), "float32")


@pytest.fixture(scope="session")
def small_corpus():
    """A few facts of every split, and only the guides that state them."""
    corpus = load_corpus("data/itr", test=4, dev=3, raft=10, neighbour=2, easy=2, general=2, unanswerable=3, wordings=1)
    stated = {item.document for item in corpus.evidence}
    return replace(corpus, documents=tuple(d for d in corpus.documents if d.id in stated))


@pytest.fixture(scope="session")
def ruled_corpus():
    """The same with the replaced rules of the neighbour split, their facts and pages."""
    corpus = load_corpus("data/itr", test=4, dev=3, raft=10, easy=2, general=2, unanswerable=3, wordings=1)
    return replace(corpus, documents=corpus.documents[:2], evidence=())


@pytest.fixture(scope="session")
def tiny_study(tiny_model):
    """A study of the tiny model with one condition of every kind."""
    lora = {"rank": 4, "alpha": 8, "learning_rate": 0.005, "epochs": 2, "batch_size": 2}
    both = ["trained", "paraphrase"]
    return Study.model_validate(
        {
            "name": "tiny",
            "title": "A study that takes seconds",
            "corpus": {"folder": "data/itr"},
            "models": {"base": str(tiny_model)},
            "embedding": "all-minilm-l6-v2",
            "generation": {"max_new_tokens": 4, "batch_size": 8, "batch_tokens": 16384, "precision": "float32"},
            "retrieval": {"passage_tokens": 64, "search": "hybrid", "k": 3},
            "retrievals": {
                "same": {"passage_tokens": 64, "search": "hybrid", "k": 3},
                "windows": {"chunker": "tokens", "passage_tokens": 32, "search": "bm25", "k": 2},
                "reranked": {"passage_tokens": 64, "search": "hybrid", "rerank": "sentences", "k": 3},
                "whole": {"chunker": "document", "search": "dense", "k": 1},
            },
            "recipes": {
                "lora": {"data": "uniform", "seeds": [0, 1], **lora},
                "raft": {"data": "raft", **lora},
                "json": {"data": "json", **lora},
            },
            "conditions": {
                "base": {"weights": "base"},
                "base_fewshot": {"weights": "base", "prompt": "few_shot", "shots": 2},
                "noise_floor": {"weights": "base", "instruction": "reworded", "batch_size": 2},
                "rag": {"weights": "base", "context": "retrieved"},
                "rag_fewshot": {"weights": "base", "context": "retrieved", "shots": 2},
                "rag_gold": {"weights": "base", "context": "gold"},
                "rag_distractors": {"weights": "base", "context": "distractors"},
                "rag_windows": {"weights": "base", "context": "retrieved", "retrieval": "windows"},
                "rag_poisoned": {"weights": "base", "context": "poisoned"},
                "base_style": {"weights": "base", "instruction": "style", "shots": 2},
                "rag_json": {"weights": "base", "context": "retrieved", "instruction": "json", "shots": 1},
                "lora": {"weights": "lora"},
            },
            "grids": {
                "both": [
                    {"conditions": ["base", "rag", "lora"], "probes": both},
                    {"conditions": ["base", "rag"], "probes": ["paraphrase"], "split": "dev"},
                ],
                "some": [{"conditions": ["base"], "probes": both, "facts": 2}],
                "twice": [{"conditions": ["base"], "probes": both}, {"conditions": ["base"], "probes": ["trained"]}],
            },
            "hybrid_candidates": ["rag"],
            "claims": {},
            "decision": {
                "approaches": {"neither": "base", "fine_tuning": "lora", "retrieval": "rag"},
                "least_accuracy": 0.5,
                "least_style": 0.0,
                "most_latency_ms": 1000,
                "answers_per_month": 1000,
                "updates_per_month": 1,
                "usd_per_machine_hour": 3.6,
                "most_usd_per_month": 10,
            },
        }
    )


def pytest_collection_modifyitems(items):
    """The end-to-end study takes as long as all else: begun first, it runs beside it."""
    items.sort(key=lambda item: item.path.name != "test_reproduce.py")
