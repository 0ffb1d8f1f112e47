"""The report page in a real browser, with 50,000 tokens: what it loads, shows and does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.offline
import pytest
from recallscope.slicing.report import write_report
from recallscope.slicing.report.words import number

from . import chrome
from .fake_report import HOSTILE, fake_report, fake_view, hostile

pytestmark = pytest.mark.skipif(not chrome.AVAILABLE, reason=chrome.MISSING)

VIEWS = [
    fake_view("long", 40_000, seed=1),
    fake_view("short" + HOSTILE, 9_000, seed=2),
    fake_view("last", 1_000, seed=3),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the page as users get it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, fake_report(), VIEWS)
    return path.as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page with a stub for plotly: the token view does not need it, and it takes long to compile."""
    path = tmp_path_factory.mktemp("light") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotly.offline, "get_plotlyjs", lambda: "window.Plotly = { react() {} };")
        write_report(path, fake_report(), VIEWS)
    yield path.as_uri()


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chrome.Browser]:
    with chrome.browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def tab(driven: chrome.Browser, address: str) -> Iterator[chrome.Browser]:
    """The page, freshly loaded; at the end of every test the console must be free of errors."""
    driven.open("about:blank")
    driven.log()
    driven.open(address)
    _settle(driven)
    yield driven
    assert driven.log() == []


def _settle(tab: chrome.Browser) -> None:
    tab.later("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")


def _about(tab: chrome.Browser) -> list[str]:
    return tab.run("return [...document.querySelectorAll('#about dd')].map((node) => node.textContent)")


def _focused(tab: chrome.Browser) -> int:
    return tab.run("return document.activeElement.token ?? -1")


def _choose(tab: chrome.Browser, menu: str, value: int) -> None:
    tab.run(
        "const menu = document.getElementById(arguments[0]); menu.value = arguments[1];"
        "menu.dispatchEvent(new Event('change'))",
        menu,
        value,
    )


def _expected(view: dict[str, Any], at: int, model: str = "based") -> list[str]:
    low, high = round(view["losses"]["attention"][at], 3), round(view["losses"][model][at], 3)
    return [number(low, 3), number(high, 3), number(round(high - low, 3), 3, signed=True)]


def _ranked(model: str, slice_index: int | None = None) -> list[tuple[int, int]]:
    scored = []
    for d, view in enumerate(VIEWS):
        for i, (low, high) in enumerate(zip(view["losses"]["attention"], view["losses"][model], strict=True)):
            if low is not None and (slice_index is None or view["slice"][i] == slice_index):
                difference = abs(round(high * 1000) - round(low * 1000))
                scored.append((-difference, d, i))
    return [(d, i) for difference, d, i in sorted(scored) if difference]


def test_the_page_loads_nothing_but_itself(driven: chrome.Browser, whole: str) -> None:
    driven.open("about:blank")
    driven.requests()
    driven.open(whole)
    _settle(driven)
    assert driven.requests() == [whole]
    assert driven.log() == []


def test_all_text_is_there_but_only_tokens_near_the_window_are_elements(tab: chrome.Browser) -> None:
    assert tab.run("return document.getElementById('scroller').textContent") == "".join(VIEWS[0]["text_pieces"])
    spans = tab.run(
        "return [...document.querySelectorAll('#scroller .t')].map((node) => [node.token, node.textContent])"
    )
    assert 100 < len(spans) < 5000
    assert all(VIEWS[0]["text_pieces"][token] == text for token, text in spans)


def test_turning_plain_text_into_tokens_moves_nothing(tab: chrome.Browser) -> None:
    heights = """
      const block = [...document.querySelectorAll('.block')].find((node) => !node.block.spans);
      block.style.contentVisibility = 'visible';
      const before = block.getBoundingClientRect().height;
      block.scrollIntoView();
      const done = arguments[0];
      setTimeout(() => done([before, block.getBoundingClientRect().height, block.block.spans.length]), 300)"""
    before, after, count = tab.later(heights)
    assert count >= 100 and abs(after - before) <= 25  # at most one line: the signs at line ends may wrap


