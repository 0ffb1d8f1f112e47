"""Device, roofs, timer and measurements, as far as a CPU allows."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
import recallscope_kernels
import torch
from recallscope.profiling.plots import roofline_figure, time_against_length
from recallscope.profiling.rows import measured_rows, roof_rows
from recallscope_kernels.ops import Shape
from recallscope_kernels.profiling import Roofs, crossing_length, device_facts, faster, measure, time_calls
from recallscope_kernels.profiling.device import PEAKS, _cpu_cache
from recallscope_kernels.profiling.roofs import Roof, measured_roofs
from recallscope_kernels.profiling.timer import Timing, summary


def roofs_of(copy=10e9, triad=12e9, product=100e9) -> Roofs:
    rate = {"copy": (copy, "B"), "triad": (triad, "B"), "product": (product, "FLOP")}
    made = {name: Roof(name, int(value), unit, Timing(1, 0.9, 1.1, 5)) for name, (value, unit) in rate.items()}
    return Roofs(device_facts(), "float32", **made)


def test_quartiles_by_hand():
    assert summary([5.0, 1.0, 4.0, 2.0, 3.0]) == Timing(3.0, 2.0, 4.0, 5)


def test_calls_alternate_in_order_and_the_first_two_do_not_count():
    order, first = [], []

    def call(name):
        order.append(name)
        if order.count(name) <= 2:
            first.append(time.sleep(0.05))

    timed = time_calls({name: lambda name=name: call(name) for name in "abc"}, budget=1e-9)
    assert "".join(order) == "aabbcc" + "abc" + "cba" + "abc" + "cba" + "abc"
    assert all(t.n == 5 and t.low <= t.seconds <= t.high < 0.05 for t in timed.values())


def test_a_sleep_takes_as_long_as_it_should():
    timed = time_calls({"sleep": lambda: time.sleep(0.01)}, budget=0.1)["sleep"]
    assert timed.seconds >= 0.01 and timed.n >= 5


def test_the_roofline():
    roofs = roofs_of()
    assert roofs.bytes_per_second == 12e9
    assert roofs.least_seconds(flops=100e9, moved=1) == 1 and roofs.least_seconds(flops=1, moved=24e9) == 2


def test_the_better_of_two_roofs():
    both = faster(roofs_of(copy=10e9, triad=9e9, product=1e9), roofs_of(copy=8e9, triad=12e9, product=2e9))
    assert (both.copy.rate, both.triad.rate, both.product.rate) == (10e9, 12e9, 2e9)


def test_crossings():
    assert crossing_length([10, 100], [2.0, 2.0], [1.0, 4.0]) == pytest.approx(10**1.5)  # linear against flat, log axes
    assert crossing_length([10, 100], [1.0, 1.0], [2.0, 2.0]) is None
    assert crossing_length([10, 100], [2.0, 2.0], [1.0, 1.0]) is None
    assert crossing_length([1, 2, 4, 8], [1, 3, 1, 1], [2, 2, 2, 2]) == pytest.approx(
        2 * 2 ** (0.405465 / 1.098612), rel=1e-5
    )


def test_facts(tmp_path):
    facts = device_facts()
    assert facts.name and facts.units == torch.get_num_threads() and facts.memory_bytes > 2**28 and facts.peak is None
    for index, size in enumerate(("48K", "2048K", "36M", "?")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size)
    assert _cpu_cache(tmp_path) == 36 * 2**20 and _cpu_cache(tmp_path / "none") is None
    assert all(peak.source for peak in PEAKS.values())
    with pytest.raises(ValueError, match="device: cpu, cuda or cuda:1, got 'nope'"):
        device_facts("nope")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device: there is no GPU that torch can use; cpu, got 'cuda'"):
            device_facts("cuda")


@pytest.fixture(scope="module")
def measured():
    roofs = measured_roofs(device_facts(), budget=0.01)
    subjects = ["based", "attention:math", "delta_rule"]
    rows = [m for t in (16, 32) for m in measure(subjects, Shape(1, t, 2, 1, 16), budget=0.01)]
    return rows, roofs


def test_measured_roofs_are_possible(measured):
    _, roofs = measured
    assert 1e8 < roofs.copy.rate < 1e12 and 1e8 < roofs.triad.rate < 1e12 and 1e8 < roofs.product.rate < 1e14


def test_rows_are_evidence(measured):
    rows, roofs = measured
    table = measured_rows(rows, roofs, "recallscope profile").to_pylist()
    assert len(table) == 9 * len(rows) and {row["kind"] for row in table} == {"measured", "derived"}
    point = {row["metric"]: row for row in table if (row["subject"], row["t"]) == ("based", 32)}
    seconds, rate, share = (point[m]["value"] for m in ("seconds", "useful_flops_per_second", "share_of_roof"))
    assert rate * seconds == pytest.approx(point["useful_flops"]["value"])
    least = roofs.least_seconds(point["useful_flops"]["value"], point["fused_bytes"]["value"])
    assert share == pytest.approx(least / seconds)
    executed = point["executed_flops"]["value"]
    practical = max(executed / roofs.product.rate, point["fused_bytes"]["value"] / roofs.bytes_per_second) / seconds
    assert point["share_of_practical_roof"]["value"] == pytest.approx(practical) and practical >= share
    assert point["executed_per_useful"]["value"] == executed / point["useful_flops"]["value"] > 1
    assert {row["timer"] for row in table if row["metric"] == "seconds"} == {"wall clock"}
    assert point["seconds"]["low"] <= seconds <= point["seconds"]["high"] and point["seconds"]["n"] >= 5
    assert point["share_of_roof"]["low"] <= share <= point["share_of_roof"]["high"]
    assert point["seconds"]["key_width"] == 16 and point["seconds"]["device"] == roofs.device.name
    assert [row["unit"] for row in roof_rows(roofs).to_pylist()] == ["B/s", "B/s", "FLOP/s"]


def test_peaks_of_known_gpus_are_published_rows(monkeypatch):
    roofs = roofs_of()
    monkeypatch.setitem(PEAKS, roofs.device.name, PEAKS["NVIDIA H200"])
    rows = [row for row in roof_rows(roofs).to_pylist() if row["kind"] == "published"]
    assert [row["value"] for row in rows] == [4800e9, 989.5e12] and all(row["source"] for row in rows)


def test_figures(measured):
    rows, roofs = measured
    table = measured_rows(rows, roofs)
    lines: Any = time_against_length(table)
    assert [trace.name for trace in lines.data][::2] == ["based", "attention:math", "delta_rule"]
    assert list(lines.data[0].y) == [m.timing.seconds for m in rows if m.subject == "based"]
    roofline: Any = roofline_figure(table, roof_rows(roofs))
    assert roofline.data[0].name == "measured roof" and len(roofline.data) == 4
    x, y = roofline.data[0].x, roofline.data[0].y
    assert y[0] / x[0] == pytest.approx(roofs.bytes_per_second) and y[1] == y[2] == roofs.product.rate
    with pytest.raises(ValueError, match=r"roofs: product_flops_per_second were not measured; `recallscope roofline`"):
        roofline_figure(table, roof_rows(roofs).slice(0, 2))
    with pytest.raises(ValueError, match="table: rows of `recallscope profile`, with seconds by length; got none"):
        time_against_length(roof_rows(roofs))


def test_names_of_the_package():
    assert "based" in dir(recallscope_kernels) and callable(recallscope_kernels.gated_delta_rule)
    with pytest.raises(AttributeError, match="'recallscope_kernels' has no attribute 'mamba'; it has attention, "):
        recallscope_kernels.mamba  # type: ignore[attr-defined]  # noqa: B018


def test_references_need_no_triton():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import recallscope_kernels.ops.based.reference as r\nprint(r.feature_count(16))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "153", done.stderr
