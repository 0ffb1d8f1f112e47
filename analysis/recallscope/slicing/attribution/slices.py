"""Partitions and flags of atoms: which atoms belong together, and what the groups are called.

A partition gives every atom exactly one slice, so contributions of its slices sum to the gap. A flag is one condition;
flags overlap (see `shapley`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

RECALL = ("AR hit", "repeat, frequent", "new, rare", "new, frequent")
RECALL_UNKNOWN = ("repeat, unknown count", "new, unknown count")
OPPORTUNITY = ("no opportunity", "hit, most recent", "hit, older", "miss")
POSITION = ("first quarter", "second quarter", "third quarter", "last quarter")
OUTSIDE = "outside"


@dataclass(frozen=True)
class Partition:
    """Names of the slices, in order, and the slice of each atom row: int64 [rows]."""

    names: tuple[str, ...]
    index: NDArray[np.int64]


def column(atoms: pa.Table, name: str) -> NDArray[np.int64]:
    """An integer column of the atoms, [rows]."""
    return atoms.column(name).to_numpy().astype(np.int64)


def compact(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct values, ascending, and the index of each row's value; for small values >= 0 (no sort)."""
    present = np.flatnonzero(np.bincount(values))
    rank = np.zeros(int(present[-1]) + 1 if present.size else 0, dtype=np.int64)
    rank[present] = np.arange(present.size)
    return present, rank[values]


def bin_label(bin_number: int) -> str:
    """The values in a log2 bin: 0 is "0", 1 is "1", 2 is "2-3", 3 is "4-7", ..."""
    if bin_number <= 1:
        return str(bin_number)
    return f"{1 << (bin_number - 1)}-{(1 << bin_number) - 1}"


def by_recall(atoms: pa.Table) -> Partition:
    """(repeat or new) x (rare or frequent); tokens whose count is unknown stand apart.

    Without any known count there are two slices, "repeat" and "new". The slices of unknown counts appear only when they
    hold tokens (the first tokens of a document end no n-gram, so they have no count).
    """
    new = column(atoms, "distance_bin") == 0
    rare = column(atoms, "rare")
    if not (rare >= 0).any():
        return Partition(("repeat", "new"), new.astype(np.int64))
    index = 2 * new + (rare == 0) + np.where(rare < 0, 4 - new, 0)
    extra = tuple(name for k, name in enumerate(RECALL_UNKNOWN) if (index == 4 + k).any())
    if extra == RECALL_UNKNOWN[1:]:
        index = np.minimum(index, 4)
    return Partition(RECALL + extra, index)


def by_distance(atoms: pa.Table) -> Partition:
    """Log2 bins of the distance to the previous occurrence, near to far; "new" last."""
    bins = column(atoms, "distance_bin")
    return _binned(np.where(bins == 0, 99, bins), lambda b: "new" if b == 99 else bin_label(b))


def by_count(atoms: pa.Table) -> Partition:
    """Log2 bins of the training count, rare to frequent; "unknown" last."""
    bins = column(atoms, "count_bin")
    return _binned(np.where(bins < 0, 99, bins), lambda b: "unknown" if b == 99 else bin_label(b))


def by_position(atoms: pa.Table) -> Partition:
    """Quarters of the window, by the number of visible tokens before the token."""
    return Partition(POSITION, column(atoms, "position"))


def by_opportunity(atoms: pa.Table) -> Partition:
    """Was the previous token seen before in the window, and would copying what followed it have been right?"""
    return Partition(OPPORTUNITY, column(atoms, "opportunity"))


def _binned(bins: NDArray[np.int64], label: Callable[[int], str]) -> Partition:
    """Non-empty bins only, ascending."""
    present, index = compact(bins)
    return Partition(tuple(label(int(b)) for b in present), index)


PARTITIONS: dict[str, Callable[[pa.Table], Partition]] = {
    "recall": by_recall,
    "distance": by_distance,
    "count": by_count,
    "position": by_position,
    "opportunity": by_opportunity,
}