def test_next_goes_to_the_largest_difference_and_says_everything(tab: chrome.Browser) -> None:
    order = _ranked("based")
    for place in range(3):
        tab.run("document.getElementById('next').click()")
        d, i = order[place]
        assert tab.run("return Number(document.getElementById('document').value)") == d
        assert _focused(tab) == i
        rows = _about(tab)
        assert rows[:3] == _expected(VIEWS[d], i)
        assert rows[3] == fake_report()["comparisons"][0]["partitions"]["recall"][VIEWS[d]["slice"][i]]["slice"]
        assert rows[2] in tab.run("return document.getElementById('live').textContent")
        assert tab.run("return document.getElementById('rank').textContent") == f"{place + 1} of {len(order):,}"
    tab.press("p")
    assert _focused(tab) == order[1][1]
    tab.press("k", "j", "n")
    assert _focused(tab) == order[2][1]


def test_slice_and_model_choose_what_is_ranked_and_tinted(tab: chrome.Browser) -> None:
    _choose(tab, "model", 2)
    _choose(tab, "slice", 0)
    order = _ranked("mamba", 0)
    tab.run("document.getElementById('next').click()")
    assert _focused(tab) == order[0][1]
    assert _about(tab)[:3] == _expected(VIEWS[order[0][0]], order[0][1], "mamba")
    assert tab.run("return document.getElementById('rank').textContent") == f"1 of {len(order):,}"
    _settle(tab)
    shown = """
      const near = [...document.querySelectorAll('#scroller .t')].filter((node) => node.parentNode.block.near);
      return near.map((node) => [node.token, node.className])"""
    view = VIEWS[order[0][0]]
    assert all(("out" in name) == (view["slice"][token] != 0) for token, name in tab.run(shown))


def test_tints_follow_the_difference(tab: chrome.Browser) -> None:
    def tint(token: int) -> str:
        low, high = VIEWS[0]["losses"]["attention"][token], VIEWS[0]["losses"]["based"][token]
        difference = 0 if low is None else (round(high * 1000) - round(low * 1000)) / 1000
        level = sum(abs(difference) >= edge for edge in (0.1, 0.3, 1, 3))
        return "" if not level else f"{'w' if difference > 0 else 'b'}{level}"

    spans = tab.run("return [...document.querySelectorAll('#scroller .t')].map((node) => [node.token, node.className])")
    assert {token: name.split()[1:] for token, name in spans} == {token: tint(token).split() for token, _ in spans}
    assert len({name for _, name in spans}) >= 6


def test_keys_move_the_token(tab: chrome.Browser) -> None:
    tab.run("document.getElementById('scroller').focus()")
    tab.press("right", "right", "right", "left")
    assert _focused(tab) == 1
    assert _about(tab)[:3] == _expected(VIEWS[0], 1)
    tab.press("down")
    below = _focused(tab)
    boxes = """
      const tokens = [...document.querySelectorAll('#scroller .t')];
      const [a, b] = arguments[0].map((i) => tokens.find((node) => node.token === i).getClientRects()[0]);
      return [a.top, b.top, b.left - a.left]"""
    first, second, shift = tab.run(boxes, [1, below])
    assert 15 < second - first < 40 and abs(shift) < 120
    tab.press("up")
    assert _focused(tab) <= 3
    tab.press("end")
    assert _focused(tab) == len(VIEWS[0]["text_pieces"]) - 1


def test_enter_goes_to_the_earlier_occurrence(tab: chrome.Browser) -> None:
    order = [(d, i) for d, i in _ranked("based", 0) if VIEWS[d]["distance"][i]]
    _choose(tab, "slice", 0)
    tab.run("document.getElementById('next').click()")
    d, i = order[0]
    tab.press("enter")
    assert _focused(tab) == i - VIEWS[d]["distance"][i]


_HOVER = """
  const frame = document.getElementById('scroller').getBoundingClientRect();
  const lags = arguments[0];
  const tokens = [...document.querySelectorAll('#scroller .t')];
  for (const node of tokens) {
    const box = node.getClientRects()[0];
    const lag = lags[node.token];
    if (!box || !lag || box.top < frame.top + 60 || box.bottom > frame.bottom - 20) continue;
    const from = tokens.find((other) => other.token === node.token - lag)?.getClientRects()[0];
    if (from && Math.abs(from.top - box.top) > 30 && from.top > frame.top) return [node.token, box, from, frame];
  }"""


