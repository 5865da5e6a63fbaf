"""Training, answering and their cost beside plain peers, in one run on the default study's data.

python -m benchmarks.throughput

Training is compared on one batch of the raw answers, STEPS times: the workbook's trainer, and TRL's with its defaults and
without activation checkpointing. Answering is compared on the same questions, each system given its own batches, and counts
the tokens of answers alone: the library's `generate` goes on until the last row of a batch has ended, and what it writes
after a row's end is no answer.
"""

import shutil
import tempfile
import time
from statistics import median

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from benchmarks.record import record
from lib import runs
from lib.answering.conditions import Bench
from lib.corpus.load import load_corpus
from lib.models import registry
from lib.models.capacity import shape_of
from lib.models.generate import generate, plan_batches
from lib.studies import Recipe
from lib.study_file import load_study
from lib.training import sft
from lib.training.recipes import Example, build_examples

STEPS = 4
QUESTIONS, NEW_TOKENS = 96, 48
# Batch sizes that plain `generate` is tried with; its best is compared with.
PLAIN_BATCHES = (8, 32, 96)
# Examples of one epoch, for the curve of cost against facts.
FACTS = (60, 120, 240, 480)


def matmul_tflops(dtype: torch.dtype) -> float:
    """Median rate of 20 products of 2048 x 2048 matrices."""
    a, b = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
    rates = []
    for _ in range(20):
        started = time.perf_counter()
        a @ b
        rates.append(2 * 2048**3 / (time.perf_counter() - started) / 1e12)
    return median(rates)


def training_tflops(bench: Bench, recipe: Recipe, tokens_per_s: float, width: int, answered: float) -> float:
    """Floating-point operations a second that training at this rate does, in 1e12.

    A token costs 4 operations for each frozen weight (forward, and backward to what lies below; its own gradient is not
    taken), 6 for each weight of the adapter, and 12 * layers * width * query for the products of attention, width being the
    row's length in tokens. The vocabulary head is charged for the share `answered` of the tokens that count.
    """
    shape = shape_of(bench.study.models["base"])
    head = shape.vocabulary * shape.hidden
    frozen = 4 * (shape.multiplied - head + answered * head)
    return tokens_per_s * (frozen + 6 * shape.adapter(recipe.rank) + 12 * shape.layers * width * shape.query) / 1e12


def our_training(bench: Bench, examples: list[Example], recipe: Recipe, epochs: int) -> dict:
    """The ledger of training by the workbook, from nothing and with nothing left behind."""
    recipe = recipe.model_copy(update={"epochs": epochs})
    trained = sft.train(
        bench.study.models["base"], "auto", examples, recipe, seed=time.time_ns() % 2**31, label="ours", longest=True
    )
    shutil.rmtree(trained.folder.parent)
    return trained.ledger


