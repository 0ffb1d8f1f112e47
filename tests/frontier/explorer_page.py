"""An explorer page of made-up models for the tests, and how it is looked into."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import plotly.offline
import pytest
from recallscope.evidence import evidence
from recallscope.frontier import frontiers, write_explorer
from slicing.report import chrome


def fake_rows(count: int) -> list[dict[str, Any]]:
    """Models with an accuracy on two tests and a loss, against a state, parameters and a latency."""
    rng, made = np.random.default_rng(0), []
    names = ("attention", "mamba", "based", "delta_net", "hyena")
    for k in range(count):
        published, cost = bool(k % 3), float(10 ** rng.uniform(3, 7))
        base = {"subject": f"{names[k % 5]} {k}", "kind": "published" if published else "measured", "table": "fake"}
        base |= {
            "scale": ("360M", "1.3B")[k % 2],
            "row": str(k),
            "source": f"Paper {k % 7}, Table {k}",
            "trust": "read",
        }
        quality = float(np.clip(0.15 * np.log10(cost) - 0.3 + rng.normal(0, 0.1), 0.01, 0.99))
        test = {"task": "MQAR", "vocabulary": 64, "length": 64, "pairs": 8, "state_elements": round(cost / 4)}
        bounds = {"low": quality - 0.01, "high": min(quality + 0.01, 1)} if k % 4 else {}
        made.append(base | bounds | test | {"metric": "accuracy", "value": quality, "unit": "1"})
        made.append(base | {"metric": "loss", "value": 3 - quality, "unit": "nats", "parameters": 1000 + k})
        made.append(base | {"metric": "latency", "value": 0.1 + cost / 1e6, "unit": "ms", "batch": 16})
    return made


ROWS = fake_rows(60)
(START,) = frontiers(evidence(ROWS), "accuracy", "state_bytes")
STUB = """window.rowsBefore = document.querySelectorAll('#table tbody tr').length;
window.Plotly = { react(place, data) { window.drawn = data; place.on = () => {}; } };"""


def written(folder: Path, rows: list[dict[str, Any]], start: Any = None, plotly_too: bool = False) -> str:
    with pytest.MonkeyPatch.context() as patch:
        if not plotly_too:  # it takes long to compile, and what it is given can be looked at
            patch.setattr(plotly.offline, "get_plotlyjs", lambda: STUB)
        write_explorer(folder / "page.html", evidence(rows), start)
    assert [path.name for path in folder.iterdir()] == ["page.html"]
    return (folder / "page.html").as_uri()


def text(tab: chrome.Browser, name: str) -> str:
    return tab.run("return document.getElementById(arguments[0]).textContent", name)


def cells(tab: chrome.Browser) -> list[list[str]]:
    return tab.run(
        "return [...document.querySelectorAll('#table tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )


def set_value(tab: chrome.Browser, name: str, value: Any, event: str = "change") -> None:
    tab.run(
        "const node = document.getElementById(arguments[0]); node.value = arguments[1];"
        "node.dispatchEvent(new Event(arguments[2], { bubbles: true }))",
        name, value, event,
    )  # fmt: skip


def fragment(tab: chrome.Browser) -> dict[str, list[str]]:
    return urllib.parse.parse_qs(tab.run("return location.hash.slice(1)"))
