"""The report page: escaping, self-containment, numbers; and its behaviour in a real browser with 50,000 tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.offline
import pytest
from recallscope.slicing.report import write_report
from recallscope.slicing.report.embed import to_json
from recallscope.slicing.report.page import page
from recallscope.slicing.report.tokens import pack, unpack
from recallscope.slicing.report.words import heading, headline, interval, number

from .fake_report import HOSTILE, fake_report, fake_view, hostile

Plain = tuple[str, dict[str, Any], list[dict[str, Any]]]


class Page(HTMLParser):
    """Elements, attributes and the raw text of scripts, read as a browser would."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.cells: list[list[str]] = []
        self.text = ""
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open in ("td", "th"):
            self.cells[-1][-1] += data
        elif self._open != "style":
            self.text += data

    def data(self, name: str) -> Any:
        return next(json.loads(text) for attrs, text in self.scripts if attrs.get("id") == name)


@pytest.fixture(scope="module")
def plain() -> Plain:
    """The text of an ordinary page, with the report and views in it."""
    report, views = fake_report(), [fake_view("a", 300, seed=3), fake_view("b", 20, seed=4)]
    return page(report, views), report, views


# ---- embedding and escaping


def test_hostile_text_stays_text() -> None:
    report, views = hostile()
    found = Page(page(report, views))
    assert len(found.scripts) == 7
    assert not [attrs for tag, attrs in found.tags if tag in ("img", "iframe", "object", "embed", "form")]
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert found.data("report-json")["settings"]["text"] == HOSTILE
    assert found.data("tokens-json")["documents"][0]["pieces"] == views[0]["text_pieces"]
    assert (
        f"No share is known {HOSTILE}" not in found.text and HOSTILE in found.text
    )  # the note, unescaped by the parser


def test_data_cannot_leave_its_script_element() -> None:
    text = to_json({HOSTILE: [HOSTILE, "\ud800x"]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE, "\ud800x"]}
    text.encode()  # a lone surrogate would fail here


def test_numbers_that_are_none_become_null() -> None:
    assert to_json([math.nan, math.inf, 1.5, {"a": (-math.inf, 2)}]) == '[null,null,1.5,{"a":[null,2]}]'


def test_nothing_outside_the_file_is_named(plain: Plain) -> None:
    text, found = plain[0], Page(plain[0])
    links = [
        attrs[name] for _, attrs in found.tags for name in ("src", "href", "action", "data", "srcset") if name in attrs
    ]
    assert links and all(link == "data:," or (link or "").startswith("#") for link in links)
    own = text.replace(plotly.offline.get_plotlyjs(), "")
    assert "//" not in re.sub(r"(^|\s)//\s.*", "", own).replace("/*", "")  # comments aside, no address of any scheme
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|sendBeacon|import\(", own)


def test_policy_forbids_the_network_and_admits_exactly_the_scripts(plain: Plain) -> None:
    found = Page(plain[0])
    meta = next(attrs["content"] for tag, attrs in found.tags if "http-equiv" in attrs)
    rules = dict(rule.strip().split(" ", 1) for rule in (meta or "").split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data: blob:"
    code = [text for attrs, text in found.scripts if "type" not in attrs]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in code}
    assert set(rules["script-src"].split()) == hashes


def test_round_trip_of_report_and_views(plain: Plain) -> None:
    text, report, views = plain
    found = Page(text)
    assert found.data("report-json") == report
    for view, back in zip(views, unpack(found.data("tokens-json")), strict=True):
        assert {k: back[k] for k in back if k != "losses"} == {k: view[k] for k in view if k != "losses"}
        for model, losses in view["losses"].items():
            assert [x is None for x in losses] == [x is None for x in back["losses"][model]]
            pairs = zip(losses, back["losses"][model], strict=True)
            assert max(abs(x - y) for x, y in pairs if x is not None) <= 0.0005 + 1e-12


def test_a_loss_that_is_not_a_number_is_missing() -> None:
    view = fake_view("a", 3)
    view["losses"]["based"] = [math.nan, 1.0004, math.inf]
    assert unpack(pack([view], fake_report()))[0]["losses"]["based"] == [None, 1.0, None]


# ---- the tables and sentences


def test_recall_table_prints_the_report(plain: Plain) -> None:
    text, report, _ = plain
    rows = [row for row in Page(text).cells if row[0] == "AR hit"]
    first = report["comparisons"][0]["partitions"]["recall"][0]
    assert rows[0][1:3] == [f"{first['tokens']:,}", "7.10"]
    assert rows[0][5:7] == [f"+{first['difference']:.4f}", f"+{first['contribution']:.4f}"]
    assert rows[0][8] == f"{100 * first['share']:.1f}"
    assert rows[1][8:10] == ["–", ""]  # mamba: the share is refused


def test_tables_are_accessible(plain: Plain) -> None:
    tags = Page(plain[0]).tags
    names = [tag for tag, _ in tags]
    assert names.count("caption") == names.count("table") >= 10
    assert all(attrs.get("scope") in ("row", "col") for tag, attrs in tags if tag == "th")


@pytest.mark.parametrize(
    ("value", "text"), [(-0.1234, "−0.123"), (1234.5, "+1,234.500"), (-0.0001, "0.000"), (None, "–")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value, 3, signed=True) == text


def test_interval_needs_both_ends() -> None:
    assert interval(-1.0, 2.0, 1) == "[−1.0, 2.0]"
    assert interval(None, 2.0) == ""


def _comparison(value: float, significant: bool, share: float | None, name: str = "AR hit") -> dict[str, Any]:
    row = {"slice": name, "share": share, "share_low": 0.371, "share_high": 1.284, "token_share": 0.071}
    gap = {"value": value, "low": value - 0.02, "high": value + 0.02, "significant": significant}
    return {"model": "based", "reference": "attention", "gap": gap, "partitions": {"recall": [row]}}


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (
            _comparison(0.123, True, 0.72),
            "72.0 % [37.1, 128.4] of based’s gap of 0.123 nats per token to attention is on AR hits, 7.1 % of tokens.",
        ),
        (
            _comparison(0.01, False, None),
            "No share is given for based: its gap of 0.010 nats per token [−0.010, 0.030] to attention is not "
            "significant at 95 %.",
        ),
        (
            _comparison(-0.2, True, 0.5, "repeat"),
            "50.0 % [37.1, 128.4] of based’s lead of 0.200 nats per token over attention is on repeated bigrams, "
            "7.1 % of tokens.",
        ),
    ],
)
def test_headline(comparison: dict[str, Any], sentence: str) -> None:
    assert headline(comparison, {"ngram": 2}) == sentence


