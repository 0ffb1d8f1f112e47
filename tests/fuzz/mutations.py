"""Damaged copies of a valid file: cut off, bytes changed, pieces moved, and JSON with other values in it."""

from __future__ import annotations

import json
import random
from typing import Any

ODD_VALUES = (
    None, True, False, 0, -1, 1, 3.5, -0.0, 2**31, 2**63, 2**64, -(2**70), 1e308, "", "\u0000", "a" * 3000, "\ud800",
    "NaN", [], {}, [[]], {"a": {}}, [None], "../../etc/passwd", "<script>alert(1)</script>", float("nan"), float("inf"),
)  # fmt: skip
ODD_BYTES = (b"", b"\x00" * 64, b"\xff" * 64, b"{", b"[" * 2000, b'{"a":' * 500, b"\r\n", b"\xef\xbb\xbf", b"1e999999")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One damaged copy of `data`; of JSON and JSON Lines half of the copies are valid JSON with other values."""
    if rng.random() < 0.5 and data[:1] in (b"{", b"["):
        changed = _other_values(data, rng)
        if changed is not None:
            return changed
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        data = rng.choice((_cut, _flip, _flip, _insert, _repeat, _remove))(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Anywhere, but often near the ends, where headers and footers are."""
    near = rng.choice((len(data), len(data), 16, 200))
    at = rng.randrange(min(near, len(data)) + 1) if data else 0
    return at if rng.random() < 0.5 else len(data) - at


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice((*ODD_BYTES, rng.randbytes(rng.randrange(1, 20)))) + data[at:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.randrange(1, 40) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[: at + rng.randrange(1, 300)] + data[at:]


def _other_values(data: bytes, rng: random.Random) -> bytes | None:
    try:
        lines = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
        joined = "\n"
    except (ValueError, UnicodeDecodeError):
        try:
            lines, joined = [json.loads(data)], ""
        except (ValueError, UnicodeDecodeError):
            return None
    k = rng.randrange(len(lines))
    lines[k] = _other(lines[k], rng)
    return joined.join(json.dumps(line) for line in lines).encode("utf-8", "surrogatepass")


def _other(value: Any, rng: random.Random, depth: int = 0) -> Any:
    """The value with one place in it changed, removed, added, or renamed."""
    if isinstance(value, dict) and value and rng.random() > 0.15 / (depth + 1):
        changed, name = dict(value), rng.choice(list(value))
        what = rng.random()
        if what < 0.15:
            del changed[name]
        elif what < 0.25:
            changed[rng.choice(("extra", name + "x", ""))] = rng.choice(ODD_VALUES)
        else:
            changed[name] = _other(value[name], rng, depth + 1)
        return changed
    if isinstance(value, list) and value and rng.random() > 0.15 / (depth + 1):
        changed, at = list(value), rng.randrange(len(value))
        changed[at] = _other(value[at], rng, depth + 1)
        return changed
    return rng.choice(ODD_VALUES)
