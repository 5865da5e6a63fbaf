"""Inner products of gradients: what stacking them gives, and nothing that does not fit in memory."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from lib.analysis import conflict
from lib.corpus.load import load_corpus
from lib.studies import Recipe
from lib.training import gradients, sft
from lib.training.curves import measure_losses
from lib.training.gradients import Adapter, Measured, gram_matrices, group_parameters, measure
from lib.training.targets import encode, gradient_targets, token_losses

LORA = Recipe(data="uniform", rank=4, alpha=8, learning_rate=5e-3, epochs=4, batch_size=2)


@pytest.fixture(scope="module")
def target_sets(tiny):
    return gradient_targets(load_corpus("data/itr", test=4, dev=2, raft=2), tiny.tokenizer, 4)


@pytest.fixture(scope="module")
def rows(target_sets, tiny):
    return [encode(tiny.tokenizer, target) for target in target_sets["raw"]]


def adapted(tiny_model, *, moved=True):
    """The tiny model with an adapter; `moved` gives B weights too, as training does."""
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if moved and "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.fixture(scope="module")
def model(tiny_model):
    return adapted(tiny_model)


def stacked(model, rows):
    """All gradients in memory, (2n, parameters): value rows above style rows."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = []
    for half in (True, False):
        for row in rows:
            loss = token_losses(model, row)[row.is_value == half].sum()
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double())
    return torch.stack(found)


def gram(model, rows, budget_gib=1.0):
    return gram_matrices(model, rows, budget_gib=budget_gib, label="test")


def measured(plain, adam, n):
    return Measured([f"f{place}" for place in range(n)], plain.tolist(), adam.tolist(), 0.0)


def test_the_inner_products_are_those_of_stacked_gradients(model, rows):
    found, plain = gram(model, rows)[0], stacked(model, rows)
    torch.testing.assert_close(found, plain @ plain.T, rtol=1e-4, atol=1e-4)
    assert (found.diagonal() > 0).all()


def test_the_preconditioned_ones_are_divided_by_the_root_mean_square_of_whole_gradients(model, rows):
    plain = stacked(model, rows)
    whole = plain[: len(rows)] + plain[len(rows) :]
    scaled = plain / (whole.square().mean(0).sqrt() + 1e-8)
    torch.testing.assert_close(gram(model, rows)[1], scaled @ scaled.T, rtol=1e-3, atol=1e-1)


def test_a_lone_example_is_preconditioned_to_signs(model, rows):
    _, adam = gram(model, rows[:1])
    whole = stacked(model, rows[:1]).sum(0)
    # a coordinate far above epsilon becomes 1 or -1, so that the squared norm counts coordinates
    assert adam.sum().item() == pytest.approx((whole.abs() > 1e-6).sum().item(), rel=1e-2)


@pytest.mark.parametrize("groups", [2, 5, 100])
def test_the_number_of_passes_changes_nothing(model, rows, groups):
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    whole, parts = gram(model, rows), gram(model, rows, 4 * 2 * len(rows) * size / groups / 2**30)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


def test_what_is_held_at_a_time_keeps_to_the_budget(model, rows, monkeypatch):
    held, original = [], gradients._gradients

    def watched(*args):
        found = original(*args)
        held.append(sum(matrix.numel() * matrix.element_size() for matrix in found))
        return found

    monkeypatch.setattr(gradients, "_gradients", watched)
    budget = 4 * 2 * len(rows) * 2000
    gram(model, rows, budget / 2**30)
    assert len(held) > 2
    assert max(held) <= budget
    assert sum(held) == 4 * 2 * len(rows) * sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_groups_keep_the_order_and_a_parameter_too_large_stands_alone():
    sizes = [3, 4, 100, 1, 1]
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
    groups = group_parameters(parameters, 2, 8 * 7 / 2**30)
    assert [[p.numel() for p in group] for group in groups] == [[3, 4], [100], [1, 1]]


