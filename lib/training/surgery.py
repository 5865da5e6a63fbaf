"""Gradients without conflict: each example's loses what opposes another's before a batch is added up (PCGrad).

Yu et al. 2020 (arXiv 2001.06782, algorithm 1) take tasks that last all training; here each example of a batch is a task of
its own, so that examples of different batches are never compared. Projected gradients are added up, as there, not averaged,
and an example's loss is the sum over its answer tokens by the answer tokens of the whole batch: where nothing conflicts,
the sum is the ordinary gradient. Gradients are projected before clipping and before Adam scales them.
"""

from collections.abc import Iterable

import numpy as np
import torch


def random_orders(n: int, seed: int, step: int) -> torch.Tensor:
    """For each of n examples all the others in a random order, (n, n - 1).

    They follow from seed and step alone: a resumed run needs no generator's state to draw them again.
    """
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.int64).reshape(n, n - 1)
    return torch.from_numpy(np.random.default_rng((seed, step)).permuted(others, axis=1))


def projection_weights(gram: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
    """Weights w, (n,), such that sum_j w_j g_j is the sum of the projected gradients.

    Example i starts with g_i' = g_i and meets the others j in its order: where g_i' . g_j < 0, g_i' becomes
    g_i' - (g_i' . g_j / |g_j|^2) g_j. Every g_i' is some sum_k c_ik g_k, and g_i' . g_j = sum_k c_ik G_kj, so that inner
    products are all it takes. All weights are 1 where no inner product is negative, and none is below 1.
    Args: gram (n, n) with G_ij = g_i . g_j; orders (n, n - 1), see `random_orders`. A gradient that vanishes opposes none.
    """
    n = len(gram)
    parts, each, squares = torch.eye(n, dtype=gram.dtype), torch.arange(n), gram.diagonal()
    for met in orders.T:
        products = (parts * gram[met]).sum(1)
        opposed = (products < 0) & (squares[met] > 0)
        parts[each[opposed], met[opposed]] -= products[opposed] / squares[met[opposed]]
    return parts.sum(0)


def conflict_share(gram: torch.Tensor) -> float:
    """The share of pairs of examples whose inner product is negative, in [0, 1]; 0 for one example, which has no pair."""
    n = len(gram)
    return (gram < 0).sum().item() / max(1, n * (n - 1))


def backward_projected(
    losses: Iterable[torch.Tensor], parameters: list[torch.nn.Parameter], seed: int, step: int
) -> tuple[torch.Tensor, float]:
    """Set each parameter's gradient to the sum of the projected gradients of the losses, one an example.

    One example's graph is held at a time, if `losses` computes them one by one, and all their gradients.
    Returns the sum of the losses, and the share of pairs in conflict.
    """
    total, gradients = torch.zeros(()), []
    for loss in losses:
        gradients.append(torch.autograd.grad(loss, parameters))
        total = total.to(loss.device) + loss.detach()
    n = len(gradients)
    gram = torch.zeros(n, n, dtype=torch.float64)
    for parts in zip(*gradients, strict=True):
        flat = torch.stack(parts).flatten(1)
        gram += (flat @ flat.T).double().cpu()
    weights = projection_weights(gram, random_orders(n, seed, step))
    for parameter, parts in zip(parameters, zip(*gradients, strict=True), strict=True):
        parameter.grad = torch.tensordot(weights.to(parts[0]), torch.stack(parts), dims=1)
    return total, conflict_share(gram)
