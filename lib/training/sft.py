"""Supervised fine-tuning through TRL: LoRA or full weights, answer tokens only, resumable, never done twice.

The learning rate is constant, so a short run is a prefix of a long one: the recipe at 20 epochs goes on from the state
that the same recipe left at 3.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from lib import progress, runs
from lib.models import registry
from lib.studies import Recipe
from lib.training.recipes import Example

SECONDS_BETWEEN_CHECKPOINTS = 120


@dataclass(frozen=True)
class Trained:
    """Finished weights on disk. `log` holds loss by step, `ledger` tokens, seconds, memory and final loss."""

    key: str
    folder: Path
    method: str
    log: tuple[dict, ...]
    ledger: dict


class MaskedHeadTrainer(SFTTrainer):
    """SFTTrainer whose vocabulary head sees the answer tokens only.

    loss = (1 / n) * sum over answer tokens of -log p(token), n the answer tokens of the optimiser step: the same value
    and gradients as TRL's own loss, which on a CPU scores every position and recomputes in backward.
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs["labels"][:, 1:]
        answer = labels != -100
        causal = self.accelerator.unwrap_model(model)
        causal = causal.get_base_model() if hasattr(causal, "get_base_model") else causal
        # Called below the wrapper that would switch autocast on, so it is switched on here.
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self.args.bf16):
            hidden = causal.base_model(
                input_ids=inputs["input_ids"], attention_mask=inputs.get("attention_mask"), use_cache=False
            ).last_hidden_state[:, :-1]
            logits = causal.get_output_embeddings()(hidden[answer]).float()
        cap = getattr(causal.config.get_text_config(), "final_logit_softcapping", None)
        if cap:
            logits = cap * torch.tanh(logits / cap)
        n = num_items_in_batch if num_items_in_batch is not None else answer.sum().clamp(min=1)
        return F.cross_entropy(logits, labels[answer], reduction="sum") / n


class Checkpoints(TrainerCallback):
    """Save by the clock, with the seconds spent so far, and mark a checkpoint as whole only after all its files are written.

    `before` is what reaching the checkpoint that the run goes on from had cost.
    """

    def __init__(self, save_at_end: bool, before: float):
        self.save_at_end, self.before = save_at_end, before

    def on_train_begin(self, args, state, control, **kwargs):
        self.started = self.saved = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        last = state.global_step >= state.max_steps
        if (last and self.save_at_end) or time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True
        return control

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # The limit on checkpoints can delete the one just written, beside a longer run's newer ones.
        if folder.exists():
            runs.write_json(folder / "seconds.json", self.before + time.monotonic() - self.started)
            runs.write_json(folder / "complete.json", _sizes(folder))
        self.saved = time.monotonic()


class Progress(TrainerCallback):
    """A bar over optimiser steps, starting where a resumed run starts."""

    def __init__(self, label: str):
        self.label = label

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = progress.bar(total=state.max_steps, done=state.global_step, label=self.label, unit="step")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def training_key(source: str, precision: str, examples: list[Example], recipe: Recipe, seed: int) -> str:
    """The hash of everything that trained weights depend on, apart from the number of epochs."""
    import lib.training.sft as this_module

    settings = recipe.model_dump(mode="json", exclude={"epochs", "seeds", "facts"})
    base = registry.load_language_model(source, precision).fingerprint
    code = runs.code_version(this_module)
    return runs.content_hash([base, examples, settings, seed, runs.versions(), code])


def train(
    source: str, precision: str, examples: list[Example], recipe: Recipe, *, seed: int, label: str, longest: bool
) -> Trained:
    """Weights trained on `examples` by `recipe`; read from the cache when they exist, resumed when half done.

    Args: `longest` says that no recipe of the study goes on from here, so the optimiser state may be deleted.
    Raises RuntimeError when the loss is not finite or did not fall: such weights must not be answered with.
    """
    key = training_key(source, precision, examples, recipe, seed)
    folder = runs.cache_dir("training", key)
    target = folder / f"epoch-{recipe.epochs:03d}"
    with runs.locked(folder):
        if not (target / "training.json").exists():
            _train(source, precision, examples, recipe, seed, label, folder, target, save_at_end=not longest)
        if longest:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    record = json.loads((target / "training.json").read_text())
    return Trained(f"{key}-{recipe.epochs}", target, recipe.method, tuple(record["log"]), record["ledger"])


def load_trained(source: str, trained: Trained) -> PreTrainedModel:
    """The tuned model in float32; an adapter is merged, since an unmerged one halves generation speed.

    Merging in float32 keeps updates that bfloat16 would round away.
    """
    location = registry.resolve(source)
    if trained.method == "full":
        return AutoModelForCausalLM.from_pretrained(trained.folder, dtype=torch.float32, use_safetensors=True)
    base = AutoModelForCausalLM.from_pretrained(location, dtype=torch.float32, use_safetensors=True)
    return PeftModel.from_pretrained(base, trained.folder).merge_and_unload()


