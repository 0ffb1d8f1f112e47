"""Atoms against a row-by-row reference in plain Python, whose additions happen in the same order."""

from __future__ import annotations

import itertools
import json
import math
import sys
import tracemalloc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.slicing.attribution import _blocks, _records
from recallscope.slicing.attribution._reduction import FIELDS, log2_bin, pack, unpack
from recallscope.slicing.attribution.atoms import as_atoms, atoms, metadata_of, read_atoms, write_atoms

pytestmark = pytest.mark.usefixtures("engine")

TYPES = {
    "document": pa.int32(),
    "position": pa.int32(),
    "token": pa.int32(),
    "context": pa.int32(),
    "distance_2": pa.int32(),
    "distance_3": pa.int32(),
    "distance_4": pa.int32(),
    "opportunity": pa.int32(),
    "match": pa.int8(),
    "count": pa.int64(),
    "loss_a": pa.float32(),
    "loss_b": pa.float32(),
}


@pytest.fixture(params=["0", pytest.param("1", marks=pytest.mark.skipif(not find_spec("numba"), reason="no numba"))])
def engine(request, monkeypatch) -> None:
    """Every test runs with numpy and with numba."""
    monkeypatch.setenv("RECALLSCOPE_NUMBA", request.param)


def table_of(columns: dict[str, Any], **metadata: Any) -> pa.Table:
    """Records with the given columns; 0 for the others."""
    rows = len(columns["document"])
    full = {name: pa.array(columns.get(name, [0] * rows), kind) for name, kind in TYPES.items()}
    meta = {"format": "recallscope-records-1", "models": ["a", "b"], "ngram": 2, "training_tokens": 20_000_000}
    meta |= {"window": 64, **metadata}
    return pa.table(full).replace_schema_metadata({b"recallscope": json.dumps(meta).encode()})


def random_records(seed: int, lengths: list[int], **metadata: Any) -> pa.Table:
    """Records with every kind of row; distances up to beyond the window, a fifth of the counts unknown."""
    rng = np.random.default_rng(seed)
    rows = sum(lengths)
    position = np.concatenate([np.arange(n) for n in lengths]) if rows else np.empty(0)
    opportunity = np.where(rng.random(rows) < 0.6, rng.integers(1, 100, rows), 0)
    most_recent = rng.random(rows) < 0.5
    repeat = (opportunity > 0) & (rng.random(rows) < 0.6)
    distance = np.where(repeat, opportunity + np.where(most_recent, 0, rng.integers(0, 30, rows)), 0)
    count = np.where(rng.random(rows) < 0.4, rng.integers(0, 5, rows), rng.integers(0, 1 << 40, rows))
    return table_of(
        {
            "document": np.repeat(np.arange(len(lengths)), lengths),
            "position": position,
            "context": position % 64,
            "distance_2": distance,
            "distance_3": np.where(rng.random(rows) < 0.5, distance, 0),
            "opportunity": opportunity,
            "count": pa.array(count, mask=rng.random(rows) < 0.2),
            "loss_a": rng.gamma(1.0, 3.0, rows).astype(np.float32),
            "loss_b": rng.gamma(1.0, 3.0, rows).astype(np.float32),
        },
        **metadata,
    )


