"""Minimum cuts: against every set of nodes, linear programs and flows; properties; bad graphs."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.bounds.dataflow import Wiring, minimum_cut, recall_capacity, state_cut, unroll
from scipy.optimize import linprog


def smallest_separator(graph: nx.DiGraph, source: list, target: list) -> float:
    """By trying every set of limited nodes."""
    limited = [node for node, capacity in graph.nodes(data="capacity") if capacity is not None]
    best = float("inf")
    for size in range(len(limited) + 1):
        for nodes in itertools.combinations(limited, size):
            rest = graph.subgraph(set(graph) - set(nodes))
            if not any(u in rest and v in rest and nx.has_path(rest, u, v) for u in source for v in target):
                best = min(best, sum(graph.nodes[node]["capacity"] for node in nodes))
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_minimum_cut_is_the_smallest_separator(seed):
    random = np.random.default_rng(seed)
    graph = nx.DiGraph()
    for i in range(7):
        graph.add_node(i, time=i // 2, **({"capacity": int(random.integers(1, 9))} if random.random() < 0.8 else {}))
    graph.add_edges_from((i, j) for i in range(7) for j in range(i + 1, 7) if random.random() < 0.4)
    cut = minimum_cut(graph, [0, 1], [5, 6])
    assert cut.size == smallest_separator(graph, [0, 1], [5, 6])
    if cut.nodes:
        assert sum(graph.nodes[node]["capacity"] for node in cut.nodes) == cut.size
        rest = graph.subgraph(set(graph) - set(cut.nodes))
        assert not any(u in rest and v in rest and nx.has_path(rest, u, v) for u in (0, 1) for v in (5, 6))


def greatest_flow(graph: nx.DiGraph, source: list, target: list) -> float:
    """By linear programming on the edges, with what passes through a node at most its capacity."""
    edges = [*graph.edges, *(("in", node) for node in source), *((node, "out") for node in target)]
    balance = np.zeros((len(graph), len(edges)))
    passing, capacities = [], []
    for row, node in enumerate(graph):
        into = np.array([v == node for _, v in edges], dtype=float)
        balance[row] = into - np.array([u == node for u, _ in edges])
        if (capacity := graph.nodes[node].get("capacity")) is not None:
            passing.append(into)
            capacities.append(capacity)
    value = -np.array([float(isinstance(u, str) and u == "in") for u, _ in edges])
    return -linprog(value, np.array(passing), capacities, balance, np.zeros(len(graph))).fun


def test_capacities_of_a_hybrid_equal_a_linear_program():
    model = Wiring(3, (Dataflow((Span(1, 2, 5),), 4), Dataflow((Span(0, 3, 2), Span(0, 2, 1)), 2), Dataflow(state=7)))
    graph = unroll(model, 7)
    for source, target in ((range(3), range(4, 7)), (range(5), [6]), ([0], range(7)), ([1, 2], [5, 6])):
        want = greatest_flow(graph, [("token", j) for j in source], [("residual", 3, i) for i in target])
        assert recall_capacity(model, source, target).size == pytest.approx(want, abs=1e-9)


def test_the_state_cut_is_a_minimum_cut_of_everything_before_and_after():
    model = Wiring(3, (Dataflow((Span(1, 2, 5),), 4), Dataflow((Span(0, 3, 2),)), Dataflow(state=7)), (0, 1, 0))
    graph = unroll(model, 8)
    for t in range(1, 8):
        flow = nx.DiGraph()
        for node, data in graph.nodes(data=True):
            before = data["time"] < t
            flow.add_edge("before", node) if before else flow.add_edge(node, "after")
        for u, v in graph.edges:
            if graph.nodes[u]["time"] < t <= graph.nodes[v]["time"]:
                flow.add_edge(u, (u, "kept"), capacity=graph.nodes[u]["capacity"])
                flow.add_edge((u, "kept"), v)
        assert state_cut(graph, t).size == nx.maximum_flow_value(flow, "before", "after")
        assert state_cut(model, t).size == state_cut(graph, t).size


# Properties ----------------------------------------------------------------------------------------------------------

flows = st.builds(
    Dataflow,
    st.lists(st.builds(Span, st.integers(0, 2), st.integers(1, 4), st.integers(1, 5)), max_size=2).map(tuple),
    st.integers(0, 6),
)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.lists(flows, min_size=1, max_size=2), st.integers(1, 5), st.integers(1, 4))
def test_capacity_is_at_most_state_inputs_and_outputs_and_grows_with_each(width, layers, t, after):
    model = Wiring(width, tuple(layers))
    got = recall_capacity(model, range(t), range(t, t + after)).size
    assert got <= min(state_cut(model, t).size, width * t, width * after)
    assert got <= recall_capacity(model, range(t), range(t, t + after + 1)).size
    assert got <= recall_capacity(Wiring(width + 1, tuple(layers)), range(t), range(t, t + after)).size
    assert got * 2.5 == recall_capacity(model, range(t), range(t, t + after), bits_per_element=2.5).size


# Bad input -----------------------------------------------------------------------------------------------------------


def timed(*edges: tuple[str, str], **times: int) -> nx.DiGraph:
    graph: Any = nx.DiGraph(edges)
    nx.set_node_attributes(graph, times, "time")
    return graph


WINDOW = Wiring(4, (Dataflow((Span(0, 3, 8),)),))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: state_cut(WINDOW, -1), "t: at least 0 positions, got -1"),
        (lambda: state_cut(unroll(WINDOW, 4), 5), "t: at most the 4 positions of the graph, got 5"),
        (
            lambda: state_cut(timed(("a", "b"), a=1, b=0), 1),
            "graph: no edge leads back in time, got 'a' at 1 to 'b' at 0",
        ),
        (lambda: state_cut(timed(("a", "b"), a=1), 1), "graph: every node has an integer time, got None for 'b'"),
        (lambda: minimum_cut(timed(("a", "b"), ("b", "a"), a=0, b=0), "a", "b"), "graph: acyclic, got the cycle"),
        (lambda: minimum_cut(timed(("a", "b"), a=0, b=0), [], "b"), "source: at least one node of the graph"),
        (lambda: minimum_cut(timed(("a", "b"), a=0, b=0), "a", "c"), r"target: .* and no others, got \['c'\]"),
        (lambda: recall_capacity(WINDOW, -1, 3), "source: at least one number from 0 on"),
        (lambda: recall_capacity(WINDOW, 0, []), "target: at least one number from 0 on"),
        (lambda: recall_capacity(WINDOW, 0, 3, reading=[0, 1]), "target: positions before 2, .*, got 3"),
        (lambda: recall_capacity(WINDOW, 2, 1, reading=[0, 1]), r"source: tokens that are read, got \[2\]"),
        (lambda: unroll(WINDOW, 0), "reading: at least one position, .*, got 0"),
        (lambda: unroll(WINDOW, [0, -1]), "reading: .* counted from 0, got"),
        (lambda: unroll(WINDOW, 2, bits_per_element=0), "bits_per_element: above 0, got 0"),
        (lambda: unroll(WINDOW, 2, token_bits=-3), "token_bits: above 0, got -3"),
    ],
)
def test_bad_graphs_and_times(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_negative_capacities_are_refused():
    graph = timed(("a", "b"), a=0, b=1)
    graph.nodes["a"]["capacity"] = -1
    with pytest.raises(ValueError, match=r"graph: capacities from 0 on, .*, got -1 at 'a'"):
        state_cut(graph, 1)
