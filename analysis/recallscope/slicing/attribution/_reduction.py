"""What records are reduced to: bins, packed keys, and the sums of all documents so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recallscope.allocator import give_back_freed_memory

Ints = NDArray[np.integer]

# attribute -> (bits in the packed key, offset added so that the stored value is not negative); key order = sort order
FIELDS = {"distance_bin": (5, 0), "count_bin": (6, 1), "rare": (2, 1), "opportunity": (2, 0), "position": (2, 0)}
KEY_BITS = sum(bits for bits, _ in FIELDS.values())
KEYS = 1 << KEY_BITS
LAST_DISTANCE_BIN, LAST_COUNT_BIN = 31, 62  # values beyond (2**31 and 2**62) are put here


def log2_bin(values: NDArray[np.integer]) -> NDArray[np.int32]:
    """0 for 0, else floor(log2(value)) + 1, which is the bit length; exact for all values >= 0."""
    leading = values & ~(values >> 1)  # keeps the highest bit and cannot round up to the next power of two
    exponent = leading.astype(np.float32).view(np.int32) >> 23  # biased by 127; 0 for 0.0
    return np.maximum(exponent - 126, 0)


def visible(distance: NDArray[np.integer], context: NDArray[np.integer], reach: int) -> NDArray[np.bool_]:
    """Whether a previous occurrence lies in the window: ``0 < distance <= context - reach``."""
    return (distance > 0) & (distance <= context - np.int32(reach))


def pack(columns: Mapping[str, NDArray[np.integer]]) -> NDArray[np.int32]:
    """One integer per row from the five attributes, in the order of `FIELDS`."""
    key = np.zeros(len(columns["position"]), dtype=np.int32)
    for name, (bits, offset) in FIELDS.items():
        key <<= bits
        key += columns[name]
        key += offset
    return key


def unpack(key: Ints) -> dict[str, NDArray[np.int8]]:
    """Inverse of `pack`."""
    out: dict[str, NDArray[np.int8]] = {}
    for name, (bits, offset) in reversed(FIELDS.items()):
        out[name] = ((key & ((1 << bits) - 1)) - offset).astype(np.int8)
        key = key >> bits
    return {name: out[name] for name in FIELDS}


@dataclass
class Sums:
    """Sums of finished and of the current document: rows of (document, key, tokens, one loss sum per model)."""

    models: tuple[str, ...]
    documents: list[NDArray[np.integer]] = field(default_factory=list)
    keys: list[NDArray[np.integer]] = field(default_factory=list)
    tokens: list[NDArray[np.integer]] = field(default_factory=list)
    losses: list[list[NDArray[np.float64]]] = field(init=False)  # of each model

    def __post_init__(self) -> None:
        self.losses = [[] for _ in self.models]

    def append(self, document: Ints, key: Ints, tokens: Ints, losses: NDArray[np.float64]) -> None:
        """Add a block of finished rows, in as few bytes as hold them: of 200 M records there may be 50 M rows."""
        self.documents.append(_narrow(document))
        self.keys.append(_narrow(key))
        self.tokens.append(_narrow(tokens))
        for own, column in zip(self.losses, losses.T, strict=True):
            own.append(column.copy())

    def taken(self) -> tuple[Ints, Ints, Ints, list[NDArray[np.float64]]]:
        """All rows by document, one array of losses per model; within a document they already stand in the order of the
        keys. Nothing is left behind, so that no column is held twice."""
        losses = [_joined(parts, np.float64) for parts in self.losses]
        document, key, tokens = (_joined(column, np.int32) for column in (self.documents, self.keys, self.tokens))
        if (document[1:] >= document[:-1]).all():
            return document, key, tokens, losses
        order = np.argsort(document, kind="stable")
        return document[order], key[order], tokens[order], [loss[order] for loss in losses]


def _narrow(values: NDArray[np.integer]) -> NDArray[np.integer]:
    return values.astype(np.int32 if values.max(initial=0) < 2**31 else np.int64)


def _joined(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    """One array, of which the parts are gone: small pieces among others, where the next array would find no place."""
    whole = np.concatenate([np.empty(0, kind), *parts])
    parts.clear()
    give_back_freed_memory()
    return whole