def literal_atoms(records: pa.Table, threshold: int | None, ngram: int = 2, window: int = 64) -> list[dict[str, Any]]:
    """The contract, one row at a time."""
    found: dict[tuple[int, ...], list[float]] = {}
    for row in records.to_pylist():
        distance, context = row[f"distance_{ngram}"], row["context"]
        repeat = 0 < distance <= context - (ngram - 1)
        if not 0 < row["opportunity"] <= context - 1:
            kind = 0
        elif 0 < row["distance_2"] <= context - 1:
            kind = 1 if row["distance_2"] == row["opportunity"] else 2
        else:
            kind = 3
        count = row["count"]
        key = (
            row["document"],
            distance.bit_length() if repeat else 0,
            -1 if count is None else count.bit_length(),
            -1 if count is None or threshold is None else int(count <= threshold),
            kind,
            min(3, 4 * context // window),
        )
        sums = found.setdefault(key, [0, 0.0, 0.0])
        sums[0] += 1
        sums[1] += row["loss_a"]
        sums[2] += row["loss_b"]
    names = ("document", "distance_bin", "count_bin", "rare", "opportunity", "position")
    values = ("tokens", "loss_a", "loss_b")
    return [dict(zip((*names, *values), (*key, *found[key]), strict=True)) for key in sorted(found)]


def without_id(table: pa.Table) -> list[dict[str, Any]]:
    return table.drop_columns(["document_id"]).to_pylist()


def batches(table: pa.Table, cuts: list[int]) -> Iterator[pa.RecordBatch]:
    """The table cut before the given rows."""
    edges = [0, *sorted(cuts), table.num_rows]
    for start, stop in itertools.pairwise(edges):
        yield from table.slice(start, stop - start).combine_chunks().to_batches() or [
            pa.RecordBatch.from_pylist([], schema=table.schema)
        ]


def test_a_case_by_hand() -> None:
    # window 8, three tokens: a new token; a repeat at distance 5 (bin 3) copied right; one whose match is outside
    records = table_of(
        {
            "document": [4, 4, 4],
            "position": [0, 6, 9],
            "context": [0, 6, 1],
            "distance_2": [0, 5, 5],
            "opportunity": [0, 5, 5],
            "count": [None, 2, 3],
            "loss_a": [1.5, 0.25, 2.0],
            "loss_b": [1.0, 0.75, 4.0],
        },
        window=8,
        training_tokens=20_000_000,
    )
    names = ("document", "distance_bin", "count_bin", "rare", "opportunity", "position", "tokens", "loss_a", "loss_b")
    assert [tuple(row[name] for name in names) for row in atoms(records).to_pylist()] == [
        (4, 0, -1, -1, 0, 0, 1, 1.5, 1.0),
        (4, 0, 2, 0, 0, 0, 1, 2.0, 4.0),
        (4, 3, 2, 1, 1, 3, 1, 0.25, 0.75),
    ]


@pytest.mark.parametrize("lengths", [[300], [1] * 200, [0, 70, 0, 1, 130, 64]], ids=["one", "short", "mixed"])
@pytest.mark.parametrize("ngram", [2, 3])
def test_equals_the_literal_definition(lengths: list[int], ngram: int) -> None:
    records = random_records(len(lengths), lengths, ngram=ngram)
    assert without_id(atoms(records, threshold_count=3)) == literal_atoms(records, 3, ngram)


@pytest.mark.parametrize("ngram", [2, 3, 4])
def test_the_edge_of_the_window(ngram: int) -> None:
    # an n-gram that ended `distance` tokens ago lies in the window iff distance <= context - (n - 1)
    distances = np.arange(1, 22)
    columns = {name: distances for name in ("distance_2", "distance_3", "distance_4", "opportunity")}
    rows = {"document": distances, "position": 0 * distances, "context": 0 * distances + 20, **columns}
    found = atoms(table_of(rows, ngram=ngram))
    assert (found.column("distance_bin").to_numpy() > 0).tolist() == [d <= 20 - (ngram - 1) for d in distances]
    assert (found.column("opportunity").to_numpy() > 0).tolist() == [d <= 19 for d in distances]


def test_rarity_is_unknown_without_a_threshold() -> None:
    records = random_records(3, [100], training_tokens=None)
    table = atoms(records)
    assert without_id(table) == literal_atoms(records, None)
    assert metadata_of(table.schema)["threshold"] == {"count": None, "per_million": None}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 250), max_size=12))
def test_batch_borders_do_not_matter(cuts: list[int]) -> None:
    records = random_records(7, [90, 3, 157])
    assert atoms(batches(records, cuts)).equals(atoms(records), check_metadata=True)


def test_every_row_its_own_batch() -> None:
    records = random_records(8, [40, 60])
    assert atoms(batches(records, list(range(1, 100)))).equals(atoms(records))


def test_block_borders_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    records = random_records(9, [500, 2, 300])
    whole = atoms(records)
    monkeypatch.setattr("recallscope.slicing.attribution._blocks._ROWS", 33)
    assert atoms(records).equals(whole)


@pytest.mark.parametrize("row_group", [1, 7, 1000])
def test_files_give_the_same_as_memory(tmp_path: Path, row_group: int) -> None:
    records = random_records(10, [50, 80])
    pq.write_table(records, tmp_path / "r.parquet", row_group_size=row_group)
    assert atoms(tmp_path / "r.parquet").equals(atoms(records), check_metadata=True)


def test_order_of_documents_does_not_matter() -> None:
    records = random_records(11, [90, 40, 70])
    shards = [records.slice(start, n).combine_chunks().to_batches()[0] for start, n in ((0, 90), (90, 40), (130, 70))]
    assert atoms([shards[2], shards[0], shards[1]]).equals(atoms(records))


def test_last_half_keeps_the_rows_with_half_a_window_before_them() -> None:
    records = random_records(12, [200, 30])
    keep = records.filter(pa.array(records.column("context").to_numpy() >= 32))
    assert (
        atoms(records, 3, scored="last half")
        .drop_columns(["document_id"])
        .equals(atoms(keep, 3).drop_columns(["document_id"]))
    )


