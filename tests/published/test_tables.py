"""The stored tables: as many cells as are printed, and the sums and repetitions that would show a typing error."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from recallscope.published import matching, published_names, published_table

Row = dict[str, Any]

CELLS = {  # table: cells, cells without a number, columns of its setting
    "zoology_table1": (2 + 10 * 6 + 8, 0, "slice scale parameters training_tokens corpus reference row"),
    "zoology_table2": (6 * 3, 0, "slice scale parameters training_tokens corpus reference row"),
    "zoology_table4_5": (2, 0, "slice scale corpus row"),
    "zoology_figure2": (4 * 5 * 4, 19, "figure task vocabulary length pairs width"),
    "based_table1": (15 * 3 + 13 * 4 + 12 * 2, 0, "slice task phase length device scale training_tokens corpus row"),
    "based_table6": (12 * 7, 0, "feature_map key_width window convolutions decay slice task corpus row"),
    "based_checkpoints": (6 * 3, 0, "task scale row"),
    "jrt_table1": (16 * 2 * 7, 0, "task prompt scale parameters training_tokens row"),
    "jrt_table2": (12 * 10, 0, "task length scale training_tokens row"),
    "jrt_table3": (8 * 3, 0, "task length scale training_tokens row"),
    "jrt_table4": (6 * 3, 0, "task length scale padding row"),
    "jrt_table5_length": (8 * 5, 6, "phase batch length device row"),
    "jrt_table5_batch": (8 * 6, 12, "phase batch length device row"),
    "jrt_table6": (4, 0, "task mode row"),
    "jrt_table7": (6 * 2, 0, "task row"),
    "jrt_table8_9": (4 * 5, 0, "task scale shots row"),
    "jrt_table11": (2 * 6, 0, "task length scale training_tokens row"),
    "jrt_table12": (4 * 6, 0, "task length scale training_tokens row"),
    "jrt_table14": (4 * 3 * 3, 0, "task prompt scale parameters training_tokens row"),
    "grangier_costs": (11 + 14 + 24, 0, "phase specialisation_tokens device row"),
    "grangier_experts": (7 + 3, 0, "experts phase row"),
    "grangier_table4": (3 * 4 - 1, 0, "data specialisation_tokens row"),
    "grangier_table8": (15 * 5, 0, "data specialisation_tokens pretraining_gpu_hours row"),
    "chinchilla_fits": (5 + 3 * 2 + 6 + 6, 0, "row"),
    "step_law": (5, 0, "row"),
    "zoology_claims": (5, 1, "claim of to"),
    "based_claims": (16, 0, "claim of to"),
    "jrt_claims": (18, 0, "claim of to"),
    "based_figure2": (54, 0, "figure state_bytes state_elements state_error width architecture t"),
    "zoology_tradeoff": (43, 0, "figure state_bytes state_elements state_error"),
}  # fmt: skip
UNITS = {
    "perplexity": {"1"}, "loss": {"nats"}, "accuracy": {"%", "1"}, "average accuracy": {"%"}, "F1": {"%"},
    "token share": {"%"}, "share of gap": {"%"}, "throughput": {"tokens/ms"}, "latency": {"ms"}, "features": {"1"},
    "examples": {"examples"}, "length": {"tokens"}, "parameters": {"million"}, "budget": {"GPU hours"},
    "cost": {"GPU hours per billion tokens"},
}  # fmt: skip


ALL = published_table().to_pylist()


def rows(name: str, *where: str) -> list[Row]:
    own = [row for row in ALL if row["table"] == name]
    return matching(own, where)


def value(name: str, where: str) -> float:
    (row,) = rows(name, where)
    return row["value"]


def test_every_table_is_described_here():
    assert published_table("jrt_table3", where=["length=2048"]).num_rows == 24
    assert published_names() == sorted(CELLS)
    assert published_table().num_rows == sum(cells for cells, _, _ in CELLS.values())
    with pytest.raises(ValueError, match=r"names: some of based_checkpoints, .*, got 'nope'"):
        published_table("nope")


@pytest.mark.parametrize("name", sorted(CELLS))
def test_shape_and_provenance(name: str):
    found, (cells, empty, columns) = rows(name), CELLS[name]
    assert len(found) == cells and sum(row["value"] is None for row in found) == empty
    assert set(columns.split()) <= {column for row in found for column in row if row[column] is not None}
    for row in found:
        assert row["kind"] == "published" and row["table"] == name and row["source"]
        assert row["trust"].partition(":")[0] in ("read", "second-hand", "digitised", "exact", "medium")
        assert row["value"] is not None or row["flag"] or row.get("claim") == "below"
        if row["value"] is not None and not row.get("claim"):
            assert row["unit"] in UNITS.get(row["metric"], {"1"}), row
            assert row["unit"] != "%" or 0 <= row["value"] <= 100
    keys = Counter(
        json.dumps(row | {"value": 0, "low": 0, "high": 0, "flag": 0, "source": 0, "table": 0}) for row in found
    )
    assert name in ("based_figure2", "zoology_tradeoff") or max(keys.values()) == 1  # no cell twice


def test_rounding_is_half_of_the_last_decimal():
    for row in published_table(where=["trust=read|second-hand"]).to_pylist():
        if row["value"] is not None and row["metric"] != "examples":
            half = row["high"] - row["value"]
            assert row["value"] - row["low"] == pytest.approx(half, rel=1e-6)
            decimals = -math.log10(2 * half)
            assert (
                decimals == pytest.approx(round(decimals), abs=1e-4)
                and round(row["value"], round(decimals)) == row["value"]
            )
