"""The section of the report: what `slice_text` puts there, how the page says it, and how a browser draws it."""

from __future__ import annotations

import html
import inspect
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recallscope as rs
from recallscope import look
from recallscope.bounds.demand.page import section, sentences
from recallscope.bounds.demand.sliced import demand_numbers
from recallscope.bounds.demand.standing_plot import loss_against_state
from recallscope.slicing import run
from recallscope.slicing.report import write_report
from recallscope.slicing.report.page import page
from recallscope.slicing.report.section import Section
from slicing.report import chrome
from slicing.report.fake_report import HOSTILE, fake_report

WORDS = "the cat sat on a mat and saw one red bird fly over that old house near my small green door".split()


def steady(ids: np.ndarray) -> np.ndarray:
    return np.full(ids[:, 1:].shape, 4.0, np.float32)


def forgetful(ids: np.ndarray) -> np.ndarray:
    """Half a nat more where the pair of tokens occurred earlier in the window."""
    losses = steady(ids)
    for row, line in enumerate(ids.tolist()):
        seen: set[tuple[int, int]] = set()
        for t, pair in enumerate(pairwise(line)):
            losses[row, t] += 0.5 * (pair in seen)
            seen.add(pair)
    return losses


def text() -> list[str]:
    rng = np.random.default_rng(5)
    return [" ".join(rng.choice(WORDS, int(rng.integers(40, 90)))) for _ in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bundled) -> Path:
    out = tmp_path_factory.mktemp("sliced") / "out"
    options: dict[str, Any] = {"tokenizer": bundled, "show_progress": False}
    rs.slice_text([steady, forgetful], text(), out, **options, settings=rs.SliceSettings(rs.Windowing(64, 64)))
    return out


def test_a_run_says_what_its_text_demands(folder):
    """The forgetful model loses half a nat on exactly the hits: no limit may be above, none below without state."""
    report = json.loads((folder / "report.json").read_text())
    found = report["demand"]
    repeats = next(row for row in report["comparisons"][0]["partitions"]["recall"] if row["slice"] == "repeat")
    assert (found["kind"], found["hits"], found["documents"]) == ("repeat", repeats["tokens"], 24)
    assert found["tokens"] == report["totals"]["tokens"]
    (closed,) = found["comparisons"]
    assert closed["gap"] == pytest.approx(repeats["difference"], abs=1e-6)
    assert [row["loss"] for row in found["models"]] == pytest.approx([4.0, 4.0 + closed["gap"]], abs=1e-6)
    assert closed["states"][-1]["lowest_loss"] == pytest.approx(4.0, abs=1e-6)
    assert found["sizes"] == rs.demand(folder).table().to_pylist()
    assert 'id="demand"' in (folder / "report.html").read_text()


def test_the_curves_ask_for_no_more_than_the_command_would(folder):
    whole = rs.demand(folder, "forgetful", "steady")
    for row in demand_numbers(folder, [steady, forgetful])["comparisons"][0]["states"]:
        assert row["lowest_loss"] == pytest.approx(whole.at_state_bits(row["state_bits"]).lowest_loss, abs=1e-9)


def test_slicing_keeps_its_signature_and_takes_further_sections(bundled, tmp_path):
    assert inspect.signature(rs.slice_text) == inspect.signature(run.slice_text)
    assert rs.slice_text.__doc__ == run.slice_text.__doc__
    mine = Section("mine", "My <own>", {"one": 1}, "<p>two</p>")
    options: dict[str, Any] = {"tokenizer": bundled, "show_progress": False, "further": [lambda out: mine]}
    rs.slice_text([steady, forgetful], text()[:3], tmp_path / "out", **options)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    shown = (tmp_path / "out" / "report.html").read_text()
    assert report["mine"] == {"one": 1} and {"demand", "comparisons"} <= set(report)
    assert re.search(r'<h2 id="h-mine">My &lt;own&gt;</h2>\n<p>two</p>', shown)


def test_a_text_without_repeats_says_so(bundled, tmp_path):
    options: dict[str, Any] = {"tokenizer": bundled, "show_progress": False}
    rs.slice_text([steady, forgetful], ["one red bird", "my small green door"], tmp_path / "out", **options)
    assert "No repeat among" in (tmp_path / "out" / "report.html").read_text()


# ---- the page


