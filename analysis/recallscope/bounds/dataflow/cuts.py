"""Minimum cuts: the state that an architecture really has, and what can be recalled over a distance."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from recallscope.bounds.dataflow.unroll import unroll
from recallscope.bounds.dataflow.wiring import Wiring, wiring

if TYPE_CHECKING:
    import networkx as nx

    from recallscope.architectures.architecture import Architecture
    from recallscope.architectures.config import ModelConfig

    Model = Architecture | ModelConfig | Wiring


@dataclass(frozen=True)
class Cut:
    """What separates one part of a graph from another.

    Attributes
    ----------
    size : int or float
        Sum of the capacities of the nodes, in the unit of the graph: elements, or bits. `inf` if nothing separates.
    nodes : tuple
        The nodes, by name.
    """

    size: int | float
    nodes: tuple[Any, ...]


def state_cut(model: Model | nx.DiGraph, t: int, bits_per_element: float = 1) -> Cut:
    """Everything that passes from the first `t` positions to later ones: the state after `t` tokens, from the wiring.

    Its size is the sum over the nodes before the cut that any node after it reads, each once, however many read it.
    That is the minimum cut between *all* that is computed before and *all* that is computed after, which any of these
    nodes crosses alone. It equals `state_elements(t)` of the mixers (tests: all of them), but for

    - what is kept and never read again: caches of `sliding_window`, `lambda_window`, `lizard`, `block_recurrent` and
      the window of `compressed_attention` hold w entries between two steps, of which the next step reads w - 1;
    - shift buffers before they are full: k - 1 inputs of zeros are state, and say nothing;
    - layers whose wiring is the most they ever keep (see `wiring`): there the cut may be larger, never smaller.

    It is an upper bound on what the future can know of the past: a cache of t tokens may hold more elements than t
    inputs have, and few later outputs read little. `recall_capacity(model, range(t), range(t, end))` counts that too.

    Parameters
    ----------
    model : Architecture or ModelConfig or Wiring or DiGraph
        Or a graph of your own: nodes with an integer `time`, a `capacity` where they are limited, and `given=True` for
        input that is there whenever it is read, and so is no state.
    t : int
        Positions before the cut, from 0; in a graph at most its positions.
    bits_per_element : float
        Bits that an element holds, for a model; a graph has its own capacities. With 1, the size is in elements.
    """
    if t < 0:
        raise ValueError(f"t: at least 0 positions, got {t}")
    if not _is_graph(model):
        graph = unroll(model, t + 1, bits_per_element=bits_per_element)  # type: ignore[arg-type]
    else:
        graph = _checked(model)
        if t > (end := 1 + max((data["time"] for _, data in graph.nodes(data=True)), default=-1)):
            raise ValueError(f"t: at most the {end} positions of the graph, got {t}")
    of: Any = graph.nodes
    crossing = (u for u, v in graph.edges if of[u]["time"] < t <= of[v]["time"] and not of[u].get("given"))
    nodes = tuple(dict.fromkeys(crossing))
    return Cut(sum(of[node].get("capacity", float("inf")) for node in nodes), nodes)


def recall_capacity(
    model: Model,
    source: int | Iterable[int],
    target: int | Iterable[int],
    *,
    bits_per_element: float = 1,
    token_bits: float | None = None,
    reading: Iterable[int] | None = None,
) -> Cut:
    """The most that the outputs at the target positions can say about the source tokens: a minimum cut between them.

    Proof sketch: every path from a source token to a target crosses each set of nodes that separates the two, so given
    all other tokens the outputs are a function of what those nodes hold, and have at most as much entropy as they have
    bits. The smallest such set is found exactly (max-flow min-cut, Ford & Fulkerson 1956). It is an upper bound, not an
    achievable rate: layers would have to compute just what is best for this source and target.

    One token gives at most one embedding, D elements, and one output takes at most D: ranges of several show what the
    stores allow. Beyond one window w, in a stack of them, everything hops through residual vectors at positions that
    both sides reach: from tokens 0 .. m - 1 to outputs g .. g + n - 1 by two windows at most
    D min(m, n, m + 2 (w - 1) - g), D at the full reach. A target before the source gets 0: no edge leads back in time.

    Parameters
    ----------
    model : Architecture or ModelConfig or Wiring
        Some dozens of positions at most: the graph has of the order of L T² edges.
    source : int or iterable of int
        Tokens.
    target : int or iterable of int
        Positions whose outputs are read. The model is unrolled up to the last of them.
    bits_per_element, token_bits
        As in `unroll`.
    reading : iterable of int or None
        Which token is read at each position, as in `unroll`; None: the one of its own number. In a prompt read p times
        the outputs on B in all readings get up to p S elements of A through a state of S; in one pass that takes a
        state of p S (set intersection: Arora et al. 2024, arXiv 2407.05483).
    """
    tokens, positions = _numbers("source", source), _numbers("target", target)
    text = list(reading) if reading is not None else list(range(max(max(positions), max(tokens)) + 1))
    if max(positions) >= len(text):
        raise ValueError(f"target: positions before {len(text)}, the end of the reading, got {max(positions)}")
    if missing := set(tokens) - set(text):
        raise ValueError(f"source: tokens that are read, got {sorted(missing)}")
    wires = wiring(model)
    graph = unroll(wires, text, bits_per_element=bits_per_element, token_bits=token_bits)
    outputs = [("residual", len(wires.layers), i) for i in positions]
    return minimum_cut(graph, [("token", token) for token in tokens], outputs)


def minimum_cut(graph: nx.DiGraph, source: Iterable[Hashable], target: Iterable[Hashable]) -> Cut:
    """The smallest set of nodes that separates two sets of nodes, which may hold nodes of these themselves.

    Exact: each node is split into an edge of its capacity, and floats are computed with as the fractions that they are.
    Raises `ValueError` for a graph that is not acyclic in time.
    """
    import networkx as nx

    _checked(graph)
    source, target = list(source), list(target)
    for name, nodes in (("source", source), ("target", target)):
        if not nodes or any(node not in graph for node in nodes):
            raise ValueError(f"{name}: at least one node of the graph and no others, got {nodes}")
    flow = nx.DiGraph()
    for node, data in graph.nodes(data=True):
        limit = {"capacity": _exact(data["capacity"])} if data.get("capacity") is not None else {}
        flow.add_edge((node, "in"), (node, "out"), **limit)
    flow.add_edges_from(((u, "out"), (v, "in")) for u, v in graph.edges)
    flow.add_edges_from(("source", (node, "in")) for node in source)
    flow.add_edges_from(((node, "out"), "target") for node in target)
    try:
        size, (before, _) = nx.minimum_cut(flow, "source", "target")
    except nx.NetworkXUnbounded:
        return Cut(float("inf"), ())
    nodes = tuple(node for node in graph if (node, "in") in before and (node, "out") not in before)
    return Cut(int(size) if size == int(size) else float(size), nodes)


def _exact(capacity: int | float) -> int | Fraction:
    """Sums of floats depend on their order, and a flow must balance."""
    return int(capacity) if capacity == int(capacity) else Fraction(capacity)


def _is_graph(model: Any) -> bool:
    return hasattr(model, "nodes") and hasattr(model, "edges")


def _numbers(name: str, value: int | Iterable[int]) -> list[int]:
    numbers = [value] if isinstance(value, int) else list(value)
    if not numbers or min(numbers) < 0:
        raise ValueError(f"{name}: at least one number from 0 on, got {numbers}")
    return numbers


def _checked(graph: Any) -> nx.DiGraph:
    """The graph, if time only goes forward in it."""
    import networkx as nx

    time = dict(graph.nodes(data="time"))
    for node, value in time.items():
        if not isinstance(value, int):
            raise ValueError(f"graph: every node has an integer time, got {value!r} for {node!r}")
    for u, v in graph.edges:
        if time[u] > time[v]:
            raise ValueError(f"graph: no edge leads back in time, got {u!r} at {time[u]} to {v!r} at {time[v]}")
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"graph: acyclic, got the cycle {[u for u, *_ in nx.find_cycle(graph)]}")
    for node, capacity in graph.nodes(data="capacity"):
        if capacity is not None and not 0 <= capacity < float("inf"):
            raise ValueError(f"graph: capacities from 0 on, none where there is no limit, got {capacity} at {node!r}")
    return graph
