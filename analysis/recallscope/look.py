"""One look for every figure and page: plotly templates, and one colour, marker and dash per architecture family.

Published points are hollow, own points filled, limits are lines without markers. The ten family colours are a
compromise found by search: each has a contrast of at least 3 : 1 on both page backgrounds, and the closest two stay
apart for normal, protanopic, deuteranopic and tritanopic vision. Colour is never the only channel: the marker differs
for every family, and models of one family differ in dash.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Origin = Literal["own", "published"]

SANS = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
BACKGROUND = {"light": "#ffffff", "dark": "#14171b"}
INK = {"light": "#1d2126", "dark": "#e4e6e9"}
MUTED = {"light": "#5c636c", "dark": "#9aa2ac"}
GRID = {"light": "#e6e8eb", "dark": "#2a2f36"}
WORSE, BETTER = "#c2661a", "#3a78b8"  # a positive and a negative difference, wherever sign is shown by colour
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Style:
    """How one model is drawn: colour ``#rrggbb``, plotly marker symbol, plotly dash."""

    color: str
    symbol: str
    dash: str = "solid"


FAMILIES: dict[str, Style] = {
    "attention": Style("#787878", "circle"),
    "sliding window": Style("#8490cc", "triangle-left"),
    "linear attention": Style("#0090fc", "diamond"),
    "gated linear attention": Style("#24783c", "triangle-up"),
    "delta rule": Style("#cc303c", "star"),
    "state space": Style("#9054c0", "square"),
    "convolution": Style("#a89000", "x"),
    "recurrent": Style("#9c5400", "triangle-down"),
    "hybrid": Style("#b42490", "hexagon"),
    "other": Style("#d8786c", "pentagon"),
}

# Words found in names of models and mixers; the first row with a hit decides, so the particular stands above the
# general ("gated_delta" before "gated", "rwkv-7" before "rwkv").
_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hybrid", ("hybrid", "jamba", "zamba", "samba", "griffin", "recurrentgemma", "hymba", "bamba", "nemotron-h")),
    ("delta rule", ("delta", "kda", "kimi", "rwkv7", "ttt", "titans", "mesa", "comba")),
    (
        "gated linear attention",
        ("gla", "gated-linear", "retnet", "retention", "rwkv6", "rwkv5", "hgrn2", "mlstm", "gsa"),
    ),
    ("sliding window", ("sliding", "swa", "window", "local", "longformer", "mistral")),
    ("convolution", ("hyena", "conv", "striped", "ckconv")),
    ("state space", ("mamba", "ssm", "ssd", "s4", "s5", "h3", "state-space")),
    ("recurrent", ("rwkv", "lstm", "gru", "rnn", "hgrn", "lru", "minlstm", "elman")),
    ("linear attention", ("based", "linear", "taylor", "performer", "rebased", "hedgehog", "lightning")),
    (
        "attention",
        ("attention", "attn", "transformer", "gpt", "llama", "pythia", "opt", "qwen", "gemma", "olmo", "phi"),
    ),
)


def family(name: str) -> str:
    """Architecture family of a model or mixer name, a key of :data:`FAMILIES`; ``"other"`` when no word is known."""
    if name in FAMILIES:
        return name
    plain = name.lower().replace("_", "-").replace("rwkv-", "rwkv")
    for key, words in _WORDS:
        if any(_word_in(word, plain) for word in words):
            return key
    return "other"


def _word_in(word: str, plain: str) -> bool:
    # Short words ("opt", "s4", "gla") only as whole words, else "optimal" would be a transformer.
    if len(word) > 4:
        return word in plain
    parts = plain.replace(".", "-").replace("/", "-").split("-")
    return any(part == word or (part.startswith(word) and part[len(word) :].isdigit()) for part in parts)


