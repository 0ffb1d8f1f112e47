"""Pruned matrices are packed and unpacked, pruned shapes are built, sparse inputs are drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig, build_layer, mixer_options
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators import (
    average_parameters,
    low_rank,
    prune,
    prune_ffn,
    prune_heads,
    prune_pattern,
    quantise,
    quantise_state,
    sparse_activations,
)
from recallscope.architectures.specification import Weights, specification

D, F, M, N = 32, 48, 96, 32
LAYERS = ({"mixer": "attention", "heads": 4, "kv_heads": 2}, {"mixer": "retention", "heads": 4})
BASE = specification(Architecture("test", ModelConfig(40, D, LAYERS, F)))


def up(operand) -> Weights:
    (found,) = (w for w in operand.weights if w.name == "ffn.up")
    return found


def blocked(density: float, m: int, n: int) -> np.ndarray:
    """A random M x N matrix with a share of its m x n blocks."""
    rng = np.random.default_rng(0)
    mask = np.zeros(M * N // (m * n))
    mask[rng.permutation(mask.size)[: round(density * mask.size)]] = 1
    return rng.normal(size=(M, N)) * np.kron(mask.reshape(M // m, N // n), np.ones((m, n)))


@pytest.mark.parametrize(("density", "block"), [(0.3, (1, 1)), (0.5, (4, 1)), (0.1, (8, 16)), (0.001, (1, 1))])
def test_a_bitmap_and_the_values_give_the_matrix_back(density, block):
    w, (m, n) = blocked(density, *block), block
    tiles = w.reshape(M // m, m, N // n, n).transpose(0, 2, 1, 3)
    flags = np.packbits(tiles.any((2, 3)))
    values = tiles[tiles.any((2, 3))]
    found = up(prune(BASE, density, block, only="ffn.up"))
    assert found.stored == values.size
    assert math.ceil(found.index_bits / 8) == flags.nbytes
    again = np.zeros_like(tiles)
    again[np.unpackbits(flags, count=M * N // (m * n)).reshape(M // m, N // n).astype(bool)] = values
    assert (again == tiles).all()
    assert found.flops == 2 * np.count_nonzero(w)


@pytest.mark.parametrize(("density", "block"), [(0.3, (1, 1)), (0.1, (8, 16))])
@pytest.mark.parametrize("position_bits", [None, 16])
def test_a_list_of_blocks_gives_the_matrix_back(density, block, position_bits):
    w, (m, n) = blocked(density, *block), block
    tiles = w.reshape(M // m, m, N // n, n).transpose(0, 2, 1, 3).reshape(-1, m, n)
    kept = np.flatnonzero(tiles.any((1, 2)))
    width = position_bits or len(f"{len(tiles) - 1:b}")
    text = "".join(f"{i:0{width}b}" for i in kept)
    found = up(prune(BASE, density, block, "list", position_bits, "ffn.up"))
    assert (found.index_bits, found.stored) == (len(text), tiles[kept].size)
    positions = [int(text[i : i + width], 2) for i in range(0, len(text), width)]
    again = np.zeros_like(tiles)
    again[positions] = tiles[kept]
    assert (again == tiles).all()
    assert up(prune(BASE, density, block, "none", only="ffn.up")).index_bits == 0


@pytest.mark.parametrize(("kept", "group", "least", "positions"), [(2, 4, 3, 4), (1, 4, 2, 2), (4, 8, 7, 12)])
def test_a_pattern_gives_the_matrix_back(kept, group, least, positions):
    w = np.random.default_rng(0).normal(size=(M, N)).reshape(-1, group)
    np.put_along_axis(w, np.argsort(np.abs(w), 1)[:, : group - kept], 0, 1)
    choices = list(itertools.combinations(range(group), kept))
    codes = [choices.index(tuple(np.flatnonzero(row))) for row in w]
    assert max(codes) < 2**least and len(choices) > 2 ** (least - 1)
    again = np.zeros_like(w)
    for row, full, code in zip(again, w, codes, strict=True):
        row[list(choices[code])] = full[full != 0]
    assert (again == w).all()
    found = up(prune_pattern(BASE, kept, group, only="ffn.up"))
    assert (found.stored, found.index_bits) == (np.count_nonzero(w), least * len(codes))
    assert found.flops == 2 * np.count_nonzero(w)
    as_hardware = up(prune_pattern(BASE, kept, group, "positions", "ffn.up"))
    assert as_hardware.index_bits == positions * len(codes)


def test_the_costs_of_the_model_follow():
    operand = prune(BASE, 0.25, only=("ffn", "mixer.qkv"))
    removed = sum(w.count * w.stored for w in BASE.weights if w.name.startswith("ffn") or w.name == "mixer.qkv") * 0.75
    assert BASE.parameters() - operand.parameters() == removed
    assert BASE.decode_flops(7, 3) - operand.decode_flops(7, 3) == 3 * 2 * removed
    bitmap = removed / 0.75 / 8
    assert BASE.weight_bytes() - operand.weight_bytes() == 2 * removed - bitmap
    assert BASE.decode_bytes(7) - operand.decode_bytes(7) == pytest.approx(2 * removed - bitmap)


def test_density_one_gives_the_model_back():
    assert prune(BASE, 1) is BASE
    assert prune_pattern(BASE, 4, 4) is BASE
    assert prune_heads(BASE, 4) is BASE
    assert prune_ffn(BASE, F) is BASE
    assert sparse_activations(BASE, 1) is BASE


@pytest.mark.parametrize("index", ["bitmap", "list"])
def test_compounding_of_pruning_and_bits(index):
    operand = quantise(prune(low_rank(BASE, 8, "ffn"), 0.5, index=index, only="ffn"), 8, only="ffn")
    for w in operand.weights:
        if w.name.startswith("ffn"):
            dense = w.rows * w.columns
            position = math.ceil(math.log2(dense)) * dense / 2 if index == "list" else dense
            assert w.bytes() == (dense / 2 * 8 + position) / 8
    assert [text.partition("(")[0] for text in operand.applied] == ["low_rank", "prune", "quantise"]


HEADED = [
    name
    for name in MIXERS
    if {"heads", "key_width"} <= mixer_options(name).keys() and {"kv_heads", "value_width"} & mixer_options(name).keys()
]


@pytest.mark.parametrize("name", HEADED)
def test_half_of_the_heads_are_half_of_the_state(name):
    config = ModelConfig(0, 64, ({"mixer": name} | ({"key_heads": 2} if name == "diff_qkv" else {}),), 0)
    base = specification(Architecture(name, config))
    operand = prune_heads(base, 2)
    assert 2 * operand.state_elements(100) == base.state_elements(100)
    (layer,) = operand.architecture.config.layers
    with torch.device("meta"):
        before, after = (build_layer(config, one)[0] for one in (config.layers[0], layer))
    assert (before.heads, after.heads) == (4, 2)
    widths = [u for u in ("head_width", "key_width", "value_width") if hasattr(before, u)]
    assert widths and all(getattr(before, u) == getattr(after, u) for u in widths)
    assert operand.decode_flops(50) < base.decode_flops(50)


def test_pruned_shapes_are_counted_on_the_real_model():
    base = quantise_state(quantise(BASE, 8, only="ffn"), 4)
    operand = prune_ffn(prune_heads(base, 2, layers=[0]), 20, layers=[1])
    assert operand.applied[-2:] == ("prune_heads(heads=2, layers=[0])", "prune_ffn(hidden=20, layers=[1])")
    model = LanguageModel(operand.architecture.config)
    assert operand.parameters() == sum(p.numel() for p in model.parameters())
    with torch.no_grad(), count_flops() as count:
        model.prefill(torch.zeros(2, 9, dtype=torch.long))
    assert operand.prefill_flops(9, 2) == count.flops
    assert operand.state_bits == 4
    assert {(w.name, w.bits) for w in operand.weights if w.name.startswith("ffn")} == {("ffn.up", 8), ("ffn.down", 8)}
    assert {w.bits for w in operand.weights if not w.name.startswith("ffn")} == {16}


def test_shape_comes_first():
    with pytest.raises(ValueError, match=r"prune_heads\(heads=2\): comes before .* after low_rank\(rank=2\)"):
        prune_heads(low_rank(BASE, 2), 2)


def test_average_parameters_against_steps():
    full, left = 1000.0, 200.0
    schedule = [(0, full), (0.25, full), (0.75, left), (1, left)]
    s = (np.arange(100_000) + 0.5) / 100_000
    values = np.interp(s, [p for p, _ in schedule], [v for _, v in schedule])
    assert average_parameters(schedule) == pytest.approx(values.mean(), rel=1e-9)
    assert average_parameters([(0, full), (0.5, full), (0.5, left), (1, left)]) == (full + left) / 2
    assert average_parameters([(0, full), (1, full)]) == full


def test_sparse_activations_against_chosen_columns():
    operand = sparse_activations(BASE, 0.25, "ffn.up")
    x, w = torch.randn(N), torch.randn(M, N)
    largest = x.abs().topk(N // 4).indices
    with count_flops() as count:
        y = w[:, largest] @ x[largest, None]
    assert torch.allclose(y[:, 0], w @ (x * torch.zeros(N).index_fill(0, largest, 1.0)), atol=1e-5)
    assert up(operand).flops == count.flops
    assert operand.parameters() == BASE.parameters() and operand.weight_bytes() == BASE.weight_bytes()
    assert BASE.decode_bytes(3) - operand.decode_bytes(3) == pytest.approx(2 * 2 * M * N * 0.75)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_what_a_batch_reads_against_simulation(batch):
    x = torch.randn(3000, batch, N, generator=torch.Generator().manual_seed(batch))
    masks = torch.zeros_like(x).scatter(-1, x.abs().topk(N // 2, -1).indices, 1.0)
    read = masks.amax(1).mean().item()
    found = up(sparse_activations(BASE, 0.5, "ffn.up"))
    assert found.read_bytes(batch) / found.bytes() == pytest.approx(read, abs=0.005)
    assert found.read_bytes(batch) / found.bytes() == 1 - 0.5**batch
    half = sparse_activations(sparse_activations(BASE, 0.5, "ffn.up"), 0.5, "ffn.up")
    assert half.weights == sparse_activations(BASE, 0.25, "ffn.up").weights


def test_sparse_inputs_of_experts_are_read_by_a_share_of_a_share():
    layer = LAYERS[0] | {"experts": 4, "active_experts": 1}
    base = specification(Architecture("moe", ModelConfig(0, D, (layer,), F)))
    (found,) = (w for w in sparse_activations(base, 0.5, "ffn").weights if w.name == "ffn.experts.up")
    assert found.read_bytes(1) == found.bytes() / 8
    assert found.token_flops == 4 * 0.25 * 0.5 * 2 * M * N


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prune(BASE, 0), "density: above 0 and at most 1"),
        (lambda: prune(BASE, 0.5, index="csr"), "index: bitmap, list or none, got 'csr'"),
        (lambda: prune(BASE, 0.5, (5, 1)), "block: prune needs a divisor"),
        (lambda: prune(prune(BASE, 0.5), 0.5), "prune: needs dense matrices"),
        (lambda: prune_pattern(BASE, 5, 4), "kept: between 1 and group = 4"),
        (lambda: prune_pattern(BASE, 2, 4, "bitmap"), "index: least or positions"),
        (lambda: prune_pattern(BASE, 2, 5), "group: prune_pattern needs a divisor"),
        (lambda: prune_heads(BASE, 5), "heads: between 1 and 4, got 5"),
        (lambda: prune_heads(BASE, 3), "heads: must leave whole groups of kv_heads = 2 of 4, got 3"),
        (lambda: prune_heads(BASE, 2, [2]), r"layers: some of 0 to 1, got \[2\]"),
        (lambda: prune_ffn(BASE, 0), "hidden: between 1 and 48"),
        (lambda: sparse_activations(BASE, 0), "kept: above 0"),
        (lambda: sparse_activations(BASE, 0.5, "embedding"), "got the table embedding"),
        (lambda: average_parameters([(0.5, 1), (1, 1)]), "schedule: .*from 0 to 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_heads_that_depend_on_each_other_are_refused():
    config = replace(BASE.architecture.config, layers=({"mixer": "hyena", "length": 16},))
    with pytest.raises(ValueError, match="independent heads of a given width, got hyena in 0"):
        prune_heads(specification(Architecture("hyena", config)), 1)


def test_experts_lose_hidden_units_and_layers_without_any_are_passed_over():
    layers = (LAYERS[0] | {"experts": 3, "active_experts": 2}, LAYERS[1] | {"ffn_width": 0})
    base = specification(Architecture("moe", ModelConfig(0, D, layers, F)))
    operand = prune_ffn(base, 16)
    assert base.parameters() - operand.parameters() == 3 * 3 * D * 32
    with pytest.raises(ValueError, match="hidden: between 1 and 0 in layer 1"):
        prune_ffn(base, 16, [1])