def stock_training(bench: Bench, examples: list[Example], recipe: Recipe, *, checkpointing: bool) -> float:
    """Training tokens per second of TRL's own trainer, with activation checkpointing (its default) or without."""
    lm = bench.language_model("base", 0)
    dataset = Dataset.from_list([sft.tokenize(lm.tokenizer, example) for example in examples])
    dtype = registry.choose_precision("auto").dtype
    model = AutoModelForCausalLM.from_pretrained(registry.resolve(bench.study.models["base"]), dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            num_train_epochs=STEPS,
            per_device_train_batch_size=recipe.batch_size,
            save_strategy="no",
            use_cpu=not torch.cuda.is_available(),
            bf16=dtype is torch.bfloat16,
            activation_checkpointing=checkpointing,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            report_to="none",
            disable_tqdm=True,
        )
        lora = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
        trainer = SFTTrainer(
            model, args=arguments, train_dataset=dataset, processing_class=lm.tokenizer, peft_config=lora
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    return STEPS * sum(map(len, dataset["input_ids"])) / seconds


def our_answers(bench: Bench, prompts: list[str]) -> tuple[float, list[str]]:
    """Answer tokens per second of the workbook in the study's own layout, and the texts."""
    lm, layout = bench.language_model("base", 0), bench.layout._replace(max_new_tokens=NEW_TOKENS)
    key = runs.content_hash(time.time_ns())
    done = generate(lm, prompts, layout=layout, stop=None, key=key, label="ours")
    shutil.rmtree(runs.cache_dir("answers", key))
    rate = sum(completion.answer_tokens for completion in done) / sum(completion.seconds for completion in done)
    return rate, [completion.text for completion in done]


@torch.inference_mode()
def plain_answers(bench: Bench, prompts: list[str], batch_size: int) -> tuple[float, list[str]]:
    """The same through the library's `generate`, prompts sorted by length likewise."""
    lm = bench.language_model("base", 0)
    encoded = [lm.tokenizer(prompt, add_special_tokens=False).input_ids for prompt in prompts]
    layout = bench.layout._replace(batch_size=batch_size)
    texts, tokens, seconds = [""] * len(prompts), 0, 0.0
    for batch in plan_batches([len(ids) for ids in encoded], layout):
        rows = {"input_ids": [encoded[index] for index in batch]}
        started = time.perf_counter()
        padded = lm.tokenizer.pad(rows, padding_side="left", return_tensors="pt")
        written = lm.model.generate(**padded, max_new_tokens=NEW_TOKENS, do_sample=False)
        seconds += time.perf_counter() - started
        for index, ids in zip(batch, written[:, padded["input_ids"].shape[1] :], strict=True):
            texts[index] = lm.tokenizer.decode(ids, skip_special_tokens=True).strip()
            tokens += int((ids != lm.tokenizer.pad_token_id).sum())
    return tokens / seconds, texts


def main() -> None:
    """Measure all systems one after the other and write benchmarks/latest.json."""
    study = load_study("itr")
    bench = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    recipe, lm = study.recipes["lora_raw"], bench.language_model("base", 0)
    every = build_examples(bench.corpus, recipe.model_copy(update={"facts": None}), lm.tokenizer, None)
    batch = every[: recipe.batch_size]
    rows = [sft.tokenize(lm.tokenizer, example) for example in batch]
    lengths = [len(row["input_ids"]) for row in rows]
    answered = sum(label != -100 for row in rows for label in row["labels"]) / sum(lengths)

    ledger = our_training(bench, batch, recipe, STEPS)
    ours = ledger["tokens"] / ledger["seconds"]
    plain = stock_training(bench, batch, recipe, checkpointing=False)
    stock = stock_training(bench, batch, recipe, checkpointing=True)
    done, peak = (
        training_tflops(bench, recipe, ours, max(lengths), answered),
        matmul_tflops(registry.choose_precision("auto").dtype),
    )
    record(
        {
            "train_tokens_per_s/workbook": (ours, "tokens/s"),
            "train_tokens_per_s/trl_default": (stock, "tokens/s"),
            "train_tokens_per_s/trl_no_checkpointing": (plain, "tokens/s"),
            "train_ratio/trl_default": (ours / stock, "ratio"),
            "train_ratio/trl_no_checkpointing": (ours / plain, "ratio"),
            "peak_matmul_tflops": (peak, "TFLOP/s"),
            "train_share_of_matmul_peak": (done / peak, "share"),
        }
    )

    questions = bench.corpus.ask("paraphrase")[:QUESTIONS]
    prompts = bench.prompts(study.conditions["base"], lm, questions, [()] * len(questions))
    answering, texts = our_answers(bench, prompts)
    peers = {size: plain_answers(bench, prompts, size) for size in PLAIN_BATCHES}
    best = max(rate for rate, _ in peers.values())
    same = sum(a == b for a, b in zip(texts, peers[max(PLAIN_BATCHES)][1], strict=True)) / len(texts)
    record(
        {
            "generate_tokens_per_s/workbook": (answering, "tokens/s"),
            **{f"generate_tokens_per_s/plain_{size}": (rate, "tokens/s") for size, (rate, _) in peers.items()},
            "generate_ratio/plain_8": (answering / peers[8][0], "ratio"),
            "generate_ratio/plain_best": (answering / best, "ratio"),
            f"generate_same_text/plain_{max(PLAIN_BATCHES)}": (same, "share"),
        }
    )

    # One epoch of few facts need not lower the loss at the study's rate, and such a training is refused; cost knows no rate.
    fast = recipe.model_copy(update={"learning_rate": 1e-3})
    for n in FACTS:
        cycled = (every * (n // len(every) + 1))[:n]
        seconds = our_training(bench, cycled, fast, 1)["seconds"]
        record(
            {
                f"train_seconds_per_example/{n}": (seconds / n, "s"),
                "peak_rss_gib/benchmark": (runs.peak_memory_gib(), "GiB"),
            }
        )


if __name__ == "__main__":
    main()
