"""Assembling and writing the explorer page."""

from __future__ import annotations

import os
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from recallscope.disk import write_text
from recallscope.frontier.axes import COLUMNS, COSTS, QUALITIES
from recallscope.frontier.explorer.payload import payload
from recallscope.slicing.report import embed
from recallscope.slicing.report.figures import templates

if TYPE_CHECKING:
    import pyarrow as pa

    from recallscope.frontier.points import Frontier

SCRIPTS = ("data.js", "readings.js", "link.js", "table.js", "plot.js", "controls.js")


def write_explorer(path: str | os.PathLike[str], table: pa.Table, start: Frontier | None = None) -> None:
    """Write the explorer as one HTML file that needs no network; it opens with the axes of `start`, one of `frontiers`.

    It holds every quality and every cost in the table whose direction is known (`axes`), and those of `start`; rows are
    joined as for `frontiers`. The file appears under its name when complete. Choices stand in the URL's fragment: a
    link shows what its sender saw. Raises `ValueError` for a table in which no model has a quality and a cost.
    """
    text = page(table, start)
    target = Path(path)
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise ValueError(f"path: a file in a folder that exists, got {str(target)!r}")
    write_text(target, text)


def page(table: pa.Table, start: Frontier | None = None) -> str:
    """The HTML text. Text of rows stands in it as JSON, and reaches the page as text nodes or escaped for plotly."""
    import plotly.offline

    qualities, costs, columns = dict(QUALITIES), dict(COSTS), dict(COLUMNS)
    if start:
        qualities[start.quality.metric], costs[start.cost.metric] = start.quality.better, start.cost.better
        if not start.cost.setting and start.cost.metric not in COSTS:
            columns[start.cost.metric] = start.cost.unit
    data = payload(table.to_pylist(), qualities, costs, columns)
    if not data["models"]:
        raise ValueError("table: rows of a model with a quality and a cost whose directions are known, got none")
    data["start"] = {"quality": start.quality.label, "cost": start.cost.label} if start else {}
    data["templates"] = templates()
    scripts = [
        files("recallscope.slicing.report").joinpath("theme.js").read_text(encoding="utf-8"),
        '"use strict";\n(() => {\n' + "\n".join(map(_asset, SCRIPTS)) + "})();",
        plotly.offline.get_plotlyjs(),
        'document.dispatchEvent(new Event("plotly"));',
    ]
    report_style = files("recallscope.slicing.report").joinpath("page.css").read_text(encoding="utf-8")
    return Template(_asset("explorer.html")).substitute(
        policy=escape(embed.policy(scripts)),
        style=report_style + _asset("explorer.css"),
        data=embed.to_json(data),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )


def _asset(name: str) -> str:
    return files("recallscope.frontier.explorer").joinpath(name).read_text(encoding="utf-8")