def test_value_and_style_gradients_add_up_to_the_example_s(model, rows):
    parameters = [p for p in model.parameters() if p.requires_grad]
    whole = []
    for row in rows:
        ids, answer = row.ids, row.is_value.numel()
        labels = torch.where(torch.arange(ids.shape[1]) >= ids.shape[1] - answer, ids, -100)
        loss = model(input_ids=ids, labels=labels).loss * answer
        whole.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double())
    whole = torch.stack(whole)
    found = conflict.inner_products(measured(*gram(model, rows), len(rows)), "answer")
    torch.testing.assert_close(torch.tensor(found), whole @ whole.T, rtol=1e-3, atol=1e-3)


def test_equal_examples_agree_wholly_and_an_example_unlearned_is_the_opposite(model, rows, monkeypatch):
    found = conflict.cosines(conflict.inner_products(measured(*gram(model, [rows[0], rows[0], rows[1]]), 3), "value"))
    assert found[0, 1] == pytest.approx(1, abs=1e-5)
    assert abs(found[0, 2]) < 0.999
    original = gradients.token_losses
    second = rows[0]._replace(ids=rows[0].ids.clone())
    monkeypatch.setattr(
        gradients, "token_losses", lambda model, row: original(model, row) * (-1 if row is second else 1)
    )
    for update in ("plain", "adam"):
        pair = measured(*gram(model, [rows[0], second]), 2)
        assert conflict.cosines(conflict.inner_products(pair, "answer", update))[0, 1] == pytest.approx(-1, abs=1e-5)
        assert conflict.alignment(conflict.inner_products(pair, "answer", update)) == pytest.approx(0, abs=1e-5)


def test_before_training_only_b_has_a_gradient(tiny_model, rows):
    model = adapted(tiny_model, moved=False)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    parts = torch.autograd.grad(token_losses(model, rows[0]).sum(), [p for p in model.parameters() if p.requires_grad])
    assert {name.split(".")[-3] for name, part in zip(names, parts, strict=True) if part.any()} == {"lora_B"}
    assert torch.isfinite(gram(model, rows)[1]).all()


@pytest.fixture
def trained(tiny_model, target_sets, empty_store):
    examples = [target.example for target in target_sets["uniform"]]
    return sft.train(str(tiny_model), "float32", examples, LORA, seed=0, label="test", longest=True)


def test_a_measurement_is_of_the_trained_adapter_and_never_done_twice(tiny_model, trained, target_sets, monkeypatch):
    adapter = Adapter(str(tiny_model), "float32", LORA, trained)
    found = measure(adapter, target_sets["uniform"], label="test")
    fresh = measure(adapter._replace(trained=None), target_sets["uniform"], label="test")
    assert found.facts == [target.example.fact_id for target in target_sets["uniform"]]
    assert found.plain != fresh.plain
    before, after = (measure_losses(one, target_sets["uniform"]) for one in (adapter._replace(trained=None), adapter))
    assert sum(row["style_loss"] for row in after) < sum(row["style_loss"] for row in before)

    def untouched(*args):
        raise AssertionError("what was measured must not be measured again")

    monkeypatch.setattr(Adapter, "load", untouched)
    assert measure(adapter, target_sets["uniform"], label="test") == found
    assert measure_losses(adapter, target_sets["uniform"]) == after
    with pytest.raises(AssertionError, match="must not"):
        measure(adapter, target_sets["raw"], label="test")


def test_an_untrained_adapter_is_the_same_each_time_and_changes_no_loss(tiny_model, tiny, target_sets, empty_store):
    fresh = Adapter(str(tiny_model), "float32", LORA, None)
    first, second = fresh.load().state_dict(), fresh.load().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for row, target in zip(measure_losses(fresh, target_sets["raw"]), target_sets["raw"], strict=True):
        encoded = encode(tiny.tokenizer, target)
        with torch.inference_mode():
            losses = token_losses(tiny.model, encoded)
        assert row["value_loss"] == pytest.approx(losses[encoded.is_value].mean().item(), rel=1e-4)
        assert row["style_loss"] == pytest.approx(losses[~encoded.is_value].mean().item(), rel=1e-4)
        for tokens, chosen in (("value", encoded.is_value), ("style", ~encoded.is_value)):
            sure = ((-losses[chosen]).exp() > 0.5).double().mean().item()
            assert row[f"{tokens}_sure"] == pytest.approx(sure)