def numbers(first: str = "attention", second: str = "hyena", third: str = "mine") -> dict[str, Any]:
    """As `demand_numbers`, by hand."""
    sizes = [
        {"size": 2**k, "best_share": 1.0, "lru_share": k / 11, "window_share": k / 12, "best": 9, "lru": 8, "window": 7}
        for k in range(11)
    ]
    states = [{"state_bits": 2.0**k, "lowest_loss": 3.0 - k / 4, "carried_loss": 3.1 - k / 4} for k in range(5)]
    models = [
        {"model": first, "loss": 2.0, "state_elements": 3000, "element_bits": 32, "state_bits": 96_000},
        {"model": second, "loss": 3.1, "state_elements": 50, "element_bits": 16, "state_bits": 800},
        {"model": third, "loss": 1.5, "state_elements": None, "element_bits": None, "state_bits": None},
    ]
    closed = [
        {"model": second, "reference": first, "gap": 1.1, "more_than": 1.0, "enough": 8.0, "states": states},
        {"model": third, "reference": first, "gap": -0.5, "more_than": None, "enough": None, "states": []},
    ]
    counts = {"kind": "AR hit", "hits": 1234, "tokens": 56_789, "documents": 12, "documents_of": 40, "length": 1024}
    return counts | {"sizes": sizes, "models": models, "comparisons": closed}


def test_sentences_say_what_closes_the_gap_and_who_is_unknown():
    assert sentences(numbers()) == [
        "On AR hits hyena loses 1.100 nats more than attention. To close this, a memory beside it needs more than 1 bit"
        "; 8 bits are enough if it knows what will be asked. The model itself keeps 800 bits after 1,024 tokens.",
        "mine loses no more than attention on AR hits: there is no gap to close.",
        "State unknown, as the architecture is not one that recallscope knows: mine.",
    ]


def test_the_page_shows_the_numbers():
    shown = html.unescape(page(fake_report(), (), [section(numbers())]))
    assert "1,234 AR hits among 56,789 tokens of 12 of 40 documents, drawn by chance" in shown
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown)]
    assert ["hyena", "3.100", "+1.100", "50", "16", "800", "1", "8"] in rows
    assert ["mine", "1.500", "−0.500", "–", "–", "–", "–", "–"] in rows
    assert ["1,024", "100.0", "90.9", "83.3"] in rows
    assert {"demand-served", "demand-standing"} <= set(re.findall(r'data-figure="([^"]*)"', shown))


def test_marks_are_models_of_known_state_and_bands_end_at_the_last_of_them():
    figure: Any = loss_against_state(numbers())
    marks = {trace.name: (trace.x, trace.y) for trace in figure.data if trace.mode == "markers"}
    assert marks == {"attention": ((96_000,), (2.0,)), "hyena": ((800,), (3.1,))}
    (limit,) = [trace for trace in figure.data if trace.name == "hyena, limit"]
    assert limit.x == (1, 2, 4, 8, 16, 96_000) and limit.y == (3.0, 2.75, 2.5, 2.25, 2.0, 2.0)
    assert limit.showlegend is False and limit.line.color == look.FAMILIES["convolution"].color
    unknown = numbers(second="x")
    unknown["models"] = [row | {"state_bits": None} for row in unknown["models"]]
    figure = loss_against_state(unknown)
    (limit,) = [trace for trace in figure.data if trace.name == "x, limit"]
    assert limit.showlegend is True and limit.x == (1, 2, 4, 8, 16)


def test_hostile_names_stay_text():
    shown = page(fake_report(), (), [section(numbers(second="b" + HOSTILE, third="c" + HOSTILE))])
    body = shown[shown.index('<section id="demand"') : shown.index('<section id="text"')]
    assert "<script" not in body and "<img" not in body and html.escape("b" + HOSTILE) in body


def test_the_command_line_stays_light():
    code = "import sys, recallscope.cli; sys.exit('recallscope.slicing.run' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


_WAIT = """
  const [name, done] = arguments;
  const node = document.querySelector(`[data-figure="${name}"]`);
  node.scrollIntoView();
  const look = (left) => {
    const points = node.querySelectorAll('.point').length;
    if (points || !left) done(points);
    else setTimeout(look, 50, left - 1);
  };
  look(200)"""


@pytest.mark.skipif(not chrome.AVAILABLE, reason=chrome.MISSING)
def test_the_browser_draws_it_and_obeys_no_name(tmp_path):
    hostile = numbers(second="b" + HOSTILE)
    write_report(tmp_path / "report.html", fake_report() | {"demand": hostile}, (), [section(hostile)])
    with chrome.browser(tmp_path / "profile") as tab:
        tab.open((tmp_path / "report.html").as_uri())
        assert [tab.later(_WAIT, name) for name in ("demand-served", "demand-standing")] == [22, 2]
        assert tab.run("return window.pwned ?? null") is None
        assert tab.run("return document.querySelectorAll('#demand tbody tr').length") == 11 + 3
        assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
        tab.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        assert tab.run("return document.documentElement.scrollWidth") == 390
        assert tab.log() == []