def test_hover_shows_the_token_and_draws_a_line_to_where_it_was_before(tab: chrome.Browser) -> None:
    tab.run("document.getElementById('text').scrollIntoView()")
    _settle(tab)
    token, box, source, frame = tab.run(_HOVER, VIEWS[0]["distance"])
    tab.point(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    _settle(tab)
    assert _about(tab)[:3] == _expected(VIEWS[0], token)
    marked = "return ['.here', '.there'].map((name) => document.querySelector(name).token)"
    assert tab.run(marked) == [token, token - VIEWS[0]["distance"][token]]
    numbers = [
        float(x)
        for x in re.findall(
            r"-?\d+\.?\d*", tab.run("return document.querySelector('#overlay .line').getAttribute('d')")
        )
    ]
    start, end = numbers[:2], numbers[-2:]
    assert start == pytest.approx([box["x"] + box["width"] / 2 - frame["x"], box["y"] - frame["y"]], abs=2)
    assert end == pytest.approx([source["x"] + source["width"] / 2 - frame["x"], source["bottom"] - frame["y"]], abs=2)
    tab.point(3, 3)
    _settle(tab)
    assert tab.run(
        "return [getComputedStyle(document.getElementById('overlay')).display, document.querySelector('.here')]"
    ) == ["none", None]


# Scrolls to a figure and waits up to 10 s for its points on paper of a colour.
_WAIT_FOR_PLOT = """
  const [name, paper, done] = arguments;
  const node = document.querySelector(`[data-figure="${name}"]`);
  node.scrollIntoView();
  const look = (left) => {
    const ready = node.querySelector('.point') && node._fullLayout.paper_bgcolor === paper;
    if (ready || !left) done(Boolean(ready));
    else setTimeout(look, 50, left - 1);
  };
  look(200)"""


def test_figures_draw_and_follow_the_theme(driven: chrome.Browser, whole: str) -> None:
    driven.open(whole)
    names = driven.run("return [...document.querySelectorAll('.plot')].map((node) => node.dataset.figure)")
    assert sorted(names) == ["count", "distance", "position", "threshold", "waterfall-0", "waterfall-1"]
    assert all(driven.later(_WAIT_FOR_PLOT, name, "#ffffff") for name in names)
    background = "return getComputedStyle(document.documentElement).backgroundColor"
    for theme, page, paper in (("light", "rgb(255, 255, 255)", "#ffffff"), ("dark", "rgb(20, 23, 27)", "#14171b")):
        driven.run("document.getElementById('theme').click()")
        assert driven.run("return document.documentElement.dataset.theme") == theme
        assert driven.run(background) == page
        assert all(driven.later(_WAIT_FOR_PLOT, name, paper) for name in names)
    driven.run("document.getElementById('theme').click()")
    assert driven.run("return document.documentElement.dataset.theme ?? 'system'") == "system"
    assert driven.log() == []


def test_a_link_names_its_place(tab: chrome.Browser, address: str) -> None:
    tab.open("about:blank")
    tab.open(address + "#document=1&model=mamba&slice=1&token=8000")
    assert _focused(tab) == 8000
    assert tab.run("return ['model', 'document', 'slice'].map((id) => document.getElementById(id).value)") == [
        "2",
        "1",
        "1",
    ]
    assert _about(tab)[:3] == _expected(VIEWS[1], 8000, "mamba")
    tab.open("about:blank")
    tab.open(address + "#document=99&model=x&slice=y&token=-3")
    assert tab.run("return document.getElementById('document').value") == "0"


def test_a_narrow_window_does_not_scroll_sideways(tab: chrome.Browser, address: str) -> None:
    assert tab.widths_on_a_phone(address) == [390, 390]


def test_hostile_text_in_the_browser(driven: chrome.Browser, tmp_path: Path) -> None:
    report, views = hostile()
    write_report(tmp_path / "report.html", report, views)
    driven.open((tmp_path / "report.html").as_uri() + "#token=5")
    _settle(driven)
    assert driven.run("return window.pwned ?? null") is None
    assert driven.run("return document.querySelectorAll('img, #scroller b').length") == 0
    pieces = driven.run(
        "const tokens = [...document.querySelectorAll('#scroller .t')].slice(5, 8);"
        "return tokens.map((node) => node.textContent.toWellFormed())"
    )
    assert pieces[0] == HOSTILE and pieces[2] == views[0]["text_pieces"][7]
    assert pieces[1] == "␀␛⟨202e⟩\ufffd"  # shown, not obeyed
    assert driven.log() == []