def partition(atoms: pa.Table, by: str | Sequence[str] = "recall") -> Partition:
    """Slice of each atom.

    Parameters
    ----------
    atoms : pyarrow.Table
        As `recallscope.slicing.atoms.atoms` makes it.
    by : str or sequence of str
        "recall", "distance", "count", "position" or "opportunity"; "distance within AR hit" for the slices of one
        partition inside one slice of another, all else in one slice "outside AR hit"; a sequence such as
        ("recall", "position") for all non-empty combinations, named "AR hit | first quarter".
    """
    if not isinstance(by, str):
        return _product([partition(atoms, part) for part in by])
    if " within " in by:
        inner, _, outer = by.partition(" within ")
        return _within(partition(atoms, inner), atoms, outer)
    if by not in PARTITIONS:
        raise ValueError(f"by must be one of {sorted(PARTITIONS)}, '<one> within <slice>' or a sequence, got {by!r}")
    return PARTITIONS[by](atoms)


def _within(inner: Partition, atoms: pa.Table, slice_name: str) -> Partition:
    """`inner` where the named slice holds; empty inner slices are dropped, the outside comes last if not empty."""
    inside = _slice_named(atoms, slice_name)
    present, index = compact(np.where(inside, inner.index, len(inner.names)))
    names = (*inner.names, f"{OUTSIDE} {slice_name}")
    return Partition(tuple(names[k] for k in present), index)


def _slice_named(atoms: pa.Table, name: str) -> NDArray[np.bool_]:
    if name in ("repeat", "new"):
        return (column(atoms, "distance_bin") == 0) == (name == "new")
    candidates = [PARTITIONS[by](atoms) for by in ("recall", "opportunity", "position")]
    for candidate in candidates:
        if name in candidate.names:
            return candidate.index == candidate.names.index(name)
    known = ["repeat", "new", *(n for candidate in candidates for n in candidate.names)]
    raise ValueError(f"by='... within {name}': the slice must be one of {list(dict.fromkeys(known))}, got {name!r}")


def _product(parts: list[Partition]) -> Partition:
    if not parts:
        raise ValueError("by must name at least one partition, got an empty sequence")
    index, names = parts[0].index, list(parts[0].names)
    for part in parts[1:]:
        index = index * len(part.names) + part.index
        names = [f"{a} | {b}" for a in names for b in part.names]
    present, index = compact(index)
    return Partition(tuple(names[k] for k in present), index)


def flag(atoms: pa.Table, name: str) -> NDArray[np.bool_]:
    """One condition per atom, [rows].

    Parameters
    ----------
    name : str
        "repeat", "new", "rare", "frequent", "opportunity", "miss", or "distance >= D" with D a power of two.
    """
    if name.startswith("distance >= "):
        return column(atoms, "distance_bin") >= _power_of_two(name)
    if name not in _FLAGS:
        raise ValueError(f"flag must be one of {sorted(_FLAGS)} or 'distance >= <power of two>', got {name!r}")
    attribute, accepted = _FLAGS[name]
    return np.isin(column(atoms, attribute), accepted)


def _power_of_two(name: str) -> int:
    """First log2 bin of "distance >= D"."""
    text = name.removeprefix("distance >= ")
    value = int(text) if text.isdecimal() else 0
    if value < 1 or value & (value - 1):
        raise ValueError(f"flag 'distance >= D' needs a power of two (atoms hold log2 bins), got {name!r}")
    return value.bit_length()


_FLAGS: dict[str, tuple[str, list[int]]] = {
    "repeat": ("distance_bin", list(range(1, 128))),
    "new": ("distance_bin", [0]),
    "rare": ("rare", [1]),
    "frequent": ("rare", [0]),
    "opportunity": ("opportunity", [1, 2, 3]),
    "miss": ("opportunity", [3]),
}
