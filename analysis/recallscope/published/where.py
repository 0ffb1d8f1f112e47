"""Rows by conditions: `column=value`, in the same words on the command line and in the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]


def matching(rows: Iterable[Row], where: Sequence[str] | str) -> list[Row]:
    """Rows that match every condition.

    A condition is `column=value`, `column=one|another` or `column!=value`; a text holds several, separated by `;`.
    Numbers compare as numbers (`training_tokens=1e10`), anything else letter by letter, `true`, `false` and `null` as
    in JSON. Raises `ValueError` for what is no condition, and for a column that no row has.
    """
    rows, conditions = list(rows), [_condition(text) for text in _split(where)]
    columns = dict.fromkeys(name for row in rows for name in row)
    for name, _, _ in conditions:
        if rows and name not in columns:
            raise ValueError(f"where: a column, one of {', '.join(columns)}, got {name!r}")
    return [row for row in rows if all(_holds(row.get(name), wanted, equal) for name, wanted, equal in conditions)]


def _split(where: Sequence[str] | str) -> list[str]:
    texts = [where] if isinstance(where, str) else where
    return [part.strip() for text in texts for part in text.split(";") if part.strip()]


def _condition(text: str) -> tuple[str, list[str], bool]:
    name, sign, wanted = text.partition("=")
    if not sign or not name.strip("! "):
        raise ValueError(f"where: column=value, column=one|another or column!=value, got {text!r}")
    return name.rstrip("! ").strip(), [value.strip() for value in wanted.split("|")], not name.endswith("!")


def _holds(value: Any, wanted: list[str], equal: bool) -> bool:
    return any(_same(value, text) for text in wanted) == equal


def _same(value: Any, text: str) -> bool:
    if value is None or isinstance(value, bool):
        return text == {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value == text
    try:
        return float(value) == float(text)
    except ValueError:
        return False
