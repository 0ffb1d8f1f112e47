"""Hybrids against published stacks, states of real models, and a search for the crossover."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.cache import evict
from recallscope.architectures.operators.hybrid import crossover_length, hybrid, positions
from recallscope.architectures.operators.quantisation import quantise, quantise_state
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.specification import specification

FULL = {"mixer": "attention", "heads": 4, "kv_heads": 2}
OTHER = {"mixer": "gla", "heads": 4}


def model(layers=8, **last):
    config = ModelConfig(10, 32, (*({"mixer": "attention"},) * (layers - 1), {"mixer": "attention"} | last), 48)
    return specification(Architecture("test", config))


def test_positions_of_published_stacks():
    assert positions(48, 12) == [i for i in range(48) if i % 4 == 3]  # three linear layers, then a full one
    assert positions(8, 1) == [7]
    assert positions(7, 2) == [2, 6]
    assert positions(8, 2, "first") == [0, 1]
    assert positions(8, 2, "last") == [6, 7]
    assert positions(8, 0) == positions(8, 0, "last") == []


@pytest.mark.parametrize("layers", range(1, 20))
def test_spread_layers_are_distinct_and_their_gaps_differ_by_one_at_most(layers):
    for count in range(1, layers + 1):
        at = [-1, *positions(layers, count)]
        gaps = {b - a for a, b in pairwise(at)}
        assert len(at) == count + 1 and at[-1] == layers - 1
        assert max(gaps) - min(gaps) <= 1 and min(gaps) >= 1


@pytest.mark.parametrize("where", ["first", "last", "spread", (1, 6)])
def test_state_of_the_real_hybrid(where):
    spec = hybrid(model(), 2, FULL, OTHER, where)
    real = LanguageModel(spec.architecture.config)
    with torch.no_grad():
        _, states = real.prefill(torch.zeros(1, 7, dtype=torch.long))
    kept = [sum(u.numel() for u in state if u.ndim and u.shape[0] == 1) for state in states]
    assert spec.state_elements(7) == sum(kept)
    assert spec.parameters() == sum(p.numel() for p in real.parameters())
    at = where if isinstance(where, tuple) else positions(8, 2, where)
    assert [i for i in range(8) if spec.architecture.config.layers[i] == FULL] == list(at)


def test_reads_tend_to_the_share_of_full_layers():
    attention = hybrid(model(), 8, FULL)
    for count in (1, 2, 4, 8):
        ratio = hybrid(model(), count, FULL, OTHER).read_elements(10**9) / attention.read_elements(10**9)
        assert ratio == pytest.approx(count / 8, rel=1e-6)


def test_crossover_by_search_and_by_the_formula():
    for count in (1, 2, 4):
        spec = hybrid(model(), count, FULL, OTHER)
        full, other = hybrid(model(), 8, FULL), hybrid(model(), 0, None, OTHER)
        length = crossover_length(spec)
        share = count / 8
        fixed, each = other.state_elements(1) / 8, full.state_elements(1) / 8
        assert length == pytest.approx((1 - share) * fixed / (share * each))
        more = [t for t in range(1, 1000) if count * full.state_elements(t) >= (8 - count) * other.state_elements(t)]
        assert more[0] == math.ceil(length)


def test_crossover_without_one_kind():
    assert crossover_length(hybrid(model(), 0, None, OTHER)) == math.inf
    assert crossover_length(hybrid(model(), 8, FULL)) == 0
    assert crossover_length(evict(hybrid(model(), 8, FULL), 5)) == math.inf
    windows = hybrid(model(), 4, FULL, {"mixer": "sliding_window", "window": 16})
    assert crossover_length(windows) == 32  # twice as many key heads


def test_no_change_is_the_same_specification_and_other_parts_stay():
    spec = model(ffn_width=16, experts=3)
    assert hybrid(spec, 3) is spec
    done = hybrid(quantise(spec, 4), 1, None, OTHER, "last")
    assert done.architecture.config.layers[-1] == spec.architecture.config.layers[-1]
    experts = hybrid(spec, 1, OTHER, None, "last").architecture.config.layers[-1]
    assert experts == OTHER | {"ffn_width": 16, "experts": 3}
    assert {w.bits for w in done.weights if w.name.startswith("mixer.qkv")} == {4}


def test_composition():
    spec = quantise_state(prune(evict(hybrid(model(), 2, FULL, OTHER), 4), 0.5), 8)
    assert [one.split("(")[0] for one in spec.applied] == ["hybrid", "evict", "prune", "quantise_state"]
    untouched = hybrid(model(), 2, FULL, OTHER)
    assert spec.state_bytes(100) == untouched.state_elements(4)
    assert spec.state_elements(3) == untouched.state_elements(3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: hybrid(model(), 9, FULL), "count: between 0 and 8 layers, got 9"),
        (lambda: hybrid(model(), 2, FULL, where="middle"), "where: one of first, last, spread"),
        (lambda: hybrid(model(), 2, FULL, where=[1]), r"where: 2 layers, got \[1\]"),
        (lambda: hybrid(model(), 1, FULL, where=[8]), "layers: some of 0 to 7"),
        (lambda: hybrid(model(), 1, {"mixer": "no"}), "layers: mixer must be one of"),
        (lambda: hybrid(model(), 1, FULL | {"experts": 2}), "full, other: a mixer and its options"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