@pytest.mark.parametrize(
    "models, text",
    [(["a"], "a against r"), (["a", "b"], "a and b against r"), (["a", "b", "c"], "a, b and c against r")],
)
def test_heading(models: list[str], text: str) -> None:
    assert heading({"reference": "r", "comparisons": [{"model": model} for model in models]}) == text


def test_headline_without_intervals() -> None:
    comparison = _comparison(0.123, False, 0.72)
    comparison["gap"] |= {"low": None, "high": None}
    comparison["partitions"]["recall"][0] |= {"share_low": None, "share_high": None}
    start = "72.0 % (no interval) of based’s gap of 0.123 nats per token to attention"
    assert headline(comparison, {}).startswith(start)


def test_a_report_without_training_counts_has_a_page() -> None:
    report = fake_report()
    for comparison in report["comparisons"]:
        rows = comparison["partitions"]["recall"][:2]
        rows[0]["slice"], rows[1]["slice"] = "repeat", "new"
        comparison["partitions"] = {"recall": rows}
        comparison |= {"curve": [], "shapley": [], "interaction": None}
    report["settings"] |= {"threshold": None, "training_tokens": None, "training_source": None}
    found = Page(page(report))
    assert "on repeated bigrams" in found.text and "unknown: no training counts" in found.text
    assert set(found.data("figures-json")["figures"]) == {"waterfall-0", "waterfall-1"}


def test_importing_figures_and_page_is_cheap() -> None:
    code = "import sys, recallscope.slicing.report, recallscope.slicing.report.plots; sys.exit('plotly' in sys.modules)"
    folder = Path(__file__).parents[2] / "analysis"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(folder)}).returncode == 0


# ---- the file


def test_the_file_is_complete_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(target, fake_report())
    before = target.read_bytes()
    view = fake_view("a", 10)
    view["distance"].pop()
    with pytest.raises(ValueError, match="document 'a' has 10 text_pieces but 9 of distance"):
        write_report(target, fake_report(), [view])
    assert target.read_bytes() == before and list(tmp_path.iterdir()) == [target]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_report(tmp_path / "folder", fake_report())
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"losses": {"attention": [1.0] * 9}},
            "document 'a' needs losses of attention, based, mamba; based, mamba missing",
        ),
        ({"slice": [4] * 9}, r"document 'a': slice must be -1..3"),
        ({"distance": [1] * 9}, r"document 'a' token 0: distance must be in 0..0; got 1"),
    ],
)
def test_bad_views(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        page(fake_report(), [fake_view("a", 9) | change])


def test_bad_report() -> None:
    with pytest.raises(ValueError, match="report: expected format 'recallscope-report-1'; got 'other'"):
        page({"format": "other"})
    with pytest.raises(ValueError, match="report: expected at least one comparison"):
        page(fake_report() | {"comparisons": []})
