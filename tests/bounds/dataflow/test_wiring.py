"""Wirings: what an architecture declares, in the order in which it runs; reach against graphs and gradients."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.model import Stack
from recallscope.architectures.names import architecture
from recallscope.bounds.dataflow import Wiring, reach, unroll, wiring


def windows(*lasts: int, width: int = 4) -> Wiring:
    return Wiring(width, tuple(Dataflow((Span(0, last, 2 * width),)) for last in lasts))


def hybrid(*layers: dict, width: int = 8, **rest) -> ModelConfig:
    return ModelConfig(0, width, layers, 0, **rest)


def test_blocks_in_their_order_and_again_for_each_loop():
    config = hybrid(
        {"mixer": "retention", "heads": 1}, {"mixer": "sliding_window", "heads": 1, "window": 3}, loops=2, inject=True
    )
    state, window = Dataflow(state=config.width * 8), Dataflow((Span(0, 3, 2 * 8),))
    assert wiring(config).layers[1::2] == (window, window)
    assert [layer.spans for layer in wiring(config).layers[::2]] == [(), ()]
    assert wiring(config).lenders == (0, 1, 2, 3) and wiring(config).again == {2}
    assert wiring(wiring(config)) == wiring(config)
    assert state.state > 0 and wiring(architecture(mixer="retention", width=8, heads=1)).layers[0].state > 0


def test_the_shift_of_a_feed_forward_layer_is_a_layer():
    config = ModelConfig(0, 8, ({"mixer": "rwkv4", "ffn": "rwkv4"},) * 2, 16)
    shift = Dataflow((Span(0, 2, 8),))
    assert wiring(config).layers == (Dataflow((Span(0, 2, 8),), 24), shift) * 2
    assert wiring(config, shared={1: 0}).lenders == (0, 1, 0, 1)


@pytest.mark.parametrize("lasts", [(1,), (4,), (3, 3), (2, 5, 1, 4)])
def test_reach_of_windows_is_what_the_graph_connects(lasts):
    model, length = windows(*lasts), sum(lasts) + 2
    graph = unroll(model, length)
    seen = [i for i in range(length) if nx.has_path(graph, ("token", i), ("residual", len(lasts), length - 1))]
    assert reach(model) == sum(last - 1 for last in lasts) == length - 1 - min(seen)


def test_reach_is_that_of_the_real_layers():
    """Gradients of a stack: a window of 3, a convolution of 2 taps, a window of 5 reach 2 + 1 + 4 back, not 10."""
    config = hybrid(
        {"mixer": "sliding_window", "heads": 1, "window": 3},
        {"mixer": "base_conv", "kernel": 2},
        {"mixer": "sliding_window", "heads": 1, "window": 5},
    )
    torch.manual_seed(0)
    stack = Stack(config).double()
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 12, 8, dtype=torch.float64, requires_grad=True)
    stack.vectors(x)[0, -1].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().amax(-1).nonzero().flatten()
    assert reach(config) == 7 == 11 - int(seen.min())


def test_reach_of_hybrids_leading_tokens_and_borrowers():
    assert reach(hybrid({"mixer": "sliding_window", "heads": 1}, {"mixer": "retention", "heads": 1})) == math.inf
    assert reach(architecture(mixer="attention", width=8, heads=1)) == math.inf
    assert reach(architecture(mixer="lambda_window", width=8, heads=1, leading=2, window=5, layers=3)) == 12
    assert reach(Wiring(4, windows(5, 5).layers, (0, 0))) == 4  # both read entries of the first layer's input


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Wiring(0, ()), "width: at least 1, got 0"),
        (lambda: Wiring(4, (Dataflow(),), (0, 1)), "lenders: one for each of 1 layers, got 2"),
        (lambda: Wiring(4, (Dataflow(),) * 2, (1, 1)), "lenders: the layer itself or an earlier one .*, got 1"),
        (lambda: Wiring(4, (Dataflow(),) * 3, (0, 0, 1)), "lenders: .* keeps its own, got 1"),
        (lambda: wiring(windows(3), {1: 0}), "shared: for an architecture"),
        (lambda: wiring("based"), "model: an Architecture, a ModelConfig or a Wiring, got str"),  # type: ignore[arg-type]
        (lambda: wiring(hybrid({"mixer": "retention", "heads": 1}), {0: 0}), "shared: a block of 0 to 0 .*, got 0: 0"),
        (
            lambda: wiring(hybrid({"mixer": "retention", "heads": 1}, {"mixer": "mlstm", "heads": 1}), {1: 0}),
            "shared: a block of 0 to 1 and an earlier one that keeps the same, got 1: 0",
        ),
    ],
)
def test_bad_wirings(call, match):
    with pytest.raises(ValueError, match=match):
        call()
