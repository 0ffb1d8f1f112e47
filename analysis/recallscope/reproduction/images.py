"""Figures as SVG, where kaleido and a browser are at hand; nothing here needs them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
WIDTH = 1300


def no_svg() -> str:
    """Why no SVG can be written on this machine, in words; empty where it can."""
    try:
        known = version("kaleido")
    except PackageNotFoundError:
        return "kaleido is not installed (pip install 'kaleido>=1')"
    if int(known.partition(".")[0]) < 1:
        return f"kaleido of at least 1, not {known}"
    if not os.environ.get("BROWSER_PATH") and not any(shutil.which(name) for name in BROWSERS):
        return f"no browser: {', '.join(BROWSERS)}, or the one that BROWSER_PATH names"
    return ""


def write_svgs(figures: Mapping[Path, Figure]) -> str:
    """Write every figure to its path, all with one start of the browser; one line that says what was done, or why not.

    Figures are 1,300 px wide, and as high as they are.
    """
    if reason := no_svg():
        return f"no SVG: {reason}"
    import plotly.io

    try:
        plotly.io.write_images(list(figures.values()), [str(path) for path in figures], format="svg", width=WIDTH)
    except RuntimeError as error:  # a browser that does not start is no reason to lose the pages
        lines = str(error).strip().splitlines() or ["the browser failed"]
        return f"no SVG: {lines[0]}"
    size = sum(path.stat().st_size for path in figures)
    return f"{len(figures)} SVG files, {size / 1e6:.1f} MB"
