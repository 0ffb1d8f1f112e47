"""The drawing shows every node once, where it stands, and rings the cut."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from recallscope import look
from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.bounds import dataflow
from recallscope.bounds.dataflow import Cut, Wiring, recall_capacity, unroll

dataflow_figure: Any = dataflow.dataflow_figure  # the traces of a plotly figure have no static types
MODEL = Wiring(4, (Dataflow((Span(0, 3, 8),)), Dataflow(state=6)))


def test_the_figure_draws_every_node_and_the_cut():
    graph, cut = unroll(MODEL, 5), recall_capacity(MODEL, range(3), range(3, 5))
    figure = dataflow_figure(graph, cut)
    traces = {trace.name: trace for trace in figure.data if trace.name}
    counts = {name: len(trace.x) for name, trace in traces.items()}
    assert counts.pop(f"cut: {cut.size}") == len(cut.nodes)
    assert counts == {"token": 5, "residual": 15, "layer": 10, "entry": 5, "state": 5}
    assert "state 1 0<br>6" in traces["state"].hovertext and "layer 0 0<br>no limit" in traces["layer"].hovertext
    assert figure.data[0].x.count(None) == graph.number_of_edges()
    assert list(figure.layout.yaxis.ticktext) == ["token", "embedding", "after layer 0", "after layer 1"]
    assert figure.layout.template == look.template() and figure.layout.xaxis.title.text == "position"


@pytest.mark.parametrize(
    ("graph", "cut", "match"),
    [
        (unroll(MODEL, 90), None, "graph: 1 to 600 nodes for a drawing, got 720"),
        (nx.DiGraph([("a", "b")]), None, "graph: nodes of unroll .*, got 'a'"),
        (unroll(MODEL, 2), Cut(1, (("state", 0, 9),)), r"cut: of this graph, got \('state', 0, 9\)"),
    ],
)
def test_bad_drawings(graph, cut, match):
    with pytest.raises(ValueError, match=match):
        dataflow_figure(graph, cut)
