"""Based, Figure 4, and JRT, Table 5, on the device at hand: what operators take, and what of the print holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recallscope.reproduction.printed import claimed
from recallscope.reproduction.statements import Row, Spread, statement

PREFILL, STEP = "fwd", "decode"
LEAST = 512
"""Tokens below which the work of a call is not what it takes."""


def _times(percent_more: float) -> float:
    return 1 + percent_more / 100


def ratio(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> Spread:
    """How many times as long one took as another; the ends are quartiles against the opposite quartiles."""
    return Spread(slow["value"] / fast["value"], slow["low"] / fast["high"], slow["high"] / fast["low"])


def throughput_statements(rows: Sequence[Row]) -> list[Row]:
    """How Based's and attention's prefill grow with the length; beside it, undecided, how many times faster Based is.

    `rows` are seconds a call (`throughput.jsonl`). Published: 1.3B models on an H100, Section 6.2, which another device
    cannot confirm or refute.
    """
    prefill, steps = (_by(rows, mode) for mode in (PREFILL, STEP))
    length, batch = max(t for _, t in prefill), max(t for _, t in steps)
    powers, found = {name: growth(prefill, name) for name in ("based", "attention")}, []
    rules = {"based": ("at most linear: below 1.1", powers["based"] < 1.1),
             "attention": ("more than linear: above 1.1", powers["attention"] > 1.1)}  # fmt: skip
    for name, (rule, holds) in rules.items():
        words = f"{name}: power of the length that its prefill grows by from {LEAST} tokens on"
        found.append(statement(words, Spread(powers[name]), holds, rule, n=len({t for _, t in prefill if t >= LEAST})))
    read = claimed("based_claims", "Based", "prefill faster than FlashAttention-2, 1.3B", _times)
    generated = claimed("based_claims", "Based", "generation over FlashAttention-2, 1.3B")
    for words, table, at, printed in (
        (f"prefill of {length:,} tokens", prefill, length, read),
        (f"decoding step at batch {batch}", steps, batch, generated),
    ):
        faster, n = ratio(table["attention", at], table["based", at]), table["based", at]["n"]
        words = f"Based: {words} faster than attention's, times"
        found.append(statement(words, faster, None, "not decided: another device", published=printed, n=n))
    return found


def prefix_statement(rows: Sequence[Row]) -> Row:
    """JRT's encoder and decoder against Based's prefill, at the longest length: less than reading twice."""
    prefill = _by(rows, PREFILL)
    length = max(t for _, t in prefill)
    more = ratio(prefill["jrt_prefix", length], prefill["based", length])
    printed = claimed("jrt_claims", "JRT-RNN custom CUDA", "prefill time over Based, batch 16, length 32768")
    return statement(f"JRT-RNN: prefill time over Based, {length:,} tokens", more,
                     more.high is not None and more.high < 2, "below the 2 of reading twice", published=printed,
                     n=prefill["based", length]["n"])  # fmt: skip


def growth(table: Mapping[tuple[str, int], Row], name: str, least: int = LEAST) -> float:
    """Slope of log seconds over log length between the shortest text of at least `least` tokens and the longest."""
    lengths = sorted(t for subject, t in table if subject == name and t >= least)
    if len(lengths) < 2:
        raise ValueError(f"rows: prefill of {name!r} at two lengths of at least {least} tokens, got {lengths}")
    first, last = (table[name, t]["value"] for t in (lengths[0], lengths[-1]))
    return math.log(last / first) / math.log(lengths[-1] / lengths[0])


def latency_rows(rows: Sequence[Row]) -> list[Row]:
    """Own prefills as the published table has its own: milliseconds, by length."""
    own = [row for row in rows if row["mode"] == PREFILL and row["subject"] in NAMES]
    return [
        row | {"subject": NAMES[row["subject"]], "metric": "latency", "unit": "ms", "phase": "prefill",
               "length": row["t"], "table": "measured here", **{k: 1e3 * row[k] for k in ("value", "low", "high")}}
        for row in own
    ]  # fmt: skip


NAMES = {"attention": "Flash attention, here", "based": "Based, here", "jrt_prefix": "JRT-RNN, here"}


def _by(rows: Sequence[Row], mode: str) -> dict[tuple[str, int], Row]:
    size = "t" if mode == PREFILL else "batch"
    table = {(row["subject"], row[size]): row for row in rows if row.get("mode") == mode and row["metric"] == "seconds"}
    if not table:
        raise ValueError(f"rows: seconds of the mode {mode!r}, got none")
    return table
