"""Further sections of the page: what an instrument that stands on slicing adds to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from recallscope.slicing.report import figures


@dataclass(frozen=True)
class Section:
    """One further section: its numbers for report.json, and how the page shows them.

    Attributes
    ----------
    name : str
        Key in report.json, id of the section, and prefix of its figures; letters only.
    title : str
    numbers : object for JSON
    body : str
        HTML before the figures; whoever makes it has escaped what came from outside.
    captions : sequence of (figure, title, note)
        Plain text; escaped here.
    drawn : figure name -> plotly Figure
    after : str
        HTML after the figures, as `body`.
    """

    name: str
    title: str
    numbers: Any
    body: str = ""
    captions: Sequence[tuple[str, str, str]] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)
    after: str = ""


def element(section: Section) -> str:
    """The HTML of a section, with the places that its figures are drawn into."""
    places = "".join(figures.element(*caption) for caption in section.captions if caption[0] in section.drawn)
    label, name = escape(section.title), escape(section.name)
    return (
        f'<section id="{name}" aria-labelledby="h-{name}">\n<h2 id="h-{name}">{label}</h2>\n{section.body}'
        f'<div class="grid">{places}</div>\n{section.after}</section>'
    )


def described(sections: Sequence[Section]) -> dict[str, Any]:
    """Plotly data and layout of all their figures by name, without a template, as the page wants them."""
    return {name: figures.bare(figure) for section in sections for name, figure in section.drawn.items()}
