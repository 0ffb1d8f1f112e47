"""Figures of loss laws: constants and optima, residuals, the efficient exponent against β."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.scaling.tables import EXPONENT, RATIO, RESIDUAL

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

Row = dict[str, Any]

LETTERS = {"E": "E", "A": "A", "alpha": "α", "B": "B", "beta": "β", "C": "C", "sigma": "σ"}
LOGARITHMIC = ("A", "B", "C")
TICKS = [digit * 10**power for power in range(-3, 13) for digit in (1, 2, 3, 5)]
LOG: dict[str, Any] = {"type": "log", "tickvals": TICKS, "tickformat": "~s"}  # an axis may be less than a decade
LINEAR: dict[str, Any] = {"type": "linear"}
HOLLOW = ("circle-open", "diamond-open", "square-open", "triangle-up-open", "star-open", "hexagon-open")


def constants_of_laws(table: pa.Table) -> Figure:
    """Constants of loss laws with their intervals, a panel each, and the optimal tokens per parameter against compute.

    `table` has rows of the metrics E, A, alpha, B, beta (C, sigma), one per law (`subject`), and of
    `tokens per parameter` with a column `flops`. Published laws are hollow; a band is the interval of bootstrap rows.
    """
    from plotly.subplots import make_subplots

    shown = (*LETTERS, RATIO)
    rows = [row for row in table.to_pylist() if row["value"] is not None and row["metric"] in shown]
    metrics = [name for name in LETTERS if any(row["metric"] == name for row in rows)]
    ratios = [row for row in rows if row["metric"] == RATIO]
    if not metrics:
        raise ValueError(f"table: rows of some of the metrics {', '.join(LETTERS)}, got none")
    across = max((len(metrics) + 1) // 2, 3)
    titles = [LETTERS[name] for name in metrics] + ["optimal tokens per parameter"] * bool(ratios)
    figure = make_subplots(
        2, across, subplot_titles=titles, vertical_spacing=0.2, horizontal_spacing=0.08,
    )  # fmt: skip
    names = list(dict.fromkeys(row["subject"] for row in rows))
    styles = {name: _style(i, name, rows) for i, name in enumerate(names)}
    for place, metric in enumerate(metrics):
        row, col = 1 + place // across, 1 + place % across
        for name in names:
            _constant(
                figure, [r for r in rows if r["metric"] == metric and r["subject"] == name], styles[name], row, col
            )
        figure.update_xaxes(
            showticklabels=False, ticks="", zeroline=False, range=[-0.6, len(names) - 0.4], row=row, col=col
        )
        figure.update_yaxes(**(LOG if metric in LOGARITHMIC else LINEAR), row=row, col=col)
    if ratios:
        place = len(metrics)
        row, col = 1 + place // across, 1 + place % across
        for name in names:
            _curve(figure, [r for r in ratios if r["subject"] == name], styles[name], row, col)
        figure.update_xaxes(type="log", title="training FLOPs", exponentformat="power", row=row, col=col)
        figure.update_yaxes(**LOG, row=row, col=col)
    figure.update_layout(template=look.template(), height=620, margin={"t": 96})
    return figure.update_layout(legend={"y": 1.07})


def residuals_of_fit(table: pa.Table) -> Figure:
    """ln(measured / predicted) of every run against tokens per parameter (or against its first size)."""
    import plotly.graph_objects as go

    rows = [row for row in table.to_pylist() if row["metric"] == RESIDUAL]
    if not rows:
        raise ValueError(f"table: rows of the metric {RESIDUAL!r}, got none")
    sizes = [name for name in ("N", "D", "S") if rows[0].get(name) is not None]
    both = sizes[:2] == ["N", "D"]
    x = [row["D"] / row["N"] if both else row[sizes[0]] for row in rows]
    hover = ["<br>".join([*(f"{name} {row[name]:.4g}" for name in sizes), f"loss {row['loss']:.4f}"]) for row in rows]
    figure = go.Figure(layout={"template": look.template(), "height": 460})
    marker = {"color": look.BETTER, "size": 7, "opacity": 0.7}
    figure.add_scatter(
        x=x, y=[row["value"] for row in rows], mode="markers", marker=marker, text=hover, hoverinfo="text+y"
    )
    figure.update_xaxes(type="log", title="tokens per parameter" if both else sizes[0])
    return figure.update_yaxes(title="ln(measured loss / law)").add_hline(y=0, line={"color": look.MUTED["light"]})


def efficient_exponent_against_beta(table: pa.Table) -> Figure:
    """The exponent γ of N ∝ D^γ between 1 - 2β and 1 - β, at the β of each law, and the interval in print.

    `table` has rows of the metric `exponent of efficient size`: with `beta` (and `beta_low`, `beta_high`) for a law,
    without for what is in print.
    """
    import plotly.graph_objects as go

    rows = [row for row in table.to_pylist() if row["metric"] == EXPONENT and row["low"] is not None]
    laws = [row for row in rows if row.get("beta") is not None]
    if not laws:
        raise ValueError(f"table: rows of the metric {EXPONENT!r} with a column beta, got none")
    figure = go.Figure(layout={"template": look.template(), "height": 480})
    right = max(max(row.get("beta_high") or 0, row["beta"]) for row in laws) + 0.05
    left = max(min(row["beta"] for row in laws) - 0.08, 0.0)
    style = look.FAMILIES["linear attention"]
    figure.add_scatter(
        x=[left, right, right, left], y=[1 - left, 1 - right, 1 - 2 * right, 1 - 2 * left],
        name="1 - 2β to 1 - β (reconstructed)", **(look.band(style, "band") | {"showlegend": True}),
    )  # fmt: skip
    for row in rows:
        if row["kind"] == "published" and row["value"] is None:
            figure.add_hrect(y0=row["low"], y1=row["high"], fillcolor=look.rgba(look.WORSE, 0.12), line={"width": 0},
                             annotation={"text": f"in print: {row['low']:g} to {row['high']:g}"})  # fmt: skip
    for i, row in enumerate(laws):
        color = list(look.FAMILIES.values())[i % len(look.FAMILIES)].color
        ends = None if row.get("beta_low") is None else {
            "type": "data", "symmetric": False, "array": [row["beta_high"] - row["beta"]] * 2,
            "arrayminus": [row["beta"] - row["beta_low"]] * 2, "thickness": 1.2, "width": 3,
        }  # fmt: skip
        figure.add_scatter(
            x=[row["beta"]] * 2, y=[row["low"], row["high"]], name=look.plain(row["subject"]), error_x=ends,
            mode="lines+markers", line={"color": color, "width": 2},
            marker={"size": 8, "symbol": HOLLOW[i % len(HOLLOW)]},
        )  # fmt: skip
    figure.update_xaxes(title="β, exponent of data in the loss law", range=[left, right])
    return figure.update_yaxes(title="γ, exponent of size in tokens")


def _style(index: int, name: str, rows: list[Row]) -> dict[str, Any]:
    published = any(row["kind"] == "published" for row in rows if row["subject"] == name)
    symbol = HOLLOW[index % len(HOLLOW)]
    color = list(look.FAMILIES.values())[index % len(look.FAMILIES)].color
    return {"x": index, "color": color, "symbol": symbol if published else symbol.removesuffix("-open"), "name": name}


def _constant(figure: Figure, rows: list[Row], style: dict[str, Any], row: int, col: int) -> None:
    for one in rows:
        known = one["low"] is not None and one["high"] is not None
        error = {
            "type": "data", "symmetric": False, "array": [one["high"] - one["value"]] if known else [0],
            "arrayminus": [one["value"] - one["low"]] if known else [0], "thickness": 1.4, "width": 4,
        }  # fmt: skip
        figure.add_scatter(
            x=[style["x"]], y=[one["value"]], name=look.plain(style["name"]), legendgroup=style["name"],
            showlegend=one["metric"] == "E", mode="markers", error_y=error if known else None,
            marker={"color": style["color"], "symbol": style["symbol"], "size": 10, "line": {"width": 1.8}},
            hovertext=f"{look.plain(one['subject'])}<br>{one['metric']} {one['value']:.5g}", hoverinfo="text",
            row=row, col=col,
        )  # fmt: skip


def _curve(figure: Figure, rows: list[Row], style: dict[str, Any], row: int, col: int) -> None:
    rows = sorted(rows, key=lambda one: one["flops"])
    if not rows:
        return
    if all(one["low"] is not None for one in rows):
        x = [one["flops"] for one in rows]
        band = look.band(look.Style(style["color"], "circle"), style["name"])
        y = [one["low"] for one in rows] + [one["high"] for one in rows[::-1]]
        figure.add_scatter(x=x + x[::-1], y=y, **band, row=row, col=col)
    figure.add_scatter(
        x=[one["flops"] for one in rows], y=[one["value"] for one in rows], mode="lines", showlegend=False,
        legendgroup=style["name"], name=look.plain(style["name"]), line={"color": style["color"], "width": 1.8},
        row=row, col=col,
    )  # fmt: skip