def _train(source, precision, examples, recipe, seed, label, folder, target, *, save_at_end) -> None:
    tokenizer = AutoTokenizer.from_pretrained(registry.resolve(source))
    dataset = Dataset.from_list([tokenize(tokenizer, example) for example in examples])
    dtype = registry.choose_precision(precision).dtype
    transformers.set_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(
        registry.resolve(source), dtype=torch.float32 if recipe.method == "full" else dtype, use_safetensors=True
    )
    checkpoint = last_whole_checkpoint(folder / "checkpoints", recipe.epochs, len(examples), recipe.batch_size)
    before = json.loads((checkpoint / "seconds.json").read_text()) if checkpoint else 0.0
    on_cpu = registry.device().type == "cpu"
    # GPUs keep TRL's own loss: its fused head is fast there and knows about several devices.
    trainer_class = MaskedHeadTrainer if on_cpu else SFTTrainer
    trainer = trainer_class(
        model=model,
        args=_arguments(recipe, seed, dtype, folder / "checkpoints", on_cpu),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=_lora(recipe),
        callbacks=[Checkpoints(save_at_end, before), Progress(label)],
    )
    trainer.remove_callback(PrinterCallback)
    if len(trainer.train_dataset) != len(examples):
        raise RuntimeError(
            f"{label}: {len(examples) - len(trainer.train_dataset)} examples were dropped by the trainer"
        )
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.perf_counter() - started
    log = [{"step": row["step"], "loss": row["loss"]} for row in trainer.state.log_history if "loss" in row]
    _gate(log, label)
    _export(trainer, target, log, _ledger(dataset, recipe, log, before + seconds))


def tokenize(tokenizer, example: Example) -> dict[str, list[int]]:
    """Token ids and labels of one example: the prompt's ids as at answering time, then the completion and its end."""
    prompt = tokenizer(example.prompt, add_special_tokens=False).input_ids
    completion = tokenizer(example.completion, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


def _arguments(recipe: Recipe, seed: int, dtype: torch.dtype, folder: Path, on_cpu: bool) -> SFTConfig:
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant",
        bf16=dtype is torch.bfloat16,
        use_cpu=on_cpu,
        seed=seed,
        max_length=None,
        activation_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_nan_inf_filter=False,  # a diverged loss would be logged as 0.0 and pass for a perfect one
        save_strategy="no",
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def _lora(recipe: Recipe) -> LoraConfig | None:
    if recipe.method == "full":
        return None
    return LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def _gate(log: list[dict], label: str) -> None:
    losses = [row["loss"] for row in log]
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    if len(losses) < 2:
        raise RuntimeError(
            f"{label}: one optimiser step cannot show that the loss falls; train on more facts or epochs"
        )
    if not last < first:  # also true when either is NaN
        raise RuntimeError(f"{label}: training loss did not fall (first tenth {first:.4f}, last tenth {last:.4f})")


def _ledger(dataset: Dataset, recipe: Recipe, log: list[dict], seconds: float) -> dict:
    last_epoch = log[-max(1, len(log) // recipe.epochs) :]
    return {
        "tokens": recipe.epochs * sum(len(ids) for ids in dataset["input_ids"]),
        "seconds": round(seconds, 1),
        "peak_memory_gib": round(runs.peak_memory_gib(), 2),
        "loss": sum(row["loss"] for row in last_epoch) / len(last_epoch),
    }


def _export(trainer: SFTTrainer, target: Path, log: list[dict], ledger: dict) -> None:
    trainer.model.save_pretrained(target)
    if (target / "README.md").exists():
        (target / "README.md").unlink()
    # Written last: its presence says that the weights beside it are whole.
    runs.write_json(target / "training.json", {"log": log, "ledger": ledger})


def last_whole_checkpoint(folder: Path, epochs: int, n_examples: int, batch_size: int) -> Path | None:
    """The newest checkpoint that is complete and does not lie beyond `epochs`; None when there is none.

    Trainer's own choice is the highest number, whole or not. Broken ones are deleted, so that they cannot be chosen later.
    """
    steps = epochs * -(-n_examples // batch_size)
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        marker = checkpoint / "complete.json"
        if marker.exists() and json.loads(marker.read_text()) == _sizes(checkpoint):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    numbered = sorted((int(checkpoint.name.split("-")[1]), checkpoint) for checkpoint in whole)
    return next((checkpoint for step, checkpoint in reversed(numbered) if step <= steps), None)


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(file for file in folder.iterdir() if file.name != "complete.json" and not file.name.startswith("."))
    return {file.name: file.stat().st_size for file in files}
