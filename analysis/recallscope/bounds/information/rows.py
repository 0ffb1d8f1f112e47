"""The information limits of one setting as rows of evidence, for the command line and for tables."""

from __future__ import annotations

import math
from typing import Any

from recallscope.bounds._checks import at_least
from recallscope.bounds.information.asymptotic import Asymptotic
from recallscope.bounds.information.copying import copy_error_limit, copy_length_limit, copy_state_limit
from recallscope.bounds.information.counting import all_right_limit, answer_bits
from recallscope.bounds.information.depth import (
    binary_depth_limit,
    p_hot_depth_limit,
    recall_depth_growth,
    recall_depth_scale,
)
from recallscope.bounds.information.disjointness import disjointness_bits, disjointness_growth
from recallscope.bounds.information.fano import accuracy_limit, pairs_limit, state_limit
from recallscope.bounds.information.retrieval import (
    dictionary_bits,
    dynamic_extra,
    incremental_extra,
    membership_bits,
    static_retrieval,
)

Row = dict[str, Any]


def recall_rows(
    pairs: int,
    vocabulary: int,
    state_bits: float | None = None,
    error: float = 0.0,
    keys: int | None = None,
    false_positive: float | None = None,
) -> list[Row]:
    """Recall of D pairs: by Fano, by counting for the MQAR generator of this vocabulary, and as a data structure.

    The rows of MQAR are about distinct values out of V/2 and left out where the generator does not exist (V odd,
    D > V/2 - 1); all others are about independent values out of V. Keys are out of `keys`, by default V/2 - 1 as in
    MQAR. Metrics are named by the functions of `recallscope.bounds`.
    """
    free, mqar = "independent values", "MQAR generator"
    values, exists = vocabulary // 2, vocabulary % 2 == 0 and pairs <= vocabulary // 2 - 1
    rows = [_row(free, "state_limit", state_limit(pairs, vocabulary, error), "bits")]
    if exists:
        rows += [_row(mqar, "answer_bits", answer_bits(pairs, values), "bits")]
    if state_bits is not None:
        at_least("state_bits", state_bits, 0)
        rows += [
            _row(free, "accuracy_limit", accuracy_limit(state_bits, pairs, vocabulary), "share"),
            _row(free, "pairs_limit", pairs_limit(state_bits, vocabulary, error), "pairs"),
        ]
    if state_bits is not None and exists:
        best = accuracy_limit(state_bits, pairs, values, answer_bits(pairs, values))
        rows += [
            _row(mqar, "accuracy_limit", best, "share"),
            _row(mqar, "all_right_limit", all_right_limit(state_bits, pairs, values), "probability"),
        ]
    rows += _structure_rows(pairs, vocabulary, values - 1 if keys is None and exists else keys, false_positive)
    setting = {"pairs": pairs, "vocabulary": vocabulary, "state_bits": state_bits, "error": error, "keys": keys}
    return [row | setting | {"false_positive": false_positive} for row in rows]


def _structure_rows(pairs: int, vocabulary: int, keys: int | None, false_positive: float | None) -> list[Row]:
    rows = [
        _order("all pairs in view", "static_retrieval", static_retrieval(pairs, vocabulary)),
        _order("keys only inserted", "incremental_extra", incremental_extra(pairs, vocabulary)),
    ]
    if keys is not None:
        rows += [
            _order("keys inserted, deleted", "dynamic_extra", dynamic_extra(pairs, keys)),
            _row(f"held, of {keys:,} keys", "dictionary_bits", dictionary_bits(pairs, keys, vocabulary), "bits"),
        ]
    if false_positive is not None:
        if keys is None:
            raise ValueError("keys: needed with false_positive, as MQAR has no such pairs and vocabulary, got None")
        needed = membership_bits(pairs, keys, false_positive, vocabulary)
        rows += [_row(f"recognised, of {keys:,} keys", "membership_bits", needed, "bits")]
    return rows