def styles(models: Iterable[str], families: Mapping[str, str] | None = None) -> dict[str, Style]:
    """Style of each model. The family gives colour and marker; a second model of one family gets another dash.

    ``families`` overrides the family guessed from the name, e.g. ``{"ours": "delta rule"}``.
    """
    seen: dict[str, int] = {}
    result: dict[str, Style] = {}
    for model in models:
        key = (families or {}).get(model) or family(model)
        if key not in FAMILIES:
            raise ValueError(f"families: expected one of {', '.join(FAMILIES)}; got {key!r} for {model!r}")
        result[model] = replace(FAMILIES[key], dash=DASHES[seen.get(key, 0) % len(DASHES)])
        seen[key] = seen.get(key, 0) + 1
    return result


def marker(style: Style, origin: Origin = "own", size: float = 8) -> dict[str, Any]:
    """Plotly marker: own points filled, published points hollow."""
    if origin not in ("own", "published"):
        raise ValueError(f"origin: expected 'own' or 'published'; got {origin!r}")
    hollow = origin == "published"
    width = 1.6 if hollow else 0
    symbol = style.symbol + ("-open" if hollow else "")
    return {"color": style.color, "symbol": symbol, "size": size, "line": {"width": width, "color": style.color}}


def limit_line(style: Style | None = None) -> dict[str, Any]:
    """Keyword arguments of a plotly scatter trace that shows a limit: a thin line, never markers."""
    color = style.color if style else MUTED["light"]
    return {"mode": "lines", "line": {"color": color, "width": 1.2, "dash": "dot"}}


def band(style: Style, group: str) -> dict[str, Any]:
    """Keyword arguments of a plotly scatter trace that fills what lies between two lines: to one end and back."""
    return {
        "fill": "toself", "fillcolor": rgba(style.color, 0.16), "mode": "lines", "line": {"width": 0},
        "legendgroup": group, "showlegend": False, "hoverinfo": "skip",
    }  # fmt: skip


def plain(text: str) -> str:
    """Text for plotly labels, which read a small HTML: markup in names is shown, not obeyed."""
    return html.escape(text, quote=False)


def rgba(color: str, alpha: float) -> str:
    """``#rrggbb`` with an opacity, as plotly wants it."""
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def template(dark: bool = False) -> Any:
    """The plotly template ``recallscope`` or ``recallscope-dark``; registers both in ``plotly.io`` on first use."""
    import plotly.io

    if "recallscope" not in plotly.io.templates:
        plotly.io.templates["recallscope"] = _template("light")
        plotly.io.templates["recallscope-dark"] = _template("dark")
    return plotly.io.templates["recallscope-dark" if dark else "recallscope"]


def themed(figure: Any, dark: bool = False) -> Any:
    """The same figure under the light or dark template (changed in place and returned)."""
    return figure.update_layout(template=template(dark))


def _template(theme: Literal["light", "dark"]) -> Any:
    import plotly.graph_objects as go

    ink, muted, grid = INK[theme], MUTED[theme], GRID[theme]
    axis = {
        "gridcolor": grid,
        "linecolor": muted,
        "linewidth": 1,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": muted,
        "tickfont": {"color": muted, "size": 12},
        "title": {"font": {"color": ink, "size": 13}, "standoff": 10},
        "zeroline": True,
        "zerolinecolor": muted,
        "zerolinewidth": 1,
        "automargin": True,
    }
    layout = go.Layout(
        font={"family": SANS, "size": 13, "color": ink},
        title={"font": {"size": 15, "color": ink}, "x": 0, "xref": "paper", "xanchor": "left"},
        paper_bgcolor=BACKGROUND[theme],
        plot_bgcolor=BACKGROUND[theme],
        colorway=[style.color for style in FAMILIES.values()],
        xaxis={**axis, "showgrid": False},
        yaxis={**axis, "showline": False, "ticks": ""},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"color": ink},
            "title": {"text": ""},
        },
        margin={"l": 64, "r": 24, "t": 48, "b": 56},
        hoverlabel={"bgcolor": BACKGROUND[theme], "bordercolor": muted, "font": {"family": SANS, "color": ink}},
        annotationdefaults={"font": {"color": muted, "size": 12}, "showarrow": False},
        shapedefaults={"line": {"color": muted, "width": 1}},
        bargap=0.35,
    )
    bars = go.Bar(error_x={"color": ink}, error_y={"color": ink})
    return go.layout.Template(layout=layout, data={"bar": [bars]})
