"""A drawing of a small dataflow graph: graph in, plotly figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look

if TYPE_CHECKING:
    import networkx as nx
    from plotly.graph_objects import Figure

    from recallscope.bounds.dataflow.cuts import Cut

_MOST = 600
_KINDS = {  # marker, family whose colour it has, and how far right of its position it stands
    "token": ("circle-open", "other", 0.0),
    "residual": ("circle", "attention", 0.0),
    "layer": ("square-open", "attention", 0.0),
    "entry": ("triangle-right", "sliding window", 0.25),
    "state": ("diamond", "linear attention", 0.4),
}


def dataflow_figure(graph: nx.DiGraph, cut: Cut | None = None) -> Figure:
    """The unrolled graph of `unroll`: positions to the right, layers upwards; nodes of `cut` are ringed.

    Hovering shows a node's capacity, in the unit of the graph. At most 600 nodes, beyond which nothing can be seen.
    """
    import plotly.graph_objects as go

    if not 1 <= len(graph) <= _MOST:
        raise ValueError(f"graph: 1 to {_MOST} nodes for a drawing, got {len(graph)}; unroll fewer positions")
    if odd := [node for node in graph if not (isinstance(node, tuple) and node[0] in _KINDS)]:
        raise ValueError(f"graph: nodes of unroll ({', '.join(_KINDS)}), got {odd[0]!r}")
    places = {node: (data["time"] + _KINDS[node[0]][2], data["level"]) for node, data in graph.nodes(data=True)}
    figure = go.Figure(layout={"template": look.template()})
    _draw_edges(figure, graph, places)
    for kind in _KINDS:
        nodes = [node for node in graph if node[0] == kind]
        if nodes:
            _draw_nodes(figure, graph, places, kind, nodes)
    if cut is not None:
        _draw_cut(figure, places, cut)
    top = round(max(y for _, y in places.values()) / 2)
    names = ["token", "embedding", *(f"after layer {layer}" for layer in range(top))]
    figure.update_yaxes(tickvals=[-1, *range(0, 2 * top + 1, 2)], ticktext=names, showgrid=False, zeroline=False)
    return figure.update_xaxes(title="position", zeroline=False)


def _draw_edges(figure: Figure, graph: nx.DiGraph, places: dict[Any, tuple[float, float]]) -> None:
    """One trace of all edges; None breaks the line between two."""
    x, y = ([value for u, v in graph.edges for value in (places[u][k], places[v][k], None)] for k in (0, 1))
    line = {"color": look.rgba(look.MUTED["light"], 0.35), "width": 1}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _draw_nodes(
    figure: Figure, graph: nx.DiGraph, places: dict[Any, tuple[float, float]], kind: str, nodes: list[Any]
) -> None:
    symbol, family, _ = _KINDS[kind]
    capacities = [graph.nodes[node].get("capacity") for node in nodes]
    figure.add_scatter(
        x=[places[node][0] for node in nodes],
        y=[places[node][1] for node in nodes],
        mode="markers",
        name=kind,
        marker={"symbol": symbol, "color": look.FAMILIES[family].color, "size": 9},
        hovertext=[
            f"{' '.join(map(str, node))}<br>" + ("no limit" if capacity is None else f"{float(capacity):,.6g}")
            for node, capacity in zip(nodes, capacities, strict=True)
        ],
        hoverinfo="text",
    )


def _draw_cut(figure: Figure, places: dict[Any, tuple[float, float]], cut: Cut) -> None:
    missing = [node for node in cut.nodes if node not in places]
    if missing:
        raise ValueError(f"cut: of this graph, got {missing[0]!r} which is not in it")
    figure.add_scatter(
        x=[places[node][0] for node in cut.nodes],
        y=[places[node][1] for node in cut.nodes],
        mode="markers",
        name=f"cut: {float(cut.size):,.6g}",
        marker={"symbol": "circle-open", "color": look.WORSE, "size": 16, "line": {"width": 2}},
        hoverinfo="skip",
    )
