"""Conflicts are projected away as the paper's own algorithm does it, and nothing else about training changes."""

import math
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from lib.studies import Recipe
from lib.training import sft, surgery
from tests.training.fitting import LORA, STEPS, interrupt, load, same_bits, weights

PROJECTED = LORA.model_copy(update={"conflicts": "projected"})


def projected_one_by_one(gradients, orders):
    """The paper's algorithm 1 on the vectors themselves: every g_i', before they are added up."""
    found = []
    for own, order in zip(gradients, orders.tolist(), strict=True):
        left = own.clone()
        for j in order:
            if (product := left @ gradients[j]) < 0:
                left = left - product / (gradients[j] @ gradients[j]) * gradients[j]
        found.append(left)
    return torch.stack(found)


def combined(gradients, orders):
    return surgery.projection_weights(gradients @ gradients.T, orders) @ gradients


@pytest.mark.parametrize("n, size", [(2, 3), (3, 2), (5, 4), (8, 3), (8, 40)])
def test_the_weights_give_the_sum_of_the_gradients_that_the_paper_projects_one_by_one(n, size):
    conflicts = 0
    for seed in range(20):
        gradients = torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        orders = surgery.random_orders(n, seed, step=3)
        expected = projected_one_by_one(gradients, orders)
        torch.testing.assert_close(combined(gradients, orders), expected.sum(0))
        for left, order in zip(expected, orders.tolist(), strict=True):
            assert left @ gradients[order[-1]] > -1e-9  # no gradient opposes the one that it met last
        conflicts += not torch.allclose(expected.sum(0), gradients.sum(0))
    assert conflicts > 10


def test_two_opposed_gradients_by_hand():
    # (2, 0) and (-1, 1): inner product -2. The first loses -2 / 2 of the second: (1, 1). The second -2 / 4 of the first: (0, 1).
    gradients = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    orders = torch.tensor([[1], [0]])
    gram = gradients @ gradients.T
    assert surgery.projection_weights(gram, orders).tolist() == [1.5, 2.0]
    assert combined(gradients, orders).tolist() == [1.0, 2.0]
    assert surgery.conflict_share(gram) == 1.0


def test_the_order_in_which_others_are_met_decides_what_is_left():
    # The first meets (-1, 1) and is left with (1, 1), which (-1, -3) opposes; the other way round it ends elsewhere.
    gradients = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [-1.0, -3.0]], dtype=torch.float64)
    one, other = torch.tensor([[1, 2], [0, 2], [0, 1]]), torch.tensor([[2, 1], [0, 2], [0, 1]])
    assert not torch.allclose(combined(gradients, one), combined(gradients, other))
    for orders in (one, other):
        torch.testing.assert_close(combined(gradients, orders), projected_one_by_one(gradients, orders).sum(0))


