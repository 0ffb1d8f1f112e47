"""The explorer in a real browser: what it loads, draws and says, and that it says what Python says."""

from __future__ import annotations

from pathlib import Path

import pytest
from recallscope.frontier import cost_at, price_of_step, quality_at
from slicing.report import chrome

from .explorer_page import START, cells, fake_rows, fragment, set_value, text, written

pytestmark = pytest.mark.skipif(not chrome.AVAILABLE, reason=chrome.MISSING)


def test_two_thousand_points_draw_without_network(driven: chrome.Browser, tmp_path: Path) -> None:
    whole = written(tmp_path, fake_rows(2000), None, plotly_too=True)
    driven.open("about:blank")
    driven.requests()
    driven.open(whole)
    wait = """const done = arguments[0]; const look = (left) => {
      const count = document.querySelectorAll('#plot .point').length;
      if (count >= 2000 || !left) done(count); else setTimeout(look, 50, left - 1); }; look(200)"""
    assert driven.later(wait) >= 2000
    assert driven.requests() == [whole] and driven.log() == []
    assert driven.run("return document.querySelectorAll('#table tbody tr').length") == 100
    driven.run("document.getElementById('more').click()")
    assert driven.run("return document.querySelectorAll('#table tbody tr').length") == 2000
    assert driven.run("return document.activeElement.closest('tr').rowIndex") == 101
    colour = "return getComputedStyle(document.querySelector('#plot .main-svg')).backgroundColor"
    driven.run("document.getElementById('theme').click()")
    assert driven.run(colour) == "rgb(255, 255, 255)"
    driven.run("document.getElementById('theme').click()")
    assert driven.run(colour) == "rgb(20, 23, 27)"
    driven.run("document.getElementById('theme').click()")


def test_the_table_is_there_before_plotly_is_compiled(tab: chrome.Browser) -> None:
    assert tab.run("return window.rowsBefore") == len(START.points)


def test_points_verdicts_and_readings_are_those_of_python(tab: chrome.Browser) -> None:
    table = cells(tab)
    assert [row[0] for row in table] == [f"{p.subject} ({p.setting['scale']})" for p in START.points]
    assert [row[5] for row in table] == [p.verdict for p in START.points]
    assert [row[1] for row in table] == [
        "published" if p.kind == "published" else "own, measured" for p in START.points
    ]
    costs = [point.cost.value for point in START.points]
    for budget in (costs[3], costs[20] * 1.01, costs[-1] * 2):
        set_value(tab, "budget", repr(budget), "input")
        said = [
            float(x)
            for x in text(tab, "buys")
            .rpartition("accuracy ")[2]
            .replace("[", "")
            .replace("]", "")
            .replace(",", "")
            .split()
        ]
        expected = [x for x in quality_at(START, budget)]
        assert said == pytest.approx(expected if len(said) == 3 else expected[:1], rel=1e-3)
    set_value(tab, "target", 0.5, "input")
    said = [
        float(x)
        for x in text(tab, "costs").rpartition("bytes ")[2].replace("[", "").replace("]", "").replace(",", "").split()
    ]
    assert said == pytest.approx(list(cost_at(START, 0.5)), rel=1e-3)
    k = next(k for k, price in enumerate(price_of_step(START)) if price[2] is not None)
    name = START.best[k].subject
    tab.run(
        "const buttons = [...document.querySelectorAll('#table tbody button')];"
        "buttons.find((button) => button.textContent.startsWith(arguments[0] + ' (')).click()",
        name,
    )
    price = price_of_step(START)[k][0]
    assert price is not None and f"cost × {float(f'{price:.4g}'):g} [" in text(tab, "about")
    assert str(START.best[k].quality.source).startswith("Paper")
    assert str(START.best[k].quality.source) in text(tab, "about")


def test_published_points_are_hollow_and_limits_are_lines(tab: chrome.Browser) -> None:
    drawn = tab.run("return window.drawn.map((t) => [t.mode, t.name ?? '', t.marker?.symbol ?? '', t.x.length])")
    assert [line[:2] for line in drawn[:2]] == [["lines", "information limit"], ["lines", "frontier"]]
    hollow = sum(count for _, _, symbol, count in drawn if symbol.endswith("-open"))
    assert hollow == sum(p.kind == "published" for p in START.points) == 40 and sum(line[3] for line in drawn[2:]) == 60


def test_filters_axes_and_sorting(tab: chrome.Browser) -> None:
    tab.run("document.querySelector('fieldset[data-filter=family] input[value=convolution]').click()")
    assert not any(row[0].startswith("hyena") for row in cells(tab)) and len(cells(tab)) == 48
    assert text(tab, "live").startswith("48 points: ")
    tab.run("document.querySelector('fieldset[data-filter=scale] input[value=\"1.3B\"]').click()")
    assert len(cells(tab)) == 24
    tab.run("document.getElementById('reset').click()")
    set_value(tab, "name", "MAMBA", "input")
    assert len(cells(tab)) == 12 and fragment(tab) == {"model": ["MAMBA"]}
    tab.run("document.querySelector('[data-sort=quality]').click()")
    values = [float(row[3]) for row in cells(tab)]
    assert values == sorted(values)
    tab.run("document.querySelector('[data-sort=quality]').click()")
    assert [float(row[3]) for row in cells(tab)] == values[::-1]
    assert tab.run("return document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    set_value(tab, "name", "nothing of this name", "input")
    assert cells(tab) == [] and "No point" in text(tab, "summary")
    tab.run("document.getElementById('reset').click()")
    option = "return [...document.getElementById('quality').options].find((o) => o.text.startsWith('loss')).value"
    set_value(tab, "quality", tab.run(option))
    offered = tab.run("return [...document.getElementById('cost').options].map((o) => o.text)")
    assert set(offered) == {"parameters", "latency (ms), batch 16"}
    chosen = tab.run("return document.getElementById('cost').selectedOptions[0].text")
    assert text(tab, "heading") == f"loss against {chosen.partition(' ')[0]}"
