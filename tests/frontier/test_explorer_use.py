"""The explorer in a real browser: links, any fragment, keys, hostile rows, narrow windows."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from recallscope.evidence import evidence
from recallscope.frontier import write_explorer
from slicing.report import chrome
from slicing.report.fake_report import HOSTILE

from .explorer_page import ROWS, cells, fragment, set_value, text, written

pytestmark = pytest.mark.skipif(not chrome.AVAILABLE, reason=chrome.MISSING)


def test_the_address_brings_everything_back(tab: chrome.Browser) -> None:
    set_value(tab, "name", "a", "input")
    tab.run("document.querySelector('fieldset[data-filter=kind] input[value=published]').click()")
    tab.run("document.querySelector('[data-sort=verdict]').click()")
    tab.run("document.getElementById('log').click()")
    set_value(tab, "budget", "50000", "input")
    tab.run("document.querySelectorAll('#table tbody button')[2].click()")
    see = (
        "return ['heading', 'summary', 'chosen', 'about', 'buys', 'table']"
        ".map((id) => document.getElementById(id).textContent)"
    )
    seen, link = tab.run(see), tab.run("return location.href")
    assert sorted(fragment(tab)) == ["budget", "log", "model", "point", "sort", "without-kind"]
    tab.open("about:blank")
    tab.open(link)
    assert tab.run(see) == seen and tab.run("return location.href") == link
    tab.run("location.hash = ''")  # and as a link within the page
    tab.later("setTimeout(arguments[0], 50)")
    assert len(cells(tab)) == 60


def test_any_fragment_is_read_without_harm(tab: chrome.Browser) -> None:
    rng = random.Random(0)
    keys = "quality cost without-family without-scale model log sort budget target point __proto__".split()
    values = ["", "%", "%zz", "__proto__", "constructor", "NaN", "1e999", "-1", "0x10", "1.5", "name falling",
              "hasOwnProperty falling", "\u2028", "%ED%A0%80", HOSTILE, "<img src=x onerror=window.pwned=1>",
              "accuracy", "convolution", "9" * 400]  # fmt: skip
    wild = [chr(rng.randrange(1, 0xD800)) for _ in range(200)]
    fragments = [
        "&".join(f"{rng.choice(keys)}={rng.choice(values)}" for _ in range(rng.randrange(6))) for _ in range(150)
    ]
    fragments += ["".join(rng.choices(wild + list("&=%#"), k=30)) for _ in range(50)]
    outcome = tab.later(
        """const [fragments, done] = arguments; const bad = []; let k = 0;
        addEventListener('error', (event) => bad.push(event.message));
        const next = () => {
          if (k === fragments.length) return done(bad);
          location.hash = fragments[k++];
          setTimeout(() => {
            if (!document.getElementById('summary').textContent.includes('oint')) bad.push(fragments[k - 1]);
            if (document.querySelector('img') || window.pwned) bad.push(`obeyed ${fragments[k - 1]}`);
            next();
          }, 0);
        };
        next();""",
        fragments,
    )
    assert outcome == []
    tab.run("location.hash = ''")
    tab.later("setTimeout(arguments[0], 50)")
    assert len(cells(tab)) == 60


def test_keys_reach_everything(tab: chrome.Browser) -> None:
    unnamed = """return [...document.querySelectorAll('button, select, input, [role]')].filter((node) =>
      !(node.labels?.length || node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
        || node.textContent.trim() || node.id === 'live' || node.hidden)).map((node) => node.outerHTML)"""
    assert tab.run(unnamed) == []
    assert tab.run("return document.querySelectorAll('#table tbody button[tabindex=\"0\"]').length") == 1
    tab.run("document.querySelector('#table tbody button').focus()")
    tab.press("down", "down", "up", "enter")
    assert tab.run("return document.activeElement.closest('tr').rowIndex") == 2
    assert tab.run("return document.activeElement.getAttribute('aria-pressed')") == "true"
    assert cells(tab)[1][0] in text(tab, "live") and text(tab, "chosen") == cells(tab)[1][0]
    tab.press("end")
    assert tab.run("return document.activeElement.closest('tr').rowIndex") == 60
    assert "on the frontier" in tab.run("return document.getElementById('plot').getAttribute('aria-label')")


def test_hostile_rows(driven: chrome.Browser, tmp_path: Path) -> None:
    row = {
        "subject": HOSTILE,
        "metric": "accuracy",
        "value": 0.5,
        "unit": HOSTILE,
        "kind": "published",
        "parameters": 5,
    }
    row |= {"task": HOSTILE, "scale": HOSTILE, "source": HOSTILE, "trust": HOSTILE, "flag": HOSTILE, "further": HOSTILE}
    driven.open(written(tmp_path, [row, row | {"subject": "\u202ex\x00", "parameters": 6}]) + "#point=0")
    assert driven.run("return window.pwned ?? null") is None
    assert driven.run("return document.querySelectorAll('img, main b').length") == 0
    assert HOSTILE[:40] in text(driven, "chosen") and HOSTILE[:40] in text(driven, "about")
    assert cells(driven)[1][0].startswith("⟨202e⟩x⟨0000⟩")
    hover = driven.run("return JSON.stringify(window.drawn.map((t) => t.hovertext ?? []))")
    assert "<img" not in hover and "<script" not in hover and "&lt;img" in hover
    assert driven.log() == []


def test_a_narrow_window_does_not_scroll_sideways(tab: chrome.Browser, address: str) -> None:
    assert tab.widths_on_a_phone(address) == [390, 390]


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="path: a file in a folder that exists, got"):
        write_explorer(tmp_path, evidence(ROWS))
    with pytest.raises(ValueError, match="table: rows of a model with a quality and a cost"):
        write_explorer(tmp_path / "page.html", evidence([ROWS[2]]))
    assert not list(tmp_path.iterdir())