def copy_rows(length: int, vocabulary: int, state_bits: float | None = None, error: float = 0.0) -> list[Row]:
    """Copying a random string of n tokens."""
    rows = [_row("random string", "copy_state_limit", copy_state_limit(length, vocabulary, error), "bits")]
    if state_bits is not None:
        at_least("state_bits", state_bits, 0)
        rows += [
            _row("random string", "copy_error_limit", copy_error_limit(state_bits, length, vocabulary), "probability"),
            _row("random string", "copy_length_limit", copy_length_limit(state_bits, vocabulary, error), "tokens"),
        ]
    setting = {"length": length, "vocabulary": vocabulary, "state_bits": state_bits, "error": error}
    return [row | setting for row in rows]


def set_rows(first: int, second: int, ids: int, passes: int = 1) -> list[Row]:
    """Disjointness of A, read first, and B."""
    rows = [
        _row("never wrong", "disjointness_bits", disjointness_bits(first, second, ids, passes), "bits"),
        _order("sometimes wrong", "disjointness_growth", disjointness_growth(first, second, passes)),
    ]
    return [row | {"first": first, "second": second, "ids": ids, "passes": passes} for row in rows]


def depth_rows(
    vocabulary: int | None = None, blocks: int | None = None, length: int | None = None, width: int | None = None
) -> list[Row]:
    """Layers of gated convolutions, for what is given: a vocabulary, p-hot blocks, or length and width together."""
    if (length is None) != (width is None):
        raise ValueError(f"length, width: both or none, got {length} and {width}")
    rows = []
    if vocabulary is not None:
        rows += [_row("MQAR, tokens as bits", "binary_depth_limit", binary_depth_limit(vocabulary), "layers")]
    if blocks is not None:
        rows += [_row("MQAR, p-hot tokens", "p_hot_depth_limit", p_hot_depth_limit(blocks), "layers")]
    if length is not None and width is not None:
        scale = _row("one question", "recall_depth_scale", recall_depth_scale(length, width), "layers")
        scale["flag"] = "no bound: the constant in Ω(N) is taken as 1"
        rows += [scale, _order("one question", "recall_depth_growth", recall_depth_growth(length, width))]
    if not rows:
        raise ValueError("vocabulary, blocks, length and width: one of the first two or the last two, got none")
    return [row | {"vocabulary": vocabulary, "blocks": blocks, "length": length, "width": width} for row in rows]


def format_rows(rows: list[Row]) -> str:
    """Aligned text: of what, which quantity, its value; for orders the term within them, and that it is no bound."""
    cells = [(row["subject"], row["metric"].replace("_", " "), _value(row), row["flag"] or "") for row in rows]
    widths = [max(len(cell[k]) for cell in cells) for k in range(3)]
    return "\n".join(
        f"{subject:<{widths[0]}}  {metric:<{widths[1]}}  {value:>{widths[2]}}  {flag}".rstrip()
        for subject, metric, value, flag in cells
    )


def _row(subject: str, metric: str, value: Any, unit: str) -> Row:
    """A proven number; one without end is null and says so."""
    number = float(value)
    finite = math.isfinite(number)
    return {
        "subject": subject, "metric": metric, "value": number if finite else None, "unit": unit, "kind": "derived",
        "source": f"recallscope.bounds.{metric}", "flag": None if finite else "no limit: guessing is enough",
    }  # fmt: skip


def _order(subject: str, metric: str, found: Asymptotic) -> Row:
    """An order of growth: no value, the term in a column of its own."""
    flag = f"asymptotic, no bound: {found.order}; term {found.term:,.4g}"
    return {
        "subject": subject, "metric": metric, "value": None, "unit": found.unit, "kind": "derived",
        "source": found.source, "flag": flag, "order": found.order, "term": found.term, "holds": found.holds,
    }  # fmt: skip


def _value(row: Row) -> str:
    if row["value"] is None:
        return "-"
    number = f"{row['value']:,.6g}" if abs(row["value"]) < 1e6 else f"{row['value']:,.0f}"
    return f"{number} {row['unit']}"
