"""Tiles against schedules that are played through, partial softmaxes against whole ones, roofs against counts."""

from __future__ import annotations

import heapq
import itertools

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.operators.tiles import (
    best_splits,
    fixed_split,
    merge,
    partial_softmax,
    product_time,
    stream_k,
)
from recallscope.architectures.specification import specification


def data(*shape):
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64) * 10, torch.randn(*shape, 5, dtype=torch.float64)


@pytest.mark.parametrize("cuts", [(0, 11), (4, 11), (3, 5, 11), (1, 2, 3, 11), (0, 0, 6, 11, 11)])
def test_parts_merge_into_the_whole(cuts):
    scores, values = data(2, 3, 11)
    parts = [partial_softmax(scores[..., a:b], values[..., a:b, :]) for a, b in itertools.pairwise((0, *cuts))]
    whole = partial_softmax(scores, values)
    expected = torch.einsum("abs,absv->abv", scores.softmax(-1), values)
    for order in itertools.permutations(parts):
        left = order[0]
        for part in order[1:]:
            left = merge(left, part)
        right = order[-1]
        for part in order[-2::-1]:
            right = merge(part, right)
        for found in (left, right, whole):
            torch.testing.assert_close(found[2], expected, atol=1e-13, rtol=0)
            torch.testing.assert_close(found[0] + found[1].log(), scores.logsumexp(-1), atol=1e-12, rtol=0)


def test_merging_is_associative_and_nothing_is_its_neutral_element():
    a, b, c = (partial_softmax(*data(2, n)) for n in (3, 7, 2))
    for one, other in zip(merge(merge(a, b), c), merge(a, merge(b, c)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-13, rtol=0)
    empty = partial_softmax(*data(2, 0))
    masked = partial_softmax(torch.full((2, 4), -torch.inf, dtype=torch.float64), data(2, 4)[1])
    for nothing in (empty, masked):
        for one, other in zip(merge(a, nothing), a, strict=True):
            torch.testing.assert_close(one, other, atol=0, rtol=0)
    assert all(torch.isfinite(u).all() for u in merge(empty, masked)[1:])


def test_scores_that_overflow_do_not():
    values = torch.eye(3, dtype=torch.float64)[:2]
    m, total, o = merge(
        partial_softmax(torch.tensor([1e4]).double(), values[:1]),
        partial_softmax(torch.tensor([-1e4]).double(), values[1:]),
    )
    assert (m, total) == (1e4, 1) and o.tolist() == [1, 0, 0]


def finish(lengths, workers):
    """Makespan of parts that go, in order, to the first worker that is free."""
    free = [0] * workers
    for length in lengths:
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


@pytest.mark.parametrize("batch, heads, t, workers", [(1, 4, 1000, 16), (3, 2, 640, 7), (1, 1, 64, 5), (2, 8, 4096, 3)])
def test_equal_pieces_of_the_row_of_tiles(batch, heads, t, workers):
    each = -(-t // 64)
    row = [head for head in range(batch * heads) for _ in range(each)]
    found = stream_k(batch, heads, t, 64, workers, 2.0, 0.5)
    pieces = [row[i : i + found.rounds] for i in range(0, len(row), found.rounds)]
    assert len(pieces) <= workers
    assert found.tiles == len(row)
    assert found.rounds == max(map(len, pieces)) == -(-len(row) // workers)
    cut = any(a[-1] == b[0] for a, b in itertools.pairwise(pieces))
    assert found.time == 2.0 * found.rounds + 0.5 * cut
    assert found.efficiency == sum(map(len, pieces)) / (workers * found.rounds)


@pytest.mark.parametrize(
    "batch, heads, t, workers, splits", [(1, 4, 1024, 16, 4), (3, 2, 512, 7, 2), (2, 8, 4096, 3, 1), (5, 3, 640, 4, 5)]
)
def test_equal_parts_of_heads_go_to_free_workers(batch, heads, t, workers, splits):
    each = t // 64
    found = fixed_split(batch, heads, t, 64, workers, splits, 2.0, 0.5)
    played = finish([each // splits] * (batch * heads * splits), workers)
    assert found.rounds == played
    assert found.time == 2.0 * played + 0.5 * (splits > 1)
    assert found.efficiency == batch * heads * each / (workers * played)


@pytest.mark.parametrize("splits", range(1, 20))
def test_unequal_parts_take_no_longer_than_said(splits):
    each, found = 11, fixed_split(2, 3, 11, 1, 4, splits, 1.0)
    longest = -(-each // splits)
    lengths = [min(longest, each - at) for at in range(0, each, longest)]
    assert sum(lengths) == each
    assert finish(lengths * 6, 4) <= found.rounds


def test_streams_are_never_slower_but_for_the_merge():
    for heads, workers, t, splits in itertools.product((1, 4, 9), (2, 16, 33), (64, 1000, 5000), (1, 2, 8, 100)):
        split = fixed_split(1, heads, t, 64, workers, splits, 1.0)
        assert stream_k(1, heads, t, 64, workers, 1.0).time <= split.time
        assert 0 < split.efficiency <= 1


def test_best_number_of_parts_of_all():
    arguments = (1, 4, 5000, 64, 50, 1.0, 3.0)
    times = {s: fixed_split(*arguments[:5], s, *arguments[5:]).time for s in range(1, 80)}
    best = best_splits(*arguments)
    assert times[best] == min(times.values()) and all(times[s] > times[best] for s in range(1, best))


def test_roof_of_a_sparse_product():
    spec = prune(
        specification(Architecture("test", ModelConfig(0, 64, ({"mixer": "attention"},), 96))), 0.25, only="ffn.up"
    )
    w = next(w for w in spec.weights if w.name == "ffn.up")
    torch.manual_seed(0)
    matrix = torch.zeros(192 * 64)
    matrix[torch.randperm(192 * 64)[: 192 * 64 // 4]] = 1.0
    matrix = matrix.view(192, 64)
    x = torch.randn(64, 7)
    with count_flops() as dense:
        y = matrix @ x
    flops = dense.flops * int(matrix.count_nonzero()) / matrix.numel()
    assert product_time(w, 7, peak=1.0, bandwidth=1e30, efficiency=0.5) == flops / 0.5
    moved = w.bytes() + 2 * (x.numel() + y.numel())
    assert product_time(w, 7, peak=1e30, bandwidth=2.0) == moved / 2
    assert product_time(w, 7, peak=1.0, bandwidth=1.0) == max(flops, moved)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: stream_k(0, 1, 1, 1, 1, 1.0), "batch: an integer of at least 1"),
        (lambda: fixed_split(1, 1, 1, 1, 1, 0, 1.0), "splits: an integer"),
        (lambda: fixed_split(1, 1, 1, 0, 1, 1, 1.0), "tile: an integer"),
        (lambda: product_time(specification(Architecture("t", ModelConfig(0, 64, ({"mixer": "gla"},), 96))).weights[0],
                              1, 1, 1, 2), "tokens, peak, bandwidth, efficiency"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
