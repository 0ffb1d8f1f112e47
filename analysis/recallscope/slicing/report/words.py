"""Numbers and sentences of the page; plain text, nothing here is HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recallscope.slicing.report._traces import ngram_word

MINUS, DASH = "−", "–"


def number(value: float | None, digits: int = 4, signed: bool = False) -> str:
    """Fixed decimals with a true minus; a dash for a missing value."""
    if value is None:
        return DASH
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")  # no sign on what rounds to zero
    return text.replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, without the sign of percent (columns carry it in their heading)."""
    return number(None if value is None else 100 * value, digits)


def count(value: float | None) -> str:
    """An integer with thousands separated; a dash for a missing value."""
    return DASH if value is None else f"{int(value):,}"


def interval(low: float | None, high: float | None, digits: int = 4, scale: float = 1.0) -> str:
    """ "[low, high]"; empty when an end is missing."""
    if low is None or high is None:
        return ""
    return f"[{number(low * scale, digits)}, {number(high * scale, digits)}]"


def heading(report: Mapping[str, Any]) -> str:
    """Who is compared with whom: "a, b and c against d"."""
    *names, last = (comparison["model"] for comparison in report["comparisons"])
    return f"{' and '.join(filter(None, [', '.join(names), last]))} against {report['reference']}"


def headline(comparison: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """One sentence per model: what share of its gap lies on recall, or why no share is given."""
    gap, model, reference = comparison["gap"], comparison["model"], comparison["reference"]
    per = f"nats per {unit(settings)}"
    size = f"{number(abs(gap['value']), 3)} {per}"
    limits = interval(gap.get("low"), gap.get("high"), 3)
    if limits and not gap["significant"]:
        signed = f"{number(gap['value'], 3)} {per} {limits}".strip()
        return f"No share is given for {model}: its gap of {signed} to {reference} is not significant at 95 %."
    rows = comparison["partitions"].get("recall") or []
    first = next((row for row in rows if row["slice"] in ("AR hit", "repeat")), None)
    if first is None or first.get("share") is None:
        return f"{model} is {_better(gap)} than {reference} by {size} {limits}; no share on recall is known.".replace(
            "  ", " "
        )
    what = "AR hits" if first["slice"] == "AR hit" else f"repeated {ngram_word(settings.get('ngram'))}s"
    whose = (
        f"{model}’s gap of {size} to {reference}" if gap["value"] > 0 else f"{model}’s lead of {size} over {reference}"
    )
    band = interval(first.get("share_low"), first.get("share_high"), 1, 100)
    share = f"{percent(first['share'])} % {band or '(no interval)'}"
    return f"{share} of {whose} is on {what}, {percent(first['token_share'])} % of {unit(settings)}s."


def unit(settings: Mapping[str, Any]) -> str:
    """What a row is: a token, or a segment where the models have different tokenizers."""
    return settings.get("unit") or "token"


def _better(gap: Mapping[str, Any]) -> str:
    return "worse" if gap["value"] > 0 else "better"


def facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was compared and how: the lines of the page's head. What is unknown is left out."""
    settings, totals = report["settings"], report["totals"]
    counted = (settings.get("threshold") or {}).get("count") is not None
    lines = [
        ("Models", f"{', '.join(c['model'] for c in report['comparisons'])} against {report['reference']}"),
        ("Text", settings.get("text")),
        ("Size", f"{count(totals['tokens'])} scored {unit(settings)}s in {count(totals['documents'])} documents"),
        (
            "Bits per byte",
            ", ".join(f"{name} {number(bits, 4)}" for name, bits in totals.get("bits_per_byte", {}).items()),
        ),
        ("Window", _window(settings)),
        ("AR hit", "a token that is both a repeat and rare" if counted else None),
        (
            "Repeat",
            f"the {ngram_word(settings.get('ngram'))} ending at the token occurred before in the visible window",
        ),
        ("Rare", _threshold(settings)),
        ("Training text", _training(settings)),
        ("Date", settings.get("date")),
    ]
    return [(name, str(text)) for name, text in lines if text]


def _window(settings: Mapping[str, Any]) -> str | None:
    if settings.get("window") is None:
        return None
    stride = f", stride {count(settings['stride'])}" if settings.get("stride") is not None else ""
    bos = f", BOS {str(settings['bos']).replace('-', ' ')}" if settings.get("bos") else ""
    tokens = settings.get("window_tokens")
    if tokens:
        most = f"at most {count(settings['window'])} words, numbers and signs"
        return f"{count(tokens)} tokens of each model, {most}{stride}{bos}"
    return f"{count(settings['window'])} tokens{stride}{bos}"


def _threshold(settings: Mapping[str, Any]) -> str | None:
    threshold = settings.get("threshold") or {}
    if threshold.get("count") is None:
        return "unknown: no training counts"
    rate = threshold.get("per_million")
    per = f" ({rate:g} per million tokens)" if rate is not None else ""
    return f"at most {count(threshold['count'])} occurrences in the training text{per}"


def _training(settings: Mapping[str, Any]) -> str | None:
    tokens = settings.get("training_tokens")
    parts = [settings.get("training_source"), f"{count(tokens)} tokens" if tokens is not None else None]
    return ", ".join(str(part) for part in parts if part) or None
