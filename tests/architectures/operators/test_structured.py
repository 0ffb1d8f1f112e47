"""Factored matrices: the factors are built, their values and products counted, and composed with other operators."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.operators import (
    block_dense,
    block_shuffle,
    break_even_rank,
    dense_times_sparse,
    low_rank,
    prune_ffn,
    quantise,
    self_guided_flops,
    sparse_activations,
    sparse_plus_low_rank,
    sparse_plus_low_rank_flops,
)
from recallscope.architectures.specification import Specification, Weights, specification
from torch import nn

D, F, M, N = 32, 48, 96, 32  # width, hidden width, and the sides of `ffn.up`: 2 F x D
LAYERS = ({"mixer": "attention", "heads": 2}, {"mixer": "sliding_window", "heads": 2, "window": 4})
BASE = specification(Architecture("test", ModelConfig(40, D, LAYERS, F)))


def parts(operand: Specification, start: str) -> dict[str, Weights]:
    return {w.name.removeprefix(start + "."): w for w in operand.weights if w.name.startswith(start + ".")}


def change(operand: Specification) -> tuple[float, float]:
    """Values and products of a token that one `ffn.up` has more than it had; there are two layers."""
    return (operand.parameters() - BASE.parameters()) / 2, (operand.decode_flops(5) - BASE.decode_flops(5)) / 2


def counted(*layers: nn.Module, inputs: int = N) -> tuple[int, int]:
    """Values and products of layers run one after another on one token, less those of the dense matrix."""
    x = torch.zeros(1, inputs)
    with count_flops() as count:
        for layer in layers:
            x = layer(x)
    return sum(p.numel() for layer in layers for p in layer.parameters()) - M * N, count.flops - 2 * M * N


class Blocks(nn.Module):
    """A block-diagonal matrix, kept as its blocks."""

    def __init__(self, blocks: int, rows: int, columns: int):
        super().__init__()
        self.blocks = nn.Parameter(torch.randn(blocks, rows // blocks, columns // blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, _, n = self.blocks.shape
        return (self.blocks @ x.view(b, n, 1)).view(1, -1)


@pytest.mark.parametrize("rank", [1, 7, 31])
def test_low_rank_against_two_layers(rank):
    operand = low_rank(BASE, rank, "ffn.up")
    expected = counted(nn.Linear(N, rank, bias=False), nn.Linear(rank, M, bias=False))
    assert change(operand) == expected
    assert expected[0] == rank * (M + N) - M * N
    assert operand.applied == (f"low_rank(rank={rank}, only='ffn.up')",)
    assert {name: (w.rows, w.columns) for name, w in parts(operand, "ffn.up").items()} == {
        "right": (rank, N),
        "left": (M, rank),
    }


def test_break_even_is_where_the_factors_hold_as_much():
    assert break_even_rank(M, N) == 24
    assert change(low_rank(BASE, 24, "ffn.up")) == (0, 0)
    assert change(low_rank(BASE, 23, "ffn.up"))[0] < 0 < change(low_rank(BASE, 25, "ffn.up"))[0]


def test_what_changes_nothing_gives_the_model_back():
    assert low_rank(BASE, 96) is BASE
    assert low_rank(BASE, N, "ffn.up") is BASE
    assert block_shuffle(BASE, 1) is BASE
    assert low_rank(BASE, 31) is not BASE


def test_a_low_rank_embedding_is_a_table_and_a_product():
    operand = low_rank(BASE, 5, "embedding")
    table, product = nn.Embedding(40, 5), nn.Linear(5, D, bias=False)
    with count_flops() as count:
        product(table(torch.tensor([3])))
    values = table.weight.numel() + product.weight.numel()
    assert operand.parameters() - BASE.parameters() == values - 40 * D
    assert operand.decode_flops(5) - BASE.decode_flops(5) == count.flops
    read = operand.decode_bytes(5) - BASE.decode_bytes(5)
    assert read == pytest.approx(2 * (5 + 5 * D - D))  # a row of the table and the product, less a row of before


@pytest.mark.parametrize("blocks", [2, 4, 16])
@pytest.mark.parametrize(("name", "rows", "columns"), [("ffn.up", M, N), ("ffn.down", D, F)])
def test_block_shuffle_against_blocks(blocks, name, rows, columns):
    operand = block_shuffle(BASE, blocks, name)
    least = min(rows, columns)
    first, second = Blocks(blocks, least, columns), Blocks(blocks, rows, least)
    x = torch.randn(1, columns)
    with count_flops() as count:
        y = first(x).view(blocks, -1).T.reshape(1, -1)  # the shuffle
        second(y)
    values = first.blocks.numel() + second.blocks.numel()
    assert values == least * (rows + columns) // blocks
    assert change(operand) == (values - rows * columns, count.flops - 2 * rows * columns)
    assert all(w.stored == w.rows * w.columns for w in operand.weights)


@pytest.mark.parametrize(("blocks", "rank"), [(1, 6), (2, 6), (4, 20), (8, 32)])
def test_block_dense_against_blocks(blocks, rank):
    operand = block_dense(BASE, blocks, rank, "ffn.up")
    assert change(operand) == counted(Blocks(blocks, rank, N), nn.Linear(rank, M, bias=False))
    assert change(operand)[0] == rank * (M + N // blocks) - M * N
    if blocks == 1:
        assert change(operand) == change(low_rank(BASE, rank, "ffn.up"))


@pytest.mark.parametrize(("width", "basis", "kept"), [(8, 16, 3), (16, 5, 5), (8, 5, 2), (32, 64, 1)])
def test_dense_times_sparse_against_masks(width, basis, kept):
    operand = dense_times_sparse(BASE, width, basis, kept, "ffn.up")
    blocks, generator = N // width, torch.Generator().manual_seed(0)
    scores = torch.rand(blocks, M, basis, generator=generator)
    mask = torch.zeros_like(scores).scatter(-1, scores.topk(kept, -1).indices, 1.0)
    dense = torch.randn(blocks, basis, width, generator=generator)
    nonzero = int(mask.sum())
    assert change(operand)[0] == dense.numel() + nonzero - M * N
    with count_flops() as count:
        z = dense @ torch.randn(blocks, width, 1)
        assert (mask @ z).sum(0).shape == (M, 1)
    skipped = 2 * (mask.numel() - nonzero)
    assert change(operand)[1] == count.flops - skipped - 2 * M * N
    bits = operand.weight_bytes() * 8 - 16 * operand.parameters()
    positions = mask.nonzero()[:, 2].numel() * len(f"{basis - 1:b}") if kept < basis else 0
    assert bits == 2 * positions
    ratio = basis / M + kept / width
    assert (change(operand)[0] + M * N) / (M * N) == pytest.approx(ratio)


@pytest.mark.parametrize(("rank", "density"), [(4, 0.03), (1, 0.5)])
def test_sparse_plus_low_rank_against_masks(rank, density):
    operand = sparse_plus_low_rank(BASE, rank, density, 32, "ffn.up")
    values, products = counted(nn.Linear(N, rank, bias=False), nn.Linear(rank, M, bias=False))
    mask = torch.zeros(M * N)
    mask[torch.randperm(M * N, generator=torch.Generator().manual_seed(0))[: round(density * M * N)]] = 1
    nonzero = int(mask.sum())
    assert change(operand) == (values + nonzero, products + 2 * nonzero)
    per_matrix = (operand.weight_bytes() - BASE.weight_bytes()) / 2
    assert per_matrix == 2 * (values + nonzero) + 4 * nonzero


def test_training_with_the_sum_formed_against_a_step():
    rank, tokens = 4, 10
    left, right = torch.randn(M, rank, requires_grad=True), torch.randn(rank, N, requires_grad=True)
    places = torch.randperm(M * N)[:90]
    values = torch.randn(90, requires_grad=True)
    x = torch.randn(tokens, N, requires_grad=True)
    with count_flops() as count:
        w = (left @ right).flatten().index_add(0, places, values).view(M, N)
        (x @ w.T).sum().backward()
    assert values.grad is not None
    assert sparse_plus_low_rank_flops(M, N, rank, tokens) == count.flops


def test_self_guided_training_against_a_step():
    after = low_rank(BASE, 4, "ffn.up")
    x = torch.randn(10, N, requires_grad=True)
    with count_flops() as count:
        nn.Linear(N, M, bias=False)(x).sum().backward()
    assert self_guided_flops(BASE, after, 10, 1.0) == 2 * count.flops
    assert self_guided_flops(BASE, after, 10, 0.25) == count.flops / 2
    assert self_guided_flops(BASE, BASE, 10, 1.0) == 0


def test_operators_compose_from_left_to_right():
    """Narrow, factor, quantise: by hand for the matrices of one layer."""
    operand = quantise(low_rank(prune_ffn(BASE, 40), 8, "ffn"), 4, 8, only="ffn")
    up, down = 8 * (80 + D), 8 * (D + 40)
    others = sum(w.count * w.stored for w in BASE.weights if not w.name.startswith("ffn"))
    assert operand.parameters() == others + 2 * (up + down) + BASE.other_parameters
    groups = (80 * 1 + 8 * 4) + (D * 1 + 8 * 5)  # of eight values: left and right factor of both matrices
    expected = 2 * others + 2 * ((up + down) * 4 + groups * 16) / 8 + 2 * BASE.other_parameters
    assert operand.weight_bytes() == pytest.approx(expected, rel=1e-12)
    assert operand.applied == (
        "prune_ffn(hidden=40)",
        "low_rank(rank=8, only='ffn')",
        "quantise(bits=4, group=8, scale_bits=16, zero_bits=0, only='ffn')",
    )
    assert replace(BASE, quality=(("loss", 3.0),)).quality and not operand.quality


def test_sparse_inputs_stay_with_the_factor_that_reads_them():
    operand = low_rank(sparse_activations(BASE, 0.5, "ffn.up"), 8, "ffn.up")
    found = parts(operand, "ffn.up")
    assert (found["right"].flops, found["right"].read) == (8 * N, 0.5)
    assert (found["left"].flops, found["left"].read) == (2 * 8 * M, 1.0)


def test_experts_keep_their_share():
    layer = LAYERS[0] | {"experts": 4, "active_experts": 1}
    base = specification(Architecture("moe", ModelConfig(0, D, (layer,), F)))
    operand = low_rank(base, 4, "ffn.experts")
    saved = 2 * M * N + 2 * D * F - 2 * 4 * (M + N + D + F)
    assert base.decode_flops(1) - operand.decode_flops(1) == saved
    assert all(w.used == 0.25 for w in operand.weights if w.name.startswith("ffn.experts"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: low_rank(BASE, 0), "rank: an integer of at least 1"),
        (lambda: low_rank(BASE, 4, "mixer.nothing"), r"only: names or their starts \(embedding, ffn.down, .*nothing"),
        (lambda: low_rank(BASE, 4, ("ffn", "ff")), "only: .*got 'ff'"),
        (lambda: block_shuffle(BASE, 7, "ffn.up"), "blocks: .*divisor of .*ffn.up, got 7"),
        (lambda: block_shuffle(BASE, 2, "embedding"), "block_shuffle: .*got the table embedding"),
        (lambda: block_dense(BASE, 4, 6, "ffn.up"), "blocks: block_dense needs a divisor"),
        (lambda: dense_times_sparse(BASE, 8, 4, 5), "kept: between 1 and basis = 4, got 5"),
        (lambda: dense_times_sparse(BASE, 5, 4, 2), "width: .*divisor"),
        (lambda: sparse_plus_low_rank(BASE, 4, 1.0, 32), "density: between 0 and 1"),
        (lambda: low_rank(sparse_plus_low_rank(BASE, 4, 0.1, 0, "ffn.up"), 4, "ffn.up"), "needs dense matrices"),
        (lambda: self_guided_flops(BASE, BASE, 1, 1.5), "share: between 0 and 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_default_choice_is_the_layers_with_or_without_feed_forward():
    bare = specification(Architecture("bare", ModelConfig(40, D, LAYERS, 0)))
    operand = low_rank(bare, 4)
    assert {w.name.split(".")[0] for w in operand.weights if w not in bare.weights} == {"mixer"}
    assert math.isclose(sum(w.count * w.stored for w in operand.weights if w.name == "head"), 40 * D)
