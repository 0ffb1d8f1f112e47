"""What each method declares of its training FLOPs and parameters is what is counted on the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.model import LanguageModel
from recallscope.budgets import ProjectedModel, with_low_rank
from recallscope.budgets.flops import (
    forward_flops,
    low_rank_parameters,
    low_rank_step_flops,
    projected_parameters,
    projected_step_flops,
    step_flops,
)
from recallscope.budgets.protocol import Protocol
from recallscope.budgets.training import Loss, distilled, next_token

CONFIGS = [
    ModelConfig(64, 8, ({"mixer": "attention", "heads": 2},) * 2, 12, context=16),
    ModelConfig(
        50, 12, ({"mixer": "attention", "heads": 3, "kv_heads": 1}, {"mixer": "attention", "heads": 2}), 20, context=24
    ),
    Protocol().small,
]


def counted(config: ModelConfig, batch: int, loss: Loss) -> int:
    ids = torch.randint(0, config.vocabulary, (batch, config.context), generator=torch.Generator().manual_seed(0))
    with count_flops() as found:
        loss(ids, ids.flip(1)).backward()
    return found.flops


@pytest.mark.parametrize("config", CONFIGS, ids=["two layers", "unlike layers", "as trained"])
def test_declared_training_flops_are_the_counted_ones(config):
    model = LanguageModel(config)
    assert counted(config, 3, next_token(model)) == step_flops(config, 3)
    projected = ProjectedModel(config, 3, 2, 5)
    assert counted(config, 3, next_token(lambda ids: projected(ids, 1))) == projected_step_flops(config, 3, 2, 5)
    for rank in (1, 4):
        changed = with_low_rank(model, rank)
        assert counted(config, 3, next_token(changed)) == low_rank_step_flops(config, 3, rank)
    wide = replace(config, width=24, layers=config.layers[:1])
    taught = counted(config, 3, distilled(model, LanguageModel(wide)))
    assert taught == step_flops(config, 3) + forward_flops(wide, 3)


@pytest.mark.parametrize("config", CONFIGS, ids=["two layers", "unlike layers", "as trained"])
def test_declared_parameters_are_the_counted_ones(config):
    projected = ProjectedModel(config, 7, 3, 5)
    assert sum(p.numel() for p in projected.parameters()) == projected_parameters(config, 7, 3, 5)
    changed = with_low_rank(LanguageModel(config), 4)
    assert sum(p.numel() for p in changed.parameters() if p.requires_grad) == low_rank_parameters(config, 4)


def test_costs_of_low_rank_changes_need_attention_and_swiglu():
    with pytest.raises(ValueError, match="attention without gate and SwiGLU"):
        low_rank_step_flops(ModelConfig(64, 8, ({"mixer": "hyena"},), 12, context=16), 2, 1)
