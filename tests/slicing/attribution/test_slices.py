"""Partitions and flags against row-by-row definitions, and the published thresholds."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.slicing.attribution.slices import PARTITIONS, bin_label, flag, partition
from recallscope.slicing.attribution.thresholds import CONVENTIONS, JRT, ZOOLOGY, threshold_count

ATTRIBUTES = ("distance_bin", "count_bin", "rare", "opportunity", "position")


def atoms_of(rows: list[tuple[int, int, int, int, int]]) -> pa.Table:
    """Atoms with the given (distance_bin, count_bin, rare, opportunity, position), one token each."""
    columns = {name: pa.array([row[k] for row in rows], pa.int8()) for k, name in enumerate(ATTRIBUTES)}
    return pa.table(columns | {"tokens": pa.array([1] * len(rows), pa.int64())})


def names_of(atoms: pa.Table, by: Any) -> list[str]:
    """The slice of each row, by name."""
    part = partition(atoms, by)
    return [part.names[k] for k in part.index]


ROWS = [
    (3, 1, 1, 1, 0),  # repeat, rare
    (3, 9, 0, 2, 1),  # repeat, frequent
    (0, 1, 1, 3, 2),  # new, rare
    (0, 9, 0, 0, 3),  # new, frequent
]


def test_recall_by_hand() -> None:
    assert names_of(atoms_of(ROWS), "recall") == ["AR hit", "repeat, frequent", "new, rare", "new, frequent"]


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ([(4, -1, -1, 0, 0)], ["repeat, unknown count"]),
        ([(0, -1, -1, 0, 0)], ["new, unknown count"]),
        ([(0, -1, -1, 0, 0), (4, -1, -1, 0, 0)], ["new, unknown count", "repeat, unknown count"]),
    ],
)
def test_recall_keeps_unknown_counts_apart(extra: list[tuple[int, int, int, int, int]], names: list[str]) -> None:
    found = names_of(atoms_of(ROWS + extra), "recall")
    assert found[:4] == ["AR hit", "repeat, frequent", "new, rare", "new, frequent"]
    assert found[4:] == names


def test_recall_without_any_count() -> None:
    atoms = atoms_of([(d, -1, -1, o, p) for d, _, _, o, p in ROWS])
    assert names_of(atoms, "recall") == ["repeat", "repeat", "new", "new"]


def test_recall_names_all_four_slices_even_when_empty() -> None:
    assert partition(atoms_of(ROWS[:1]), "recall").names == ("AR hit", "repeat, frequent", "new, rare", "new, frequent")


def test_binned_partitions_name_values_in_order() -> None:
    atoms = atoms_of([(0, -1, -1, 0, 0), (5, 0, 1, 0, 0), (1, 11, 0, 0, 0), (2, 2, 1, 0, 0)])
    assert partition(atoms, "distance").names == ("1", "2-3", "16-31", "new")
    assert names_of(atoms, "distance") == ["new", "16-31", "1", "2-3"]
    assert partition(atoms, "count").names == ("0", "2-3", "1024-2047", "unknown")
    assert names_of(atoms, "count") == ["unknown", "0", "1024-2047", "2-3"]


@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 7, 8, 1023, 1024, 2047])
def test_bin_label_holds_its_values(value: int) -> None:
    low, _, high = bin_label(value.bit_length()).partition("-")
    assert int(low) <= value <= int(high or low)


def test_position_and_opportunity() -> None:
    assert names_of(atoms_of(ROWS), "position") == ["first quarter", "second quarter", "third quarter", "last quarter"]
    assert names_of(atoms_of(ROWS), "opportunity") == ["hit, most recent", "hit, older", "miss", "no opportunity"]


def test_one_partition_within_a_slice_of_another() -> None:
    atoms = atoms_of([*ROWS, (5, 1, 1, 1, 0)])
    part = partition(atoms, "distance within AR hit")
    assert part.names == ("4-7", "16-31", "outside AR hit")
    assert part.index.tolist() == [0, 2, 2, 2, 1]
    assert names_of(atoms, "recall within miss") == ["outside miss"] * 2 + ["new, rare"] + ["outside miss"] * 2
    assert names_of(atoms, "count within repeat") == ["1", "256-511", "outside repeat", "outside repeat", "1"]


def test_product() -> None:
    found = names_of(atoms_of(ROWS), ("recall", "position"))
    assert found == [
        "AR hit | first quarter",
        "repeat, frequent | second quarter",
        "new, rare | third quarter",
        "new, frequent | last quarter",
    ]


rows = st.tuples(*(st.integers(low, high) for low, high in ((0, 12), (-1, 20), (-1, 1), (0, 3), (0, 3))))
BY = [*PARTITIONS, "distance within AR hit", "count within repeat", ("recall", "position"), ("distance", "opportunity")]


@given(st.lists(rows, min_size=1, max_size=40), st.sampled_from(BY))
def test_every_atom_has_exactly_one_slice_and_names_are_distinct(table: list[Any], by: Any) -> None:
    try:
        part = partition(atoms_of(table), by)
    except ValueError as error:  # only where rarity is unknown throughout is there no AR hit to look within
        assert "AR hit" in by and "the slice must be one of" in str(error) and all(row[2] < 0 for row in table)
        return
    assert len(part.index) == len(table)
    assert part.index.min() >= 0 and part.index.max() < len(part.names)
    assert len(set(part.names)) == len(part.names)


@given(st.lists(rows, min_size=1, max_size=40))
def test_flags_row_by_row(table: list[Any]) -> None:
    expected = {
        "repeat": lambda d, c, r, o, p: d > 0,
        "new": lambda d, c, r, o, p: d == 0,
        "rare": lambda d, c, r, o, p: r == 1,
        "frequent": lambda d, c, r, o, p: r == 0,
        "opportunity": lambda d, c, r, o, p: o > 0,
        "miss": lambda d, c, r, o, p: o == 3,
        "distance >= 1": lambda d, c, r, o, p: d > 0,
        "distance >= 64": lambda d, c, r, o, p: d > 0 and 2 ** (d - 1) >= 64,
    }
    for name, holds in expected.items():
        assert flag(atoms_of(table), name).tolist() == [holds(*row) for row in table], name


def test_unknown_names_are_refused_with_what_there_is() -> None:
    atoms = atoms_of(ROWS)
    with pytest.raises(ValueError, match=r"by must be one of \['count', 'distance'.*got 'colour'"):
        partition(atoms, "colour")
    with pytest.raises(ValueError, match=r"the slice must be one of .*'AR hit'.* got 'hits'"):
        partition(atoms, "distance within hits")
    with pytest.raises(ValueError, match="at least one partition"):
        partition(atoms, ())
    with pytest.raises(ValueError, match=r"flag must be one of \['frequent'.*got 'late'"):
        flag(atoms, "late")
    for name in ("distance >= 100", "distance >= 0", "distance >= x"):
        with pytest.raises(ValueError, match="needs a power of two"):
            flag(atoms, name)


# ---- thresholds


@pytest.mark.parametrize(
    ("convention", "tokens", "count"),
    [
        (ZOOLOGY, 10_000_000_000, 1250),  # at most 1,250
        (ZOOLOGY, 20_000_000, 2),
        (ZOOLOGY, 2_000_000, 0),  # never seen
        (JRT, 20_480_000_000, 999),  # fewer than 1,000
        (JRT, 20_480_000, 0),  # fewer than 1
    ],
)
def test_published_thresholds(convention: Any, tokens: int, count: int) -> None:
    assert threshold_count(convention.per_million, tokens, convention.inclusive) == count


@given(st.integers(0, 4000), st.integers(1, 10**13), st.booleans())
def test_threshold_in_exact_arithmetic(thousandths: int, tokens: int, inclusive: bool) -> None:
    exact = Fraction(thousandths, 1000) * tokens / 10**6
    expected = math.floor(exact) if inclusive else math.ceil(exact) - 1
    assert threshold_count(thousandths / 1000, tokens, inclusive) == expected


def test_bad_thresholds_are_refused() -> None:
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="per_million must be a finite number >= 0"):
            threshold_count(bad, 10)
    with pytest.raises(ValueError, match="training_tokens must be at least 1, got 0"):
        threshold_count(1.0, 0)


def test_conventions_are_complete() -> None:
    assert CONVENTIONS == {"zoology": ZOOLOGY, "jrt": JRT}
    for convention in CONVENTIONS.values():
        assert convention.ngram == 2 and convention.source and len(convention.ambiguous) >= 3
    assert (ZOOLOGY.scored, JRT.scored) == ("all", "last half")
    json.dumps([c.__dict__ for c in CONVENTIONS.values()])
    assert np.isclose(JRT.per_million, 0.048828125)
