"""Curves as evidence, where the two differ most, and their figure."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from recallscope.bounds.capacity import (
    Memory,
    capacity_curve,
    capacity_figure,
    largest_difference,
    predicted_accuracy,
    simulated_accuracy,
)
from recallscope.evidence import read_evidence, write_evidence

ADDITIVE, WINDOW = Memory("additive", 16, 16, 64), Memory("window", 16, 16, 64, places=8)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    own = [capacity_curve(memory, [4, 16, 40], trials=40, seed=2) for memory in (ADDITIVE, WINDOW)]
    return pa.concat_tables(own, promote_options="permissive")


def test_rows_are_predictions_and_simulations_in_turn(table: pa.Table):
    rows = table.to_pylist()
    assert [row["kind"] for row in rows] == ["derived", "measured"] * 6
    assert [row["pairs"] for row in rows[::2]] == [4, 16, 40] * 2
    first, second = rows[2], rows[3]
    assert first["value"] == predicted_accuracy(ADDITIVE, 16)
    want = simulated_accuracy(ADDITIVE, 16, trials=40, seed=2)
    assert (second["value"], second["standard_error"], second["n"]) == (want.accuracy, want.standard_error, 40)
    assert second["low"] == pytest.approx(want.accuracy - 1.96 * want.standard_error)
    setting = {"rule": "additive", "key_width": 16, "value_width": 16, "vocabulary": 64, "pairs": 16}
    assert setting.items() <= first.items() and setting.items() <= second.items()
    assert (first["state_elements"], first["unit"], first["places"]) == (256, "1", None)
    assert (rows[6]["state_elements"], rows[6]["places"], rows[6]["decay"]) == (8 * 32, 8, None)
    assert rows[0]["recalled_bits"] == pytest.approx(4 * 6, rel=0.1)  # four pairs of 64 values, nearly all right


def test_evidence_survives_its_file(table: pa.Table, tmp_path):
    write_evidence(table, tmp_path / "capacity.jsonl")
    again = read_evidence(tmp_path / "capacity.jsonl")
    assert again.column("value").to_pylist() == table.column("value").to_pylist()


def test_the_largest_difference_is_found(table: pa.Table):
    rows = table.to_pylist()
    differences = [one["value"] - other["value"] for one, other in zip(rows[::2], rows[1::2], strict=True)]
    found = largest_difference(table)
    assert found["difference"] == max(differences, key=abs) == found["predicted"] - found["simulated"]
    at = differences.index(found["difference"])
    assert (found["rule"], found["pairs"]) == (rows[2 * at]["rule"], rows[2 * at]["pairs"])


def test_the_figure_has_a_line_and_markers_with_bars_for_each_rule(table: pa.Table):
    figure: Any = capacity_figure(table)
    traces = {(trace.name, trace.mode): trace for trace in figure.data}
    assert set(traces) == {(rule, mode) for rule in ("additive", "window") for mode in ("lines", "markers")} | {
        ("chance", "lines")
    }
    markers = traces["additive", "markers"]
    assert list(markers.x) == [4, 16, 40] and len(markers.error_y.array) == 3
    assert markers.marker.color == traces["additive", "lines"].line.color != traces["window", "lines"].line.color
    assert figure.layout.xaxis.title.text == "stored pairs" and set(traces["chance", "lines"].y) == {1 / 64}
    assert figure.layout.template.layout.font.family


def test_settings_that_differ_are_in_the_legend():
    own = [capacity_curve(Memory("additive", width, 16, 64), [8], trials=20) for width in (16, 32)]
    figure: Any = capacity_figure(pa.concat_tables(own, promote_options="permissive"))
    names = {trace.name for trace in figure.data}
    assert names == {"additive, K 16", "additive, K 32", "chance"}


def test_capacity_needs_no_heavy_library():
    code = "import sys, recallscope.bounds.capacity; sys.exit(bool({'torch', 'plotly', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_bad_input(table: pa.Table):
    with pytest.raises(ValueError, match="pairs: at least one number of pairs, got none"):
        capacity_curve(ADDITIVE, [])
    with pytest.raises(ValueError, match="pairs: a whole number, at least 1, got 0"):
        capacity_curve(ADDITIVE, [0])
    with pytest.raises(ValueError, match="table: rows of kind derived and measured of one setting, got 1 rows without"):
        largest_difference(table.slice(0, 1))
    with pytest.raises(ValueError, match="table: at least one row of capacity_curve, got none"):
        capacity_figure(table.slice(0, 0))