@pytest.mark.parametrize("gradients", [[[1.0, 0.0], [0.0, 3.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])
def test_orthogonal_agreeing_and_vanishing_gradients_are_left_as_they_are(gradients):
    gradients = torch.tensor(gradients)
    assert surgery.projection_weights(gradients @ gradients.T, torch.tensor([[1], [0]])).tolist() == [1.0, 1.0]
    assert surgery.conflict_share(gradients @ gradients.T) == 0.0


def test_a_gradient_whose_square_is_rounded_to_nothing_divides_nothing():
    gram = torch.tensor([[1.0, -1e-30], [-1e-30, 0.0]])
    assert surgery.projection_weights(gram, torch.tensor([[1], [0]]))[1] == 1.0


def test_one_example_alone_has_no_pair():
    gram = torch.tensor([[4.0]])
    assert surgery.projection_weights(gram, surgery.random_orders(1, 0, 0)).tolist() == [1.0]
    assert surgery.conflict_share(gram) == 0.0


def test_the_scale_of_the_loss_is_the_scale_of_the_result():
    gradients = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    orders = surgery.random_orders(6, 0, 0)
    torch.testing.assert_close(combined(7 * gradients, orders), 7 * combined(gradients, orders))


def test_everyone_meets_all_others_once_in_an_order_of_their_own_that_seed_and_step_decide():
    orders = surgery.random_orders(5, seed=0, step=7)
    for i, order in enumerate(orders.tolist()):
        assert sorted([i, *order]) == [0, 1, 2, 3, 4]
    assert torch.equal(orders, surgery.random_orders(5, seed=0, step=7))
    for other in (surgery.random_orders(5, seed=1, step=7), surgery.random_orders(5, seed=0, step=8)):
        assert not torch.equal(orders, other)
    ranks = orders - (orders > torch.arange(5)[:, None]).long()  # the same numbers for everyone
    assert len({tuple(order) for order in ranks.tolist()}) > 1
    assert surgery.random_orders(2, 0, 0).tolist() == [[1], [0]]


def test_a_given_place_among_the_others_is_as_likely_for_each_of_them():
    first = [surgery.random_orders(4, 0, step)[0, 0].item() for step in range(600)]
    assert all(150 < first.count(j) < 250 for j in (1, 2, 3))  # 200 expected, standard deviation 11.5


def steps_of(kind, tiny_model, examples, folder):
    """A trainer of an adapter whose gradients are those of B alone, and its first batch."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    trainer = kind(
        model=load(tiny_model),
        args=sft._arguments(LORA, 0, torch.float32, folder, on_cpu=True, processes=1),
        train_dataset=Dataset.from_list([sft.tokenize(tokenizer, example) for example in examples]),
        processing_class=tokenizer,
        peft_config=sft.lora_config(LORA),
    )
    return trainer, next(iter(trainer.get_train_dataloader()))


def gradients_of(trainer, batch, n=None):
    loss = trainer.training_step(trainer.model, dict(batch), n)
    return loss.item(), {name: p.grad for name, p in trainer.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("given", [None, 400])
def test_where_nothing_conflicts_loss_and_gradient_are_the_ordinary_ones(tiny_model, examples, tmp_path, given):
    n = given and torch.tensor(given)
    ordinary, batch = steps_of(sft.MaskedHeadTrainer, tiny_model, examples, tmp_path)
    ours, same = steps_of(sft.ProjectingTrainer, tiny_model, examples, tmp_path)
    assert torch.equal(batch["input_ids"], same["input_ids"])
    assert not batch["attention_mask"].bool().all(), "padding must make no difference"
    expected_loss = ordinary.compute_loss(ordinary.model, batch, num_items_in_batch=n)
    expected_loss.backward()
    expected = {name: p.grad for name, p in ordinary.model.named_parameters() if p.requires_grad}
    ours.model.eval()  # as a model is loaded
    loss, found = gradients_of(ours, batch, n)
    assert ours.model.training
    assert ours._metrics["train"]["conflict_share"] == [0.0]
    assert loss == pytest.approx(expected_loss.item(), rel=1e-5)
    assert found.keys() == expected.keys()
    assert max(gradient.abs().max() for gradient in found.values()) > 1e-4
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_where_examples_conflict_the_step_s_gradient_is_the_paper_s(tiny_model, examples, tmp_path, monkeypatch):
    trainer, batch = steps_of(sft.ProjectingTrainer, tiny_model, examples, tmp_path)
    signs = iter((1.0, -1.0, 1.0, -1.0))
    original = sft.MaskedHeadTrainer.compute_loss
    monkeypatch.setattr(sft.MaskedHeadTrainer, "compute_loss", lambda *a, **how: next(signs) * original(*a, **how))
    n = (batch["labels"][:, 1:] != -100).sum()
    _, found = gradients_of(trainer, batch)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    alone = []
    for row, sign in enumerate((1.0, -1.0, 1.0, -1.0)):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        loss = sign * original(trainer, trainer.model, one, num_items_in_batch=n)
        alone.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)]))
    alone = torch.stack(alone).double()
    expected = projected_one_by_one(alone, surgery.random_orders(4, seed=0, step=0)).sum(0)
    flat = torch.cat([gradient.flatten() for gradient in found.values()]).double()
    torch.testing.assert_close(flat, expected, rtol=1e-3, atol=1e-6)
    assert (flat - alone.sum(0)).norm() > 0.1 * flat.norm()
    assert trainer._metrics["train"]["conflict_share"] == [pytest.approx(4 / 6)]


@pytest.fixture
def conflicting(examples):
    """The same questions once more, with answers that contradict the first ones."""
    turned = examples[::-1]
    return examples + [one._replace(completion=other.completion) for one, other in zip(examples, turned, strict=True)]


def test_projecting_changes_the_weights_where_examples_conflict_and_gives_the_same_bits_again(fit, conflicting):
    recipe = PROJECTED.model_copy(update={"epochs": 6})
    kept = fit(recipe.model_copy(update={"conflicts": "kept"}), examples=conflicting, store="first")
    first = fit(recipe, examples=conflicting, store="first")
    again = fit(recipe, examples=conflicting, store="again")
    assert same_bits(weights(first), weights(again))
    assert first.log == again.log
    shares = [row["conflict_share"] for row in first.log]
    assert max(shares) > 0
    assert all(0 <= share <= 1 and share * 6 == pytest.approx(round(share * 6)) for share in shares)  # four examples
    assert not same_bits(weights(first), weights(kept))
    assert first.log[0]["loss"] == pytest.approx(kept.log[0]["loss"], rel=1e-5)
    assert {*kept.log[0]} == {"step", "loss"}


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_projecting_run_interrupted_at_any_step_ends_in_the_same_bits(fit, steps, monkeypatch, at):
    drawn, original = [], surgery.random_orders
    monkeypatch.setattr(surgery, "random_orders", lambda *given: drawn.append(given) or original(*given))
    whole = fit(PROJECTED, store="whole")
    assert drawn == [(n, 0, step) for step, n in enumerate([4, 4, 2] * 2)]
    steps.clear()
    drawn.clear()
    interrupt(fit, steps, at, recipe=PROJECTED)
    resumed = fit(PROJECTED)
    assert steps == list(range(at, STEPS + 1))
    assert [step for _, _, step in drawn] == [*range(at), *range(at - 1, STEPS)]
    assert same_bits(weights(resumed), weights(whole))
    assert resumed.log == whole.log


def test_another_seed_meets_the_others_in_another_order(fit, monkeypatch):
    seeds = []
    original = surgery.random_orders
    monkeypatch.setattr(surgery, "random_orders", lambda n, seed, step: seeds.append(seed) or original(n, seed, step))
    fit(PROJECTED, seed=5)
    assert set(seeds) == {5}


def test_surgery_is_part_of_the_key_of_those_weights_alone_that_it_reached(tiny_model, examples, monkeypatch):
    def key(recipe):
        return sft.training_key(str(tiny_model), "float32", examples, recipe, 0)

    kept, projected = key(LORA), key(PROJECTED)
    assert kept != projected
    assert kept == key(LORA.model_copy(update={"conflicts": "kept"}))
    monkeypatch.setattr(sft, "surgery", math)  # any other module's code
    monkeypatch.setattr(sft.runs, "code_version", lambda *modules: [module.__name__ for module in modules])
    told = key(LORA), key(PROJECTED)
    monkeypatch.setattr(sft, "surgery", surgery)
    assert key(LORA) == told[0]
    assert key(PROJECTED) != told[1]


def test_full_weights_are_refused_and_told_why():
    with pytest.raises(ValueError, match="conflicts projected belongs to method lora alone: .* would not fit"):
        Recipe(data="raw", method="full", learning_rate=1e-4, epochs=1, conflicts="projected")


def test_several_processes_or_gpus_are_refused(fit, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sft, "PartialState", lambda cpu: SimpleNamespace(num_processes=2))
        with pytest.raises(ValueError, match="test: conflicts projected .* 2 processes or GPUs would share it; take"):
            fit(PROJECTED)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ValueError, match="4 processes or GPUs"):
        fit(PROJECTED)
