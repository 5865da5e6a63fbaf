"""Supervised fine-tuning through TRL: LoRA or full weights, answer tokens only, resumable, never done twice.

The learning rate is constant, so a short run is a prefix of a long one: the recipe at 20 epochs goes on from the state
that the same recipe left at 3. Several processes train as one does where `lib.training.launch` starts them.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
import transformers
from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from lib import progress, runs
from lib.models import registry
from lib.studies import Recipe
from lib.training import surgery
from lib.training.checkpoints import Checkpoints, last_whole_checkpoint
from lib.training.recipes import Example

TARGETS = {"all-linear": "all-linear", "attention": ["q_proj", "k_proj", "v_proj", "o_proj"]}
LOGGED = ("step", "loss", "conflict_share")


class Task(NamedTuple):
    """One training to be done: what on, how, and the folders of its checkpoints and of the finished weights.

    save_at_end: whether another run will go on from here, so that the last state is kept.
    """

    source: str
    precision: str
    examples: list[Example]
    recipe: Recipe
    seed: int
    label: str
    checkpoints: Path
    target: Path
    save_at_end: bool


@dataclass(frozen=True)
class Trained:
    """Finished weights on disk. `log` holds loss by step, `ledger` tokens, seconds, memory and final loss.

    Where conflicts were projected away, `log` holds conflict_share too, the share of the step's pairs of examples in conflict.
    """

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


class ProjectingTrainer(MaskedHeadTrainer):
    """MaskedHeadTrainer that rids each example's gradient of what opposes another's (`lib.training.surgery`).

    The loss is the same and has the same gradient where nothing conflicts. Every example passes alone, without padding.
    """

    def training_step(self, model, inputs, num_items_in_batch=None):
        model.train()
        inputs = self._prepare_inputs(inputs)
        n = num_items_in_batch
        if n is None:
            n = (inputs["labels"][:, 1:] != -100).sum().clamp(min=1)
        losses = (
            self.compute_loss(model, {name: inputs[name][row, real][None] for name in inputs}, num_items_in_batch=n)
            for row, real in enumerate(inputs["attention_mask"].bool())
        )
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        loss, share = surgery.backward_projected(losses, parameters, self.args.seed, self.state.global_step)
        self._metrics["train"]["conflict_share"].append(share)  # what TRL adds to the next line of the log
        return loss


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
    """The hash of everything that trained weights depend on, apart from the number of epochs.

    What a recipe leaves at its default is not hashed, so that a new field renews no key; no default may ever change.
    """
    import lib.training.sft as this_module

    reached = [this_module, *([surgery] if recipe.conflicts == "projected" else [])]
    settings = recipe.model_dump(mode="json", exclude={"epochs", "seeds", "facts"}, exclude_defaults=True)
    base = registry.load_language_model(source, precision).fingerprint
    code = runs.code_version(*reached)
    return runs.content_hash([base, examples, settings, seed, runs.versions(), code])


def train(
    source: str,
    precision: str,
    examples: list[Example],
    recipe: Recipe,
    *,
    seed: int,
    label: str,
    longest: bool,
    run: Callable[[Task], None] | None = None,
) -> Trained:
    """Weights trained on `examples` by `recipe`; read from the cache when they exist, resumed when half done.

    Args: `longest` says that no recipe of the study goes on from here, so the optimiser state may be deleted. `run` does the
    work; None: `fit`, in this process.
    Raises RuntimeError when the loss is not finite or did not fall: such weights must not be answered with.
    """
    key = training_key(source, precision, examples, recipe, seed)
    folder = runs.cache_dir("training", key)
    checkpoints, target = folder / "checkpoints", folder / f"epoch-{recipe.epochs:03d}"
    with runs.locked(folder):
        if not (target / "training.json").exists():
            task = Task(source, precision, examples, recipe, seed, label, checkpoints, target, save_at_end=not longest)
            (run or fit)(task)
        if longest:
            shutil.rmtree(checkpoints, ignore_errors=True)
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


def fit(task: Task) -> None:
    """Do a task from its last whole checkpoint on, in this process or as one of several that share each batch.

    Several processes fill up an epoch's last batch with its first examples, where it is not full.
    Raises ValueError when the batch cannot be shared evenly, or must not be shared.
    """
    recipe, location = task.recipe, registry.resolve(task.source)
    tokenizer = AutoTokenizer.from_pretrained(location)
    dataset = Dataset.from_list([tokenize(tokenizer, example) for example in task.examples])
    dtype = registry.choose_precision(task.precision).dtype
    on_cpu = registry.device().type == "cpu"
    processes = PartialState(cpu=on_cpu)
    if recipe.batch_size % processes.num_processes:
        shared = f"batch_size {recipe.batch_size} cannot be shared by {processes.num_processes} processes"
        raise ValueError(f"{task.label}: {shared}; take a multiple, or fewer processes")
    sharing = max(processes.num_processes, torch.cuda.device_count())
    if recipe.conflicts == "projected" and sharing > 1:
        alone = f"conflicts projected compares all examples of a batch, and {sharing} processes or GPUs would share it"
        raise ValueError(f"{task.label}: {alone}; take one of each (CUDA_VISIBLE_DEVICES=0), or conflicts kept")
    transformers.set_seed(task.seed)
    model = AutoModelForCausalLM.from_pretrained(
        location, dtype=torch.float32 if recipe.method == "full" else dtype, use_safetensors=True
    )
    with processes.main_process_first():  # what the first one deletes, no other may choose
        checkpoint = last_whole_checkpoint(task.checkpoints, recipe.epochs, len(task.examples), recipe.batch_size)
    before = json.loads((checkpoint / "seconds.json").read_text()) if checkpoint else 0.0
    arguments = _arguments(recipe, task.seed, dtype, task.checkpoints, on_cpu, processes.num_processes)
    callbacks = [Checkpoints(task.save_at_end, before)]
    trainer = _trainer_class(recipe, on_cpu and arguments.world_size == 1)(
        model=model,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(recipe),
        callbacks=callbacks + ([Progress(task.label)] if arguments.process_index == 0 else []),
    )
    trainer.remove_callback(PrinterCallback)
    if len(trainer.train_dataset) != len(task.examples):
        dropped = len(task.examples) - len(trainer.train_dataset)
        raise RuntimeError(f"{task.label}: {dropped} examples were dropped by the trainer")
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.perf_counter() - started
    logged = [row for row in trainer.state.log_history if "loss" in row]
    log = [{name: row[name] for name in LOGGED if name in row} for row in logged]
    _gate(log, task.label)
    _export(trainer, task.target, log, _ledger(dataset, recipe, log, before + seconds))


def tokenize(tokenizer, example: Example) -> dict[str, list[int]]:
    """Token ids and labels of one example: the prompt's ids as at answering time, then the completion and its end."""
    prompt = tokenizer(example.prompt, add_special_tokens=False).input_ids
    completion = tokenizer(example.completion, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


def _trainer_class(recipe: Recipe, one_cpu_process: bool) -> type[SFTTrainer]:
    if recipe.conflicts == "projected":
        return ProjectingTrainer
    # GPUs and several processes keep TRL's own loss: its fused head is fast there and knows about several devices.
    return MaskedHeadTrainer if one_cpu_process else SFTTrainer


def _arguments(recipe: Recipe, seed: int, dtype: torch.dtype, folder: Path, on_cpu: bool, processes: int) -> SFTConfig:
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size // processes,
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


def lora_config(recipe: Recipe) -> LoraConfig | None:
    """The adapter that a recipe trains, as PEFT takes it; None for full weights."""
    if recipe.method == "full":
        return None
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        use_rslora=recipe.rslora,
        use_dora=recipe.dora,
        target_modules=TARGETS[recipe.target_modules],
        task_type="CAUSAL_LM",
    )


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
    # Sharded weights are gathered by all processes and written by the first.
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        trainer.model.save_pretrained(target, state_dict=weights)
        (target / "README.md").unlink(missing_ok=True)
        # Written last: its presence says that the weights beside it are whole.
        runs.write_json(target / "training.json", {"log": log, "ledger": ledger})
    trainer.accelerator.wait_for_everyone()
