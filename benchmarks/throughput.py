"""Tokens per second of training and answering beside plain peers, in one run on the default study's data.

python -m benchmarks.throughput
"""

import shutil
import tempfile
import time

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
from lib.models.generate import generate
from lib.studies import Recipe
from lib.study_file import load_study
from lib.training import sft
from lib.training.recipes import Example, build_examples

STEPS = 4


def matmul_tflops(dtype: torch.dtype) -> float:
    """Median rate of 20 products of 2048 x 2048 matrices."""
    a, b = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
    rates = []
    for _ in range(20):
        started = time.perf_counter()
        a @ b
        rates.append(2 * 2048**3 / (time.perf_counter() - started) / 1e12)
    return sorted(rates)[10]


def our_training(bench: Bench, examples: list[Example], recipe: Recipe) -> float:
    """Training tokens per second of the workbook, over one batch repeated STEPS times."""
    recipe = recipe.model_copy(update={"epochs": STEPS})
    trained = sft.train(
        bench.study.models["base"], "auto", examples, recipe, seed=time.time_ns() % 2**31, label="ours", longest=True
    )
    shutil.rmtree(trained.folder.parent)
    return trained.ledger["tokens"] / trained.ledger["seconds"]


def stock_training(bench: Bench, examples: list[Example], recipe: Recipe, *, checkpointing: bool) -> float:
    """The same through TRL's own trainer, with activation checkpointing (its default) or without."""
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


def answering(bench: Bench, *, batch_size: int) -> float:
    """Answer tokens per second on the paraphrase questions, in batches of the given size."""
    lm, questions = bench.language_model("base", 0), bench.corpus.ask("paraphrase")[:64]
    prompts = bench.prompts(bench.study.conditions["base"], lm, questions, [()] * len(questions))
    layout, key = bench.layout._replace(batch_size=batch_size, max_new_tokens=48), runs.content_hash(time.time_ns())
    done = generate(lm, prompts, layout=layout, stop=None, key=key, label=f"answering by {batch_size}")
    shutil.rmtree(runs.cache_dir("answers", key))
    return sum(completion.answer_tokens for completion in done) / sum(completion.seconds for completion in done)


def main() -> None:
    """Measure all systems one after the other and write benchmarks/latest.json."""
    study = load_study("itr")
    bench = Bench(study, load_corpus(study.corpus.folder, **study.corpus.limits))
    recipe = study.recipes["lora_raw"]
    examples = build_examples(bench.corpus, recipe, bench.language_model("base", 0).tokenizer, None)[
        : recipe.batch_size
    ]
    ours = our_training(bench, examples, recipe)
    plain = stock_training(bench, examples, recipe, checkpointing=False)
    stock = stock_training(bench, examples, recipe, checkpointing=True)
    wide, narrow = answering(bench, batch_size=study.generation.batch_size), answering(bench, batch_size=8)
    values = {
        "train_tokens_per_s/workbook": (ours, "tokens/s"),
        "train_tokens_per_s/trl_default": (stock, "tokens/s"),
        "train_tokens_per_s/trl_no_checkpointing": (plain, "tokens/s"),
        "train_ratio/trl_default": (ours / stock, "ratio"),
        "train_ratio/trl_no_checkpointing": (ours / plain, "ratio"),
        "generate_tokens_per_s/workbook": (wide, "tokens/s"),
        "generate_tokens_per_s/generate_batch_8": (narrow, "tokens/s"),
        "generate_ratio/generate_batch_8": (wide / narrow, "ratio"),
        "peak_matmul_tflops": (matmul_tflops(registry.choose_precision("auto").dtype), "TFLOP/s"),
        "peak_rss_gib/benchmark": (runs.peak_memory_gib(), "GiB"),
    }
    record(values)


if __name__ == "__main__":
    main()
