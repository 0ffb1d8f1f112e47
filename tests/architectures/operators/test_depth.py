"""Depth: models are cut and shared for real, layers are counted one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators import (
    drop_layers,
    early_exit,
    elasticity,
    expected_exit_flops,
    low_rank,
    mixture_of_depths,
    prune,
    quantise,
    share_layers,
)
from recallscope.architectures.specification import specification

D, F = 32, 48
ATTENTION, RETENTION = {"mixer": "attention", "heads": 2}, {"mixer": "retention", "heads": 2}
CONFIG = ModelConfig(40, D, (ATTENTION, RETENTION) * 2, F)
BASE = specification(Architecture("test", CONFIG))
IDS = torch.zeros(2, 7, dtype=torch.long)


def counted(model: LanguageModel) -> tuple[int, int]:
    with torch.no_grad(), count_flops() as count:
        model.prefill(IDS)
    return sum(p.numel() for p in model.parameters()), count.flops


@pytest.mark.parametrize("layers", [1, 3])
def test_an_early_exit_against_a_model_that_is_cut(layers):
    model = LanguageModel(CONFIG)
    model.blocks = model.blocks[:layers]
    operand = early_exit(quantise(BASE, 4), layers)
    assert (operand.parameters(), operand.prefill_flops(7, 2)) == counted(model)
    assert {w.bits for w in operand.weights if w.name.startswith(("mixer", "ffn"))} == {4}
    assert operand.applied == ("quantise(bits=4)", f"early_exit(layers={layers})")


def test_an_exit_costs_its_share_of_equal_layers():
    base = specification(Architecture("equal", replace(CONFIG, layers=(ATTENTION,) * 8)))
    head = specification(Architecture("head", replace(CONFIG, layers=())))
    for method in ("decode_flops", "decode_bytes", "state_bytes"):
        whole, rest, part = (getattr(one, method)(100) for one in (base, head, early_exit(base, 2)))
        assert part - rest == pytest.approx((whole - rest) / 4)


def test_dropped_layers_against_a_model_without_them():
    model = LanguageModel(CONFIG)
    del model.blocks[1]
    operand = drop_layers(BASE, [1])
    assert (operand.parameters(), operand.prefill_flops(7, 2)) == counted(model)
    assert operand.applied == ("drop_layers(layers=[1])",)


def test_what_changes_nothing_gives_the_model_back():
    assert early_exit(BASE, 4) is BASE
    assert drop_layers(BASE, []) is BASE
    assert share_layers(BASE, 4) is BASE


def test_expected_exits_against_a_run_of_tokens():
    generator, shares = torch.Generator().manual_seed(0), {1: 0.25, 2: 0.5, 4: 0.25}
    total, draws = 0.0, 2000
    per_layer = [
        specification(Architecture("one", replace(CONFIG, vocabulary=0, layers=(layer,)))).decode_flops(9)
        for layer in CONFIG.layers
    ]
    for u in torch.rand(draws, generator=generator).tolist():
        leaves = 1 if u < 0.25 else 2 if u < 0.75 else 4
        for depth, flops in enumerate(per_layer, 1):
            total += flops + (2 * 40 * D if depth in shares else 0)
            if depth == leaves:
                break
    assert expected_exit_flops(BASE, shares, 9) == pytest.approx(total / draws, rel=0.02)
    assert expected_exit_flops(BASE, {4: 1.0}, 9) == BASE.decode_flops(9)


@pytest.mark.parametrize(("layers", "unique"), [((ATTENTION, RETENTION) * 2, 2), ((ATTENTION,) * 4, 1)])
def test_shared_layers_against_a_model_that_shares(layers, unique):
    config = replace(CONFIG, layers=layers)
    base, model = specification(Architecture("test", config)), LanguageModel(config)
    for i in range(unique, 4):
        model.blocks[i] = model.blocks[i % unique]
    operand = share_layers(base, unique)
    assert (operand.parameters(), operand.prefill_flops(7, 2)) == counted(model)
    assert operand.decode_flops(9, 3) == base.decode_flops(9, 3)
    assert operand.state_bytes(9) == base.state_bytes(9)


def test_neighbours_may_share_too():
    base = specification(Architecture("test", replace(CONFIG, layers=(ATTENTION,) * 2 + (RETENTION,) * 2)))
    assert share_layers(base, 2).parameters() == share_layers(BASE, 2).parameters()
    with pytest.raises(ValueError, match="sharing layers must be alike, got 1 sets for 4 layers"):
        share_layers(base, 1)


def test_shared_weights_are_read_for_every_layer_unless_they_stay():
    vectors = 2 * (BASE.other_parameters - share_layers(BASE, 2).other_parameters)
    assert BASE.decode_bytes(9, 3) - share_layers(BASE, 2).decode_bytes(9, 3) == pytest.approx(vectors)
    inside = sum(w.count * w.bytes() for w in BASE.weights if w.name.startswith(("mixer", "ffn")))
    resident = share_layers(BASE, 2, resident=True)
    assert BASE.decode_bytes(9, 3) - resident.decode_bytes(9, 3) == pytest.approx(inside / 2 + vectors)


def test_shared_layers_can_be_factored_pruned_and_quantised():
    operand = quantise(prune(low_rank(share_layers(BASE, 2), 4, "ffn"), 0.5, index="none", only="ffn"), 8, only="ffn")
    values = 4 * (2 * F + D) + 4 * (D + F)
    ffn = [w for w in operand.weights if w.name.startswith("ffn")]
    assert sum(w.count * w.bytes() for w in ffn) == 2 * values / 2
    assert sum(w.token_flops for w in ffn) == 4 * 2 * values / 2
    assert sum(w.count * w.read_bytes(1) for w in ffn) == 4 * values / 2


@pytest.mark.parametrize(("layers", "dimensions"), [(1, 8), (4, 32)])
def test_elasticity_against_a_model(layers, dimensions):
    model = LanguageModel(CONFIG)
    model.blocks = model.blocks[:layers]
    with torch.no_grad(), count_flops() as count:
        vectors = model.hidden(IDS[:1])[:, -1, :dimensions].half()
    found = elasticity(Architecture("test", CONFIG), layers, dimensions, 7)
    assert found.flops == count.flops
    assert found.parameters == sum(p.numel() for p in model.parameters()) - model.head.weight.numel()
    assert found.index_bytes == vectors.numel() * vectors.element_size()


@pytest.mark.parametrize("capacity", [0.125, 0.3, 1.0])
def test_mixture_of_depths_against_layers_on_chosen_tokens(capacity):
    found = mixture_of_depths(Architecture("test", CONFIG), capacity, [1, 3])
    model, time = LanguageModel(CONFIG), 30
    routers = [torch.nn.Linear(D, 1, bias=False) for _ in range(2)]
    blocks: list[Any] = list(model.blocks)
    kept, state = 0, 0
    with torch.no_grad(), count_flops() as count:
        x = model._embed(torch.zeros(2, time, dtype=torch.long))
        for i, block in enumerate(blocks):
            if i % 2 == 0:
                x, after = block.prefill(x, None)
            else:
                chosen = routers[i // 2](x)[..., 0].topk(math.ceil(capacity * time), -1).indices.sort(-1).values
                kept = chosen.shape[1]
                some = x.gather(1, chosen[..., None].expand(-1, -1, D))
                some, after = block.prefill(some, None)
                x = x.scatter(1, chosen[..., None].expand(-1, -1, D), some)
            state += sum(s.numel() for s in after if s.ndim and s.shape[0] == 2) // 2
        model.head(model.norm(x))
    assert kept == found._seen(time)
    assert found.prefill_flops(time, 2) == count.flops
    assert found.state_elements(time) == state
    parameters = sum(p.numel() for m in (model, *routers) for p in m.parameters())
    assert found.parameters() == parameters
    assert found.training_flops(time) > 2.9 * found.prefill_flops(time)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: early_exit(BASE, 5), "layers: between 1 and 4, got 5"),
        (lambda: early_exit(low_rank(BASE, 2), 2), "early_exit.*comes before operators on weights"),
        (lambda: drop_layers(BASE, range(4)), "layers: fewer than all 4"),
        (lambda: drop_layers(BASE, [4]), r"layers: some of 0 to 3, got \[4\]"),
        (lambda: expected_exit_flops(BASE, {1: 0.5}, 1), "shares: at least 0, with sum 1"),
        (lambda: share_layers(BASE, 3), "unique: a divisor of 4 layers, got 3"),
        (lambda: elasticity(BASE.architecture, 1, 33, 1), "dimensions: between 1 and 32"),
        (lambda: elasticity(BASE.architecture, 0, 3, 1), "layers: between 1 and 4"),
        (lambda: mixture_of_depths(BASE.architecture, 0, [1]), "capacity: above 0 and at most 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