def test_a_long_document_is_streamed() -> None:
    def peak(blocks: int) -> int:
        block = random_records(13, [1 << 14]).combine_chunks().to_batches()[0]

        def stream() -> Iterator[pa.RecordBatch]:
            for index in range(blocks):
                position = pa.array(np.arange(block.num_rows) + index * block.num_rows, pa.int32())
                yield block.set_column(1, "position", position)

        tracemalloc.start()
        table = atoms(stream())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert table.column("tokens").to_numpy().sum() == blocks << 14
        return used

    # two threads read ahead: up to three blocks wait beside the one that is summed, and three are too few to fill that
    assert peak(96) < 2 * peak(3)


def test_document_ids_name_and_may_repeat() -> None:
    table = atoms(random_records(14, [5, 5, 5]), document_ids=["x", "y", "x"])
    ids = dict(zip(table.column("document").to_pylist(), table.column("document_id").to_pylist(), strict=True))
    assert ids == {0: "x", 1: "y", 2: "x"}
    listed = atoms(random_records(14, [5, 5], documents={"count": 2, "ids": ["p", "q"]}))
    assert set(listed.column("document_id").to_pylist()) == {"p", "q"}
    with pytest.raises(ValueError, match="document_ids must name every document: 2 given, index 2"):
        atoms(random_records(14, [5, 5, 5]), document_ids=["x", "y"])


def test_log2_bin_is_the_bit_length() -> None:
    values = sorted({v for k in range(62) for v in ((1 << k) - 1, 1 << k, (1 << k) + 1)})
    assert log2_bin(np.array(values, dtype=np.int64)).tolist() == [v.bit_length() for v in values]
    small = [v for v in values if v < 1 << 31]
    assert log2_bin(np.array(small, dtype=np.int32)).tolist() == [v.bit_length() for v in small]


def test_pack_is_invertible_over_the_full_range() -> None:
    ranges = {name: np.arange(-offset, (1 << bits) - offset) for name, (bits, offset) in FIELDS.items()}
    ranges["count_bin"], ranges["rare"] = ranges["count_bin"][[0, 1, -1]], np.array([-1, 0, 1])
    grid = {n: g.ravel() for n, g in zip(ranges, np.meshgrid(*ranges.values(), indexing="ij"), strict=True)}
    packed = pack(grid)
    assert np.unique(packed).size == packed.size
    for name, values in unpack(packed.astype(np.int64)).items():
        assert np.array_equal(values, grid[name]), name


@pytest.mark.parametrize(
    ("count", "per_million", "training", "threshold"),
    [
        (None, None, 20_000_000, {"count": 2, "per_million": 0.125}),
        (None, 0.5, 20_000_000, {"count": 10, "per_million": 0.5}),
        (5, None, 20_000_000, {"count": 5, "per_million": 0.25}),
        (5, None, None, {"count": 5, "per_million": None}),
        (None, None, None, {"count": None, "per_million": None}),
    ],
)
def test_the_threshold_is_recorded(count: Any, per_million: Any, training: Any, threshold: dict[str, Any]) -> None:
    table = atoms(random_records(15, [20], training_tokens=training), count, per_million=per_million)
    assert metadata_of(table.schema)["threshold"] == threshold


def test_models_come_from_the_columns_without_metadata() -> None:
    records = random_records(16, [30]).replace_schema_metadata(None)
    assert metadata_of(atoms(records, window=64).schema)["models"] == ["a", "b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 40, 99])
def test_losses_must_be_finite(bad: float, row: int) -> None:
    records = random_records(17, [50, 50])
    losses = records.column("loss_b").to_numpy().copy()
    losses[row] = bad
    records = records.set_column(records.schema.get_field_index("loss_b"), "loss_b", pa.array(losses))
    with pytest.raises(ValueError, match=f"model 'b' has a loss that is not finite in document {row // 50}"):
        atoms(records)


def test_nulls_are_refused_except_in_count() -> None:
    records = random_records(18, [10])
    records = records.set_column(4, "distance_2", pa.array([None] * 10, pa.int32()))
    with pytest.raises(ValueError, match="column 'distance_2' holds 10 nulls"):
        atoms(records)


@pytest.mark.parametrize("cuts", [[], [3], [4]])
def test_repeated_positions_are_refused(cuts: list[int]) -> None:
    records = table_of({"document": [0] * 6, "position": [0, 1, 2, 3, 3, 4]})
    with pytest.raises(ValueError, match="positions must increase within a document; they do not in document 0"):
        atoms(batches(records, cuts))


@pytest.mark.parametrize("cuts", [[], [2], [3]])
def test_scattered_documents_are_refused(cuts: list[int]) -> None:
    records = table_of({"document": [0, 0, 1, 0], "position": [0, 1, 0, 2]})
    with pytest.raises(ValueError, match="rows of document 0 are not contiguous"):
        atoms(batches(records, cuts))


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match=r"lack the columns \['opportunity'\]"):
        atoms(random_records(19, [5]).drop_columns(["opportunity"]))
    with pytest.raises(ValueError, match="at least one column loss_<model>"):
        atoms(table_of({"document": [0]}, models=[]).drop_columns(["loss_a", "loss_b"]))


