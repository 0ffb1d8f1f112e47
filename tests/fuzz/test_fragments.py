"""Hostile addresses of the pages: no script of theirs runs, no error, and what is not known changes nothing.

`RECALLSCOPE_FUZZ=200 pytest tests/fuzz/test_fragments.py` opens that many for each page; the default is fewer.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import plotly.graph_objects as go
import plotly.offline
import pytest
from frontier.explorer_page import fake_rows, written
from recallscope.profiling.output import figures_page
from recallscope.slicing.report import write_report
from slicing.report import chrome
from slicing.report.fake_report import HOSTILE, fake_report, fake_view

pytestmark = pytest.mark.skipif(not chrome.AVAILABLE, reason=chrome.MISSING)

COPIES = int(os.environ.get("RECALLSCOPE_FUZZ", "12"))
NAMES = {
    "report": ("document", "model", "slice", "token"),
    "explorer": ("quality", "cost", "without-family", "sort", "budget", "target", "point"),
}
ODD = (
    "", "-1", "1e999", "NaN", "Infinity", "99999999999999999999", "0x10", "1.5", "--", "null", "undefined", "[]", "{}",
    "__proto__", "constructor", "toString", "hasOwnProperty", "javascript:window.pwned=1", HOSTILE, "%", "%E0%A4%A",
    "\u202e\u0000\ud7ff", "a" * 20_000, "<img src=x onerror=window.pwned=1>", "'\"`${window.pwned=1}",
)  # fmt: skip


def fragment(rng: random.Random, names: tuple[str, ...]) -> str:
    """A few of the names that the page knows, or others, with values that it does not know."""
    chosen = rng.choices((*names, "__proto__", "x", HOSTILE), k=rng.choice((1, 1, 2, 4)))
    raw = rng.random() < 0.3  # as somebody may type it; else as a link has it
    sides = [(name, rng.choice(ODD)) for name in chosen]
    return rng.choice("&&&;").join(f"{n}={v}" if raw else f"{quote(n)}={quote(v)}" for n, v in sides)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Both pages, with a stub for plotly: what reads the address is not plotly."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotly.offline, "get_plotlyjs", lambda: "window.Plotly = { react() {} };")
        views = [fake_view("first", 300, seed=1), fake_view("second", 200, seed=2)]
        write_report(folder / "report.html", fake_report(), views)
    return {
        "report": (folder / "report.html").as_uri(),
        "explorer": written(tmp_path_factory.mktemp("explorer"), fake_rows(12)),
    }


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chrome.Browser]:
    with chrome.browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


SHOWN = """return [...document.querySelectorAll('select, input:not([type=search])')].map(
    (one) => one.type === 'checkbox' ? one.checked : one.value).concat(
    [...document.querySelectorAll('#table tbody tr, #scroller .t')].map((one) => one.textContent))"""


@pytest.mark.parametrize("page", NAMES)
def test_hostile_fragments_change_nothing(page: str, pages: dict[str, str], tab: chrome.Browser) -> None:
    rng, address = random.Random(page), pages[page]
    tab.open(address)
    usual = tab.run(SHOWN)
    assert len(usual) > 12 and tab.log() == []
    for _ in range(COPIES):
        asked = fragment(rng, NAMES[page])
        tab.open("about:blank")
        tab.open(f"{address}#{asked}")
        assert tab.log() == [], asked
        assert tab.run("return window.pwned ?? {}.pwned ?? null") is None, asked
        assert tab.run("return document.querySelectorAll('img').length") == 0, asked
        assert tab.run(SHOWN) == usual, asked


@pytest.mark.parametrize("page, known", [("report", "document=1"), ("explorer", "sort=cost falling")])
def test_a_known_fragment_changes_what_is_shown(page: str, known: str, pages: dict[str, str], tab: chrome.Browser):
    tab.open(pages[page])
    usual = tab.run(SHOWN)
    tab.open("about:blank")
    tab.open(f"{pages[page]}#{known}")
    assert tab.run(SHOWN) != usual


def test_hostile_names_in_the_explorer(tmp_path: Path, tab: chrome.Browser) -> None:
    rows = fake_rows(6)
    for row in rows[:3]:
        row |= {"subject": HOSTILE, "source": HOSTILE}
    tab.open(written(tmp_path, rows))
    assert tab.run("return window.pwned ?? null") is None and tab.log() == []
    assert tab.run("return document.querySelectorAll('img').length") == 0
    shown = tab.run("return [...document.querySelectorAll('#table tbody tr')].map((row) => row.textContent)")
    assert any("<img src=x onerror=window.pwned=1>" in text for text in shown)


def test_hostile_names_in_a_page_of_figures(tmp_path: Path, tab: chrome.Browser) -> None:
    """With plotly itself, which obeys some tags in names."""
    figure = go.Figure(go.Bar(x=[HOSTILE, "<a href='javascript:window.pwned=1'>b</a>"], y=[1, 2], name=HOSTILE))
    figure.update_layout(title=HOSTILE, showlegend=True)
    (tmp_path / "page.html").write_text(figures_page([figure], HOSTILE, HOSTILE), encoding="utf-8")
    tab.open((tmp_path / "page.html").as_uri())
    tab.later("const done = arguments[0]; setTimeout(done, 500)")
    assert tab.run("return document.querySelectorAll('.bars .point').length") == 2  # it was drawn
    assert tab.run("return window.pwned ?? null") is None and tab.log() == []
    assert tab.run("return document.querySelectorAll('img, a[href^=javascript]').length") == 0
    assert tab.run("return document.querySelector('pre').textContent") == HOSTILE
