"""Projected networks and low-rank changes against what they must equal."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.budgets import ProjectedModel, merged, with_low_rank
from recallscope.budgets.models.projected import Projection
from torch.nn import functional as F

CONFIG = ModelConfig(32, 8, ({"mixer": "attention", "heads": 2},) * 2, 12, context=16)
IDS = torch.randint(0, 32, (3, 16), generator=torch.Generator().manual_seed(0))


M = TypeVar("M", bound=torch.nn.Module)


def stirred(model: M, seed: int = 0) -> M:
    """No weight is zero, as some are at the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model


def hard_mixture(clusters: int) -> tuple[ProjectedModel, list[LanguageModel]]:
    """Independent feed-forward layers on shared other weights, and the projected network that must be the same."""
    shared = stirred(LanguageModel(CONFIG))
    experts = [LanguageModel(CONFIG) for _ in range(clusters)]
    projected = ProjectedModel(CONFIG, clusters, h=clusters, m=clusters)
    projected.shared.load_state_dict(shared.state_dict(), strict=False)
    with torch.no_grad():
        projected.experts.copy_(torch.eye(clusters))
        for i, expert in enumerate(experts):
            expert.load_state_dict(shared.state_dict())
            for block, projection in zip(expert.blocks, projected.projections, strict=True):
                stirred(block.ffn, 7 + i)  # type: ignore[arg-type]
                projection.mix.copy_(torch.eye(clusters))  # type: ignore[operator]
                projection.up[:, i] = block.ffn.up.weight.flatten()  # type: ignore[index, union-attr, operator]
                projection.down[:, i] = block.ffn.down.weight.flatten()  # type: ignore[index, union-attr, operator]
    return projected, experts


def test_with_identities_the_projected_network_is_the_hard_mixture_bit_by_bit():
    projected, experts = hard_mixture(3)
    outputs = [projected(IDS, i) for i in range(3)]
    for i, expert in enumerate(experts):
        assert torch.equal(outputs[i], expert(IDS))
        own, other = projected.instantiate(i).state_dict(), expert.state_dict()
        assert all(torch.equal(own[name], other[name]) for name in other)
    assert not torch.equal(outputs[0], outputs[1])


def test_with_identities_a_batch_trains_its_expert_alone_and_with_the_experts_gradient():
    projected, experts = hard_mixture(3)
    targets = IDS.roll(1, 0)
    for model, logits in ((projected, projected(IDS, 1)), (experts[1], experts[1](IDS))):
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        assert model
    for projection, block in zip(projected.projections, experts[1].blocks, strict=True):
        for name in ("up", "down"):
            found = getattr(projection, name).grad
            torch.testing.assert_close(
                found[:, 1], getattr(block.ffn, name).weight.grad.flatten(), rtol=1e-5, atol=1e-7
            )
            assert not found[:, [0, 2]].any()


def test_the_matrices_are_the_sums_of_the_paper_written_out():
    model = stirred(ProjectedModel(CONFIG, 4, h=3, m=5)).double()
    e, first = model.experts[2], model.projections[0]
    assert isinstance(first, Projection)
    m, t = first.mix, first.up
    total = torch.zeros(t.shape[0], dtype=torch.float64)
    for q in range(5):
        for r in range(3):
            total += e[q] * m[q, r] * t[:, r]
    up, down = first.matrices(e)
    torch.testing.assert_close(up.flatten(), total)
    assert up.shape == (24, 8) and down.shape == (8, 12)


def test_an_instantiated_expert_is_the_projected_network_on_its_cluster():
    model = stirred(ProjectedModel(CONFIG, 4, h=2, m=3)).double()
    expert = model.instantiate(3).double()
    torch.testing.assert_close(expert(IDS), model(IDS, 3), rtol=1e-6, atol=1e-6)  # instantiate copies into float32


def test_low_rank_changes_start_at_the_model_and_rank_0_stays_there():
    base = stirred(LanguageModel(CONFIG))
    for rank in (0, 3):
        changed = with_low_rank(base, rank)
        assert torch.equal(changed(IDS), base(IDS))
        trained = sum(p.numel() for p in changed.parameters() if p.requires_grad)
        assert trained == 2 * rank * ((8 + 24) + (8 + 8) + (8 + 24) + (12 + 8))
    assert all(p.requires_grad for p in base.parameters())


def test_merged_low_rank_changes_are_the_same_model_in_its_own_shape():
    base = stirred(LanguageModel(CONFIG)).double()
    changed = with_low_rank(base, 2).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in changed.parameters():
            if p.requires_grad:
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    model = merged(changed)
    torch.testing.assert_close(model(IDS), changed(IDS), rtol=1e-12, atol=1e-12)
    assert {n: p.shape for n, p in model.named_parameters()} == {n: p.shape for n, p in base.named_parameters()}
    assert not torch.allclose(model(IDS), base(IDS))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ProjectedModel(CONFIG, 0, 1, 1), "clusters, h, m: at least 1, got 0, 1 and 1"),
        (
            lambda: ProjectedModel(ModelConfig(32, 8, ({"mixer": "attention", "heads": 2},), 0), 2, 1, 1),
            "config: SwiGLU",
        ),
        (lambda: with_low_rank(LanguageModel(CONFIG), -1), "rank: at least 0, got -1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