def test_bad_settings_are_refused() -> None:
    records = random_records(20, [5])
    with pytest.raises(ValueError, match="window must be a positive number"):
        atoms(random_records(20, [5], window=None))
    with pytest.raises(ValueError, match=r"scored must be one of \('all', 'last half'\), got 'half'"):
        atoms(records, scored="half")
    with pytest.raises(ValueError, match=r"model names must match .*, got \['<b>'\]"):
        atoms(random_records(20, [5], models=["a", "<b>"]))
    with pytest.raises(ValueError, match="format 'recallscope-records-1', got 'recallscope-atoms-1'"):
        atoms(atoms(records))
    with pytest.raises(ValueError, match="at least one batch"):
        atoms([])


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pq.write_table(random_records(21, [4000]), path, row_group_size=1000, compression="zstd", use_dictionary=False)
    raw = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    raw[start : start + 400] = b"\xff" * 400
    (tmp_path / "bad.parquet").write_bytes(raw)
    with pytest.raises(ValueError, match=r"bad\.parquet, row group 2 is damaged"):
        atoms(tmp_path / "bad.parquet")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:500])
    for read in (atoms, as_atoms, read_atoms):
        with pytest.raises(ValueError, match=r"cannot read .*cut\.parquet"):
            read(tmp_path / "cut.parquet")
    with pytest.raises(ValueError, match=r"cannot read .*none\.parquet"):
        atoms(tmp_path / "none.parquet")


def test_write_and_read_round_trip(tmp_path: Path) -> None:
    table = atoms(random_records(22, [80, 90]))
    write_atoms(table, tmp_path / "atoms.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["atoms.parquet"]
    assert read_atoms(tmp_path / "atoms.parquet").equals(table, check_metadata=True)
    pq.write_table(random_records(22, [5]), tmp_path / "records.parquet")
    with pytest.raises(ValueError, match=r"records\.parquet is not a recallscope-atoms-1 file"):
        read_atoms(tmp_path / "records.parquet")


def test_as_atoms_takes_all_forms(tmp_path: Path) -> None:
    records = random_records(23, [80, 90])
    table = atoms(records, 3)
    pq.write_table(records, tmp_path / "records.parquet")
    write_atoms(table, tmp_path / "atoms.parquet")
    for source in (records, batches(records, [100]), tmp_path / "records.parquet"):
        assert as_atoms(source, 3).equals(table)
    for source in (table, tmp_path / "atoms.parquet"):
        assert as_atoms(source).equals(table)
    with pytest.raises(ValueError, match="threshold_count is fixed in atoms at 3, got 4"):
        as_atoms(table, 4)
    with pytest.raises(ValueError, match="no scored tokens"):
        as_atoms(records.slice(0, 0))


@pytest.mark.skipif(not find_spec("numba"), reason="no numba")
def test_numpy_and_numba_are_equal_to_the_bit_also_when_one_takes_over_from_the_other(monkeypatch):
    table = random_records(11, [700, 1, 0, 2500, 40, 900], training_tokens=20_000_000)
    wide = table.set_column(4, "distance_2", table["distance_2"].cast(pa.int64()))
    extreme = pc.if_else(pc.equal(table["position"], 3), pa.scalar(2**63 - 1, pa.int64()), table["count"])  # type: ignore[attr-defined]
    huge = table.set_column(table.column_names.index("count"), "count", extreme)
    small = [_blocks._ROWS, 100]
    for records in (table, wide, huge):
        found = []
        for wish, rows, worth in (("0", small[0], 1), ("1", small[0], 1), ("1", small[1], 1), ("", small[1], 1500)):
            monkeypatch.setenv("RECALLSCOPE_NUMBA", wish)
            monkeypatch.setattr(_blocks, "_ROWS", rows)
            monkeypatch.setattr(_blocks, "_WORTH_IMPORTING", worth)
            monkeypatch.setattr(_records, "_PART", 5 * rows)
            monkeypatch.delitem(sys.modules, "recallscope.slicing.attribution._rows_numba", raising=False)
            found.append(atoms(records))
            assert ("recallscope.slicing.attribution._rows_numba" in sys.modules) == (wish != "0")
        assert all(found[0].equals(other) for other in found[1:])
