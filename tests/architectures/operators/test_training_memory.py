"""Memory of training: tensors are made, saved and counted."""

from __future__ import annotations

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators import (
    low_rank_parameters,
    memory_in_training,
    poet_parameters,
    sampled_activations,
    to_experts,
)
from recallscope.architectures.specification import specification

D, F = 32, 48
LAYERS = ({"mixer": "attention", "heads": 4}, {"mixer": "retention", "heads": 2})
CONFIG = ModelConfig(40, D, LAYERS, F)
BASE = specification(Architecture("test", CONFIG))
CONSTANTS = {"trained_bytes": 16.0, "unit_bytes": 20.0, "score_bytes": 3.0, "score_heads": 4}


def test_sixteen_bytes_a_parameter_against_the_tensors_of_adam():
    model = LanguageModel(CONFIG).bfloat16()
    master = [p.detach().float().requires_grad_() for p in model.parameters()]
    optimiser = torch.optim.Adam(master)
    for p, m in zip(model.parameters(), master, strict=True):
        p.grad, m.grad = torch.zeros_like(p), torch.zeros_like(m)
    optimiser.step()
    moments = [s for one in optimiser.state.values() for s in (one["exp_avg"], one["exp_avg_sq"])]
    tensors = [*model.parameters(), *(p.grad for p in model.parameters()), *master, *moments]
    held = sum(x.numel() * x.element_size() for x in tensors if x is not None)
    assert memory_in_training(BASE, 1, 1, **CONSTANTS).trained == held


def test_activations_by_hand():
    found = memory_in_training(BASE, 100, 3, **CONSTANTS)
    assert found.activations == 3 * 100 * D * 2 * 20
    assert found.scores == 3 * 100 * 100 * 4 * 3
    assert found.frozen == 0
    assert found.total() == found.trained + found.activations + found.scores


def test_the_form_of_a_stack_of_equal_layers():
    """T B D L (34 + 5 H T / D), the figures of Korthikanti et al. for 16 bits without flash kernels."""
    base = specification(Architecture("equal", ModelConfig(40, D, (LAYERS[0],) * 6, F)))
    constants = CONSTANTS | {"unit_bytes": 34.0, "score_bytes": 5.0, "score_heads": 4 * 6}
    found = memory_in_training(base, 64, 2, **constants)
    assert found.activations + found.scores == 64 * 2 * D * 6 * (34 + 5 * 4 * 64 / D)


def test_a_frozen_model_with_trained_updates():
    rank = low_rank_parameters(BASE, 4)
    found = memory_in_training(BASE, 1, 1, **CONSTANTS, trained=rank)
    assert (found.frozen, found.trained) == (2 * BASE.parameters(), 16 * rank)


def test_low_rank_updates_against_layers():
    shapes = [p.shape for n, p in LanguageModel(CONFIG).named_parameters() if p.ndim == 2 and "blocks" in n]
    factors = [torch.empty(m, 4).numel() + torch.empty(4, n).numel() for m, n in shapes if min(m, n) > 1]
    assert low_rank_parameters(BASE, 4) == sum(factors)
    experts = to_experts(BASE, 3, 1)
    assert low_rank_parameters(experts, 2, "ffn.experts") == 2 * 3 * 2 * (2 * F + D + D + F)


@pytest.mark.parametrize("block", [1, 4, 16])
def test_orthogonal_blocks_against_matrices(block):
    """Free values of skew-symmetric blocks, whose Cayley transforms are orthogonal."""
    total = 0
    for rows, columns, count in ((2 * F, D, 2), (D, F, 2)):
        for size in (rows, columns):
            free = torch.randn(size // block, block * (block - 1) // 2, dtype=torch.float64)
            q = torch.zeros(size // block, block, block, dtype=torch.float64)
            upper = torch.triu_indices(block, block, 1)
            q[:, upper[0], upper[1]], q[:, upper[1], upper[0]] = free, -free
            eye = torch.eye(block, dtype=torch.float64)
            r = (eye + q) @ torch.linalg.inv(eye - q)
            assert torch.allclose(r @ r.mT, eye.expand_as(r), atol=1e-10)
            total += count * free.numel()
    assert poet_parameters(BASE, block, "ffn") == total


class Sampled(torch.autograd.Function):
    """A linear layer that keeps k of M rows of its input for the gradient of its weight."""

    @staticmethod
    def forward(ctx, x, w, kept):
        ctx.save_for_backward(x[:kept], w)
        return x @ w.T


def test_sampled_activations_against_what_is_saved():
    x, w = torch.randn(40, D), torch.randn(F, D, requires_grad=True)

    def saved(run) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            run()
        return sum(size for size in sizes if size != w.numel())

    def rest(y):  # saves all of its input
        return torch.tanh(y.detach().requires_grad_())

    y = torch.randn(40, D)
    plain = saved(lambda: (x @ w.T, rest(y)))
    sampled = saved(lambda: (Sampled.apply(x, w, 10), rest(y)))
    memory = memory_in_training(BASE, 1, 1, **CONSTANTS)
    found = sampled_activations(memory, 10 / 40, 0.5)
    assert plain == 2 * 40 * D
    assert found.activations / memory.activations == sampled / plain
    assert found.scores == memory.scores and found.trained == memory.trained
    assert sampled_activations(memory, 1, 0.5) == memory


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: poet_parameters(BASE, 5, "ffn"), "block: poet_parameters needs a divisor"),
        (lambda: poet_parameters(BASE, 0), "block: an integer of at least 1"),
        (lambda: low_rank_parameters(BASE, 0), "rank: an integer of at least 1"),
        (lambda: sampled_activations(memory_in_training(BASE, 1, 1, **CONSTANTS), 0, 0.5), "kept: above 0"),
        (lambda: sampled_activations(memory_in_training(BASE, 1, 1, **CONSTANTS), 1, 2), "share: between 0 and 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_constants_have_to_be_given():
    with pytest.raises(TypeError, match="trained_bytes"):
        memory_in_training(BASE, 1, 1)  # type: ignore[call-arg]
