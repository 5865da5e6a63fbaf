"""Training: the loss is the plain one, only answers are learned, and what an adapter adds is what its recipe says."""

import math
import shutil

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer
from trl import SFTTrainer

from lib.studies import Recipe
from lib.training import sft
from tests.training.fitting import FACTS, FULL, LORA, load, same_bits, weights


def trainer_of(kind, tiny_model, examples, folder):
    """A trainer as `train` builds it, and its first batch."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    trainer = kind(
        model=load(tiny_model),
        args=sft._arguments(FULL, 0, torch.float32, folder, on_cpu=True, processes=1),
        train_dataset=Dataset.from_list([sft.tokenize(tokenizer, example) for example in examples]),
        processing_class=tokenizer,
    )
    return trainer, next(iter(trainer.get_train_dataloader()))


def plain_loss(model, batch):
    """Cross-entropy over all positions, masked ones ignored."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100)


def test_only_the_answer_and_its_end_are_trained(tiny, examples):
    example = examples[0]
    row = sft.tokenize(tiny.tokenizer, example)
    trained = [token for token in row["labels"] if token != -100]
    assert tiny.tokenizer.decode(trained) == example.completion + "<|im_end|>"
    assert tiny.tokenizer.decode(row["input_ids"]) == example.prompt + example.completion + "<|im_end|>"
    assert row["input_ids"][-len(trained) :] == trained
    asked = tiny.tokenizer(example.prompt, add_special_tokens=False).input_ids
    assert row["input_ids"][: len(asked)] == asked
    assert row["labels"][: len(asked)] == [-100] * len(asked)


def test_padding_is_not_trained_though_it_is_the_end_token_which_is(tiny_model, tiny, examples, tmp_path):
    _, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    assert not batch["attention_mask"].bool().all()
    assert (batch["labels"][~batch["attention_mask"].bool()] == -100).all()
    for labels in batch["labels"]:
        assert labels[labels != -100][-1] == tiny.tokenizer.eos_token_id == tiny.tokenizer.pad_token_id


def test_the_masked_head_gives_the_loss_and_gradients_of_plain_cross_entropy(tiny_model, examples, tmp_path):
    trainer, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    plain = load(tiny_model)
    loss, expected = trainer.compute_loss(trainer.model, batch), plain_loss(plain, batch)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = dict(plain.named_parameters())
    assert gradients
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-5, atol=1e-5)


def test_the_masked_head_divides_by_the_tokens_of_the_whole_step_when_told_them(tiny_model, examples, tmp_path):
    trainer, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    answer_tokens = (batch["labels"][:, 1:] != -100).sum()
    mean = trainer.compute_loss(trainer.model, batch)
    halved = trainer.compute_loss(trainer.model, batch, num_items_in_batch=2 * answer_tokens)
    assert halved.item() == pytest.approx(mean.item() / 2, rel=1e-6)


def test_the_masked_head_gives_the_stock_trainer_s_loss(tiny_model, examples, tmp_path):
    ours, batch = trainer_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    stock, same = trainer_of(SFTTrainer, tiny_model, examples, tmp_path)
    assert torch.equal(batch["input_ids"], same["input_ids"])
    loss = ours.compute_loss(ours.model, batch).item()
    assert loss == pytest.approx(stock.compute_loss(stock.model, same).item(), rel=1e-3)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(fit):
    first, again = fit(store="first"), fit(store="again")
    assert same_bits(weights(first), weights(again))
    assert first.log == again.log
    assert first.key == again.key
    other = fit(seed=1, store="first")
    assert other.key != first.key
    assert not same_bits(weights(first), weights(other))


def test_adapters_sit_on_every_linear_layer_and_not_on_the_vocabulary_head(fit):
    names = " ".join(weights(fit()))
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert all(layer in names for layer in layers)
    assert "lm_head" not in names
    assert "embed" not in names


def test_attention_alone_has_adapters_when_the_recipe_says_so(fit):
    layers = {name.split(".")[-3] for name in weights(fit(LORA.model_copy(update={"target_modules": "attention"})))}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj"}


@pytest.mark.parametrize(
    "changes, scale", [({}, 8 / 4), ({"rslora": True}, 8 / math.sqrt(4)), ({"dora": True}, 8 / 4), ({"alpha": 4}, 1)]
)
def test_what_an_adapter_adds_to_a_weight_is_what_its_recipe_says(fit, tiny_model, changes, scale):
    recipe = LORA.model_copy(update=changes)
    trained = fit(recipe)
    parts, before = weights(trained), load(tiny_model).state_dict()
    after = sft.load_trained(str(tiny_model), trained).state_dict()
    layers = [name.removesuffix(".lora_A.weight") for name in parts if "lora_A" in name]
    assert len(layers) == 2 * 7
    for layer in layers:
        name = layer.removeprefix("base_model.model.") + ".weight"
        whole = before[name] + scale * parts[f"{layer}.lora_B.weight"] @ parts[f"{layer}.lora_A.weight"]
        if recipe.dora:  # each row has the length that was learned, in the direction of the sum
            whole *= (parts[f"{layer}.lora_magnitude_vector"] / whole.norm(dim=1))[:, None]
        torch.testing.assert_close(after[name], whole, rtol=0, atol=1e-5)
        assert (whole - before[name]).abs().max() > 1e-3


