"""Assembling and writing the report page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from recallscope.disk import write_text
from recallscope.slicing.report import embed, figures, section, tables, tokens, words
from recallscope.slicing.report.section import Section

Report = Mapping[str, Any]

TOKEN_VIEW = ("text.js", "blocks.js", "current.js", "controls.js")


def write_report(
    path: str | os.PathLike[str],
    report: Report,
    views: Sequence[Mapping[str, Any]] = (),
    sections: Sequence[Section] = (),
) -> None:
    """Write the report as one HTML file that needs no network; see :func:`page` for the arguments.

    The file appears under its name only when complete.
    """
    write_text(path, page(report, views, sections))


def page(report: Report, views: Sequence[Mapping[str, Any]] = (), sections: Sequence[Section] = ()) -> str:
    """The HTML text of a report.

    Parameters: ``report`` is the object of report.json (format ``recallscope-report-1``). ``views`` are the documents
    of the token view, each {"id", "text_pieces" (decoded text of each token), "losses": {model: nats or null},
    "distance" (visible, 0 = none), "slice" (index into the recall partition, -1 = none), "count" (or null)}, all lists
    of one length. Keep them to about 50,000 tokens in all; every token is some 25 bytes of the file. ``sections`` are
    what other instruments add.

    All text from the report and the documents is escaped; tokens reach the page as text nodes only.
    """
    if report.get("format") != "recallscope-report-1":
        raise ValueError(f"report: expected format 'recallscope-report-1'; got {report.get('format')!r}")
    if not report["comparisons"]:
        raise ValueError("report: expected at least one comparison; got none")
    import plotly.offline

    view = '"use strict";\n(() => {\n' + "\n".join(map(_asset, TOKEN_VIEW)) + "})();"
    # The text before plotly, which takes a second to compile when the browser sees it for the first time.
    scripts = [_asset("theme.js"), view, plotly.offline.get_plotlyjs(), _asset("figures.js")]
    drawn = figures.described(report) | section.described(sections)
    # One substitution: a placeholder inside substituted text stays as it is.
    return Template(_asset("page.html")).substitute(
        policy=escape(embed.policy(scripts)),
        title=escape(f"recallscope: {', '.join(report['models'])}"),
        style=_asset("page.css"),
        heading=escape(words.heading(report)),
        headlines=_items(words.headline(c, report["settings"]) for c in report["comparisons"]),
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in words.facts(report)),
        totals=tables.totals(report),
        recall="".join(_recall(report, comparison) for comparison in report["comparisons"]),
        figures="".join(figures.element(*caption) for caption in figures.CAPTIONS if caption[0] in drawn),
        further="\n".join(map(section.element, sections)),
        tokens_hidden="" if views else "hidden",
        details=_details(report),
        notes=_items(_notes(report)),
        settings="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _flat(report["settings"])),
        report_json=embed.to_json(report),
        figures_json=embed.to_json({"figures": drawn, "templates": figures.templates()}),
        tokens_json=embed.to_json(tokens.pack(views, report)),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )


def _recall(report: Report, comparison: Report) -> str:
    if not any(row["tokens"] for row in comparison["partitions"].get("recall") or ()):
        return ""
    name = f"waterfall-{[c['model'] for c in report['comparisons']].index(comparison['model'])}"
    title = f"The gap of {comparison['model']}, slice by slice"
    note = f"Contributions in nats per {words.unit(report['settings'])} with 95 % intervals; the bars sum to the gap."
    return figures.element(name, title, note) + tables.partition(comparison, "recall")


def _details(report: Report) -> str:
    return "".join(
        f"<details><summary>{escape(comparison['model'])}: all slices</summary>{_tables(comparison)}</details>"
        for comparison in report["comparisons"]
    )


def _tables(comparison: Report) -> str:
    parts = [tables.partition(comparison, by) for by in comparison["partitions"] if by != "recall"]
    if comparison.get("curve"):
        parts.append(tables.curve(comparison))
    if comparison.get("shapley"):
        parts.append(tables.shapley(comparison))
    return _interaction(comparison) + "".join(parts)


def _interaction(comparison: Report) -> str:
    found = comparison.get("interaction")
    if not found or found.get("value") is None:
        return ""
    value = f"{words.number(found['value'], 4, signed=True)} nats {words.interval(found.get('low'), found.get('high'))}"
    text = (
        f"Interaction of repeat and rare (what recall adds beyond rarity, difference in differences): {value.strip()}."
    )
    return f"<p>{escape(text)}</p>"


def _notes(report: Report) -> list[str]:
    """All notes once each, without those that a headline already says."""
    said = {words.headline(comparison, report["settings"]) for comparison in report["comparisons"]}
    every = [*report.get("notes", ()), *(note for c in report["comparisons"] for note in c.get("notes", ()))]
    return [note for note in dict.fromkeys(every) if note not in said]


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def _flat(settings: Report, prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)


def _asset(name: str) -> str:
    return files("recallscope.slicing.report").joinpath(name).read_text(encoding="utf-8")
