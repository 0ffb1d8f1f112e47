"""The dataflow of a model unrolled over time, as a graph whose nodes have capacities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recallscope.architectures.dataflow import Span
from recallscope.bounds.dataflow.wiring import Wiring, wiring

if TYPE_CHECKING:
    import networkx as nx

    from recallscope.architectures.architecture import Architecture
    from recallscope.architectures.config import ModelConfig


def unroll(
    model: Architecture | ModelConfig | Wiring,
    reading: int | Sequence[int],
    *,
    bits_per_element: float = 1,
    token_bits: float | None = None,
) -> nx.DiGraph:
    """The graph of everything that a model computes on its way through a text; time goes from position to position.

    Nodes, of which those that hold something have a `capacity`; edges have none, a read is free:

    - `("token", j)`: token j of the text, D elements or `token_bits`, whichever is less;
    - `("residual", l, i)`: the input of layer l at position i, D elements; that of the last layer is the output;
    - `("layer", l, i)`: what layer l computes there, without limit: any function of what it reads;
    - `("entry", l, s, i)`: what span s of layer l keeps of position i, `Span.elements`; made from that position's
      residual vector, read at the later positions that see it;
    - `("state", l, i)`: the recurrent state of layer l after position i, `Dataflow.state`.

    Each node also has its `time` (position) and its `level` (height in a drawing). An edge never leads back in time;
    tokens are `given`: a text may be read again without being kept.
    The graph is an upper bound in one respect: an element is taken to carry all its bits, and a layer to compute
    whatever would be best. It grows with L T², so it is for some dozens of positions: to find out what holds, not to
    evaluate it at 100,000 tokens.

    Parameters
    ----------
    model : Architecture or ModelConfig or Wiring
        See `wiring`, also for caches shared between layers.
    reading : int or sequence of int
        How many positions, each reading the token of its own number; or which token is read at each position. `[0, 1,
        2, 0, 1, 2, 3]` is a prompt of three tokens read twice (JRT-prompt, Arora et al. 2024, arXiv 2407.05483), then
        one more.
    bits_per_element : float
        Bits that an element holds, above 0. With 1, capacities are in elements.
    token_bits : float or None
        The most that a token can say, log2 of the vocabulary; None: as much as its embedding holds.
    """
    import networkx as nx

    wires = wiring(model)
    tokens = list(range(reading)) if isinstance(reading, int) else list(reading)
    if not tokens or min(tokens) < 0:
        raise ValueError(f"reading: at least one position, with tokens counted from 0, got {reading}")
    if not bits_per_element > 0:
        raise ValueError(f"bits_per_element: above 0, got {bits_per_element}")
    if token_bits is not None and not token_bits > 0:
        raise ValueError(f"token_bits: above 0, got {token_bits}")
    graph, vector = nx.DiGraph(), wires.width * bits_per_element
    for i, token in enumerate(tokens):
        if ("token", token) not in graph:
            says = vector if token_bits is None else min(token_bits, vector)
            graph.add_node(("token", token), time=i, level=-1.0, capacity=says, given=True)
        for layer in range(len(wires.layers) + 1):
            graph.add_node(("residual", layer, i), time=i, level=2.0 * layer, capacity=vector)
        graph.add_edge(("token", token), ("residual", 0, i))
    for layer in range(len(wires.layers)):
        for i in range(len(tokens)):
            _add_stores(graph, wires, layer, i, bits_per_element)
        for i in range(len(tokens)):
            _add_reads(graph, wires, layer, i)
    return graph


def _add_stores(graph: nx.DiGraph, wires: Wiring, layer: int, i: int, bits: float) -> None:
    """What the layer computes at position i, and what it keeps of it."""
    graph.add_node(("layer", layer, i), time=i, level=2 * layer + 1.0)
    graph.add_edge(("residual", layer, i), ("layer", layer, i))
    graph.add_edge(("layer", layer, i), ("residual", layer + 1, i))
    if layer in wires.again:
        graph.add_edge(("residual", 0, i), ("residual", layer, i))
    if wires.lenders[layer] != layer:
        return
    for s, span in enumerate(wires.layers[layer].spans):
        graph.add_node(("entry", layer, s, i), time=i, level=2 * layer + 0.7, capacity=span.elements * bits)
        graph.add_edge(("residual", layer, i), ("entry", layer, s, i))
    if wires.layers[layer].state:
        state = wires.layers[layer].state * bits
        graph.add_node(("state", layer, i), time=i, level=2 * layer + 1.3, capacity=state)
        graph.add_edge(("layer", layer, i), ("state", layer, i))


def _add_reads(graph: nx.DiGraph, wires: Wiring, layer: int, i: int) -> None:
    """What the layer reads at position i: its own past, or past and present of the layer that lends to it."""
    lender = wires.lenders[layer]
    own = lender == layer
    for s, span in enumerate(wires.layers[lender].spans):
        for j in _read(span, i, own):
            graph.add_edge(("entry", lender, s, j), ("layer", layer, i))
    if wires.layers[lender].state and (i > 0 or not own):
        graph.add_edge(("state", lender, i - own), ("layer", layer, i))


def _read(span: Span, i: int, own: bool) -> set[int]:
    """A layer's own position reaches it by the residual vector."""
    return span.visible(i) - ({i} if own else set())