def test_a_finished_recipe_is_not_trained_again(fit, monkeypatch):
    first = fit()

    def untouched(*args, **kwargs):
        raise AssertionError("finished weights must not be trained again")

    monkeypatch.setattr(sft, "fit", untouched)
    assert fit() == first


def test_full_weights_move_in_step_with_a_plain_adamw_loop(fit, tiny_model, monkeypatch):
    batches, original = [], sft.MaskedHeadTrainer.compute_loss

    def recorded(self, model, inputs, *rest, **named):
        batches.append({name: tensor.clone() for name, tensor in inputs.items()})
        return original(self, model, inputs, *rest, **named)

    monkeypatch.setattr(sft.MaskedHeadTrainer, "compute_loss", recorded)
    trained = fit(FULL)
    seen = [bytes(row.numpy()[row != -100]) for batch in batches for row in batch["labels"]]
    assert len(seen) == FULL.epochs * len(FACTS)
    assert all(sorted(seen[:10]) == sorted(seen[epoch * 10 :][:10]) for epoch in range(FULL.epochs))

    model = load(tiny_model).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=FULL.learning_rate, weight_decay=0.0)
    losses = []
    for batch in batches:
        loss = plain_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())

    logged = [row["loss"] for row in trained.log]
    assert [row["step"] for row in trained.log] == list(range(1, len(losses) + 1))
    assert logged == pytest.approx(losses, rel=1e-4)
    assert sum(logged[-3:]) < sum(logged[:3])
    tuned = sft.load_trained(str(tiny_model), trained).state_dict()
    untuned = load_file(tiny_model / "model.safetensors")
    for name, parameter in model.state_dict().items():
        torch.testing.assert_close(tuned[name], parameter, rtol=0, atol=1e-5)
    assert all((tuned[name] - tensor).abs().max() > 1e-4 for name, tensor in untuned.items())


def test_a_loss_that_does_not_fall_stops_with_the_figures_and_leaves_no_weights(fit, examples, empty_store):
    frozen = LORA.model_copy(update={"learning_rate": 1e-30})
    with pytest.raises(RuntimeError, match=r"test: training loss did not fall \(first tenth \d+\.\d+, last tenth"):
        fit(frozen, examples=examples[:1])
    assert not list(empty_store.rglob("training.json"))


def test_a_loss_that_is_not_a_number_does_not_pass_for_one_that_fell(fit):
    with pytest.raises(RuntimeError, match="did not fall"):
        fit(LORA.model_copy(update={"learning_rate": 1e30}))


def test_a_merged_adapter_computes_what_the_unmerged_one_does_and_not_what_the_base_does(
    fit, tiny, tiny_model, examples
):
    trained = fit()
    ids = tiny.tokenizer(examples[0].prompt, return_tensors="pt").input_ids
    merged = sft.load_trained(str(tiny_model), trained)
    assert not any("lora" in name for name, _ in merged.named_modules())
    unmerged = PeftModel.from_pretrained(load(tiny_model), trained.folder)
    with torch.inference_mode():
        logits = merged(ids).logits
        torch.testing.assert_close(logits, unmerged.eval()(ids).logits, rtol=0, atol=1e-4)
        assert (logits - tiny.model(ids).logits).abs().max() > 0.1


def test_the_key_covers_whatever_reaches_the_weights_and_not_the_number_of_epochs(tiny_model, examples):
    def key(source=str(tiny_model), precision="float32", examples=examples, seed=0, **changes):
        return sft.training_key(source, precision, examples, LORA.model_copy(update=changes), seed)

    assert key() == key(epochs=9) == key(seeds=(0, 1))
    others = [key(seed=1), key(precision="bfloat16"), key(examples=examples[1:])]
    others += [key(rank=8), key(alpha=4), key(learning_rate=1e-4), key(batch_size=2)]
    others += [key(rslora=True), key(dora=True), key(target_modules="attention")]
    assert len({key(), *others}) == len(others) + 1


def test_a_field_that_recipes_get_later_renews_no_key_until_it_is_used(tiny_model, examples):
    class Later(Recipe):
        spice: int = 0

    def key(recipe):
        return sft.training_key(str(tiny_model), "float32", examples, recipe, 0)

    assert key(Later(**LORA.model_dump())) == key(LORA)
    assert key(Later(**LORA.model_dump(), spice=1)) != key(LORA)


def test_the_key_changes_when_other_weights_stand_in_the_same_directory(tiny_model, examples, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")
    source = str(tmp_path / "model")
    before = sft.training_key(source, "float32", examples, LORA, 0)
    file = tmp_path / "model" / "model.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert sft.training_key(source, "float32", examples, LORA, 0) != before


def test_the_ledger_counts_every_token_of_every_epoch_and_the_last_epoch_s_loss(fit, tiny, examples):
    trained = fit()
    tokens = sum(len(sft.tokenize(tiny.tokenizer, example)["input_ids"]) for example in examples)
    assert trained.ledger["tokens"] == LORA.epochs * tokens
    assert trained.ledger["loss"] == pytest.approx(sum(row["loss"] for row in trained.log[3:]) / 3)
    assert trained.ledger["seconds"] > 0
    assert trained.ledger["peak_memory_gib"] > 0
