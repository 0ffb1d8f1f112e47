"""Groups of operators into a ledger: correctness, times, counters, rows that are found again."""

from __future__ import annotations

import json
import math

import pytest
import torch
from profile_cases import roofs_of
from recallscope.evidence import read_evidence
from recallscope.profiling.suite import groups as planned
from recallscope.profiling.suite import ledger, measuring
from recallscope.profiling.suite.correct import largest_error, relative_error
from recallscope.profiling.suite.groups import SMALL, Plan, groups
from recallscope_kernels.ops import OPERATORS, Shape
from recallscope_kernels.profiling import Counted, Setting, device_facts
from recallscope_kernels.profiling.counters import Counts
from recallscope_kernels.profiling.measure import DeviceLost

COMMAND = "python paper_figures/kernels_rows.py --device cpu --small"


@pytest.fixture
def shared() -> measuring.Bench:
    roofs = roofs_of(device_facts(), torch.float32)
    return measuring.Bench(roofs, "float32", 1e-3, COMMAND, say=lambda text: None)


def group(*subjects: str) -> planned.Group:
    return planned.Group("suite", "fwd", Shape(1, 32, 2, 1, 64), subjects)


def test_what_is_wrong_is_not_timed(tmp_path, monkeypatch, shared):
    errors = {"based": 0.25, "attention": float("nan"), "linear_attention": 1e-7}
    monkeypatch.setattr(measuring, "relative_error", lambda setting: errors[setting.subject])
    found = ledger.Ledger(tmp_path / "suite.jsonl")
    measuring.measured_group(group(*errors), shared, found)
    rows = read_evidence(found.path).to_pylist()
    seconds = {row["subject"]: row for row in rows if row["metric"] == "seconds"}
    assert seconds["based"]["flag"] == "wrong by 2.5e-01, at most 3e-06: not timed"
    assert seconds["attention"]["flag"] == "wrong by nan, at most 3e-06: not timed"
    assert [name for name, row in seconds.items() if row["value"]] == ["linear_attention"]
    written = {row["subject"]: row["value"] for row in rows if row["metric"] == "relative_error"}
    assert written == {"based": 0.25, "attention": None, "linear_attention": 1e-7}


def test_counters_stand_beside_the_times(tmp_path, monkeypatch, shared):
    flops: dict[str, float | None] = {"bfloat16": 0.0, "float32": 1e6, "tensorfloat32": 0.0}

    def count(settings, device, seconds):
        return Counted({settings[0]: Counts(3, 8e5, 9e5, flops)}, {settings[1]: "out of memory"}, 1.0)

    monkeypatch.setattr(measuring, "count", count)
    said, found = [], ledger.Ledger(tmp_path / "suite.jsonl")
    counting = measuring.replace(shared, counters=True, say=said.append)
    measuring.measured_group(group("linear_attention", "attention"), counting, found)
    rows = read_evidence(found.path).to_pylist()
    point = {row["metric"]: row["value"] for row in rows if row["subject"] == "linear_attention"}
    assert point["counted_flops"] == 1e6 and point["hbm_bytes"] == 8e5 and point["kernels"] == 3
    assert point["traffic_inefficiency"] == 8e5 / point["fused_bytes"]
    assert point["counted_per_executed"] == 1e6 / point["executed_flops"]
    least = shared.roofs.least_seconds(1e6, point["fused_bytes"])
    assert point["share_of_practical_roof"] == pytest.approx(least / point["seconds"])
    assert not [row for row in rows if row["subject"] == "attention" and row["metric"] == "hbm_bytes"]
    assert said[0] == "attention: not counted, out of memory" and "HBM/fused" in said[1]


def test_counters_that_fail_late_leave_the_times(tmp_path, monkeypatch, shared):
    def count(settings, device, seconds):
        raise ValueError("counters: Nsight Compute took more than 1 seconds")

    monkeypatch.setattr(measuring, "count", count)
    said, found = [], ledger.Ledger(tmp_path / "suite.jsonl")
    measuring.measured_group(group("attention"), measuring.replace(shared, counters=True, say=said.append), found)
    assert said[0] == "counters: Nsight Compute took more than 1 seconds"
    assert next(row["value"] for row in read_evidence(found.path).to_pylist() if row["metric"] == "seconds") > 0


def test_a_lost_device_in_the_check_of_correctness(tmp_path, monkeypatch, shared):
    def fails(setting):
        raise RuntimeError("CUDA error: device-side assert triggered\nmore")

    monkeypatch.setattr(measuring, "relative_error", fails)
    found = ledger.Ledger(tmp_path / "suite.jsonl")
    with pytest.raises(DeviceLost, match="based: CUDA error: device-side assert triggered"):
        measuring.measured_group(group("based", "attention"), shared, found)
    assert [row["subject"] for row in read_evidence(found.path).to_pylist()] == ["based"]


def test_rows_of_another_device_or_commit_are_refused(tmp_path):
    facts = device_facts()
    made = {"subject": "a", "metric": "seconds", "value": 1.0, "unit": "s", "kind": "measured"}
    path = tmp_path / "suite.jsonl"
    path.write_text(json.dumps(made | {"device": "NVIDIA H200", "commit": "abc"}) + "\n")
    with pytest.raises(
        ValueError, match=r"holds rows of NVIDIA H200 at abc, this is .*; name another folder, or begin"
    ):
        ledger.opened(path, facts)
    assert ledger.opened(path, facts, fresh=True).rows == {}
    here = json.dumps(made | {"device": facts.name} | ledger.origin())
    for whole in (here.replace("-dirty", ""), here):  # writing rows into a checkout makes it dirty
        path.write_text(whole + '\n{"cut')
        assert len(ledger.opened(path, facts).rows) == 1
    path.write_text('{"cut\n' + here + "\n")
    with pytest.raises(ValueError, match="line 1 is not JSON; --fresh begins anew"):
        ledger.opened(path, facts)


def test_every_implementation_of_the_table_is_planned():
    made = groups(Plan())
    for mode, of in (("fwd", "implementations"), ("bwd", "implementations"), ("decode", "steps")):
        for found in (g for g in made if g.file == "suite" and g.mode == mode):
            assert len(found.subjects) == sum(len(getattr(operator, of)) for operator in OPERATORS.values())
    based = [g for g in made if g.file == "based"]
    many, one = ([g.shape.T for g in based if g.shape.B == batch] for batch in (16, 1))
    assert (many, one) == ([2048, 4096, 8192, 16384, 32768], [8192, 32768] * 2)
    assert [g.mode for g in based] == ["fwd"] * 7 + ["bwd"] * 2
    assert {"based", "based:fla-parallel", "based:fla-fused-chunk", "attention:cudnn"} <= set(based[0].subjects)
    assert (based[0].shape.B, based[0].shape.H, based[0].shape.V) == (16, 16, 64)
    steps = {(g.shape.B, g.shape.T) for g in made if g.mode == "decode"}
    assert steps == {(1, 32768), (16, 32768), (128, 32768), (128, 8192), (128, 2048)}
    assert len(groups(SMALL)) == 8


@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("mode", ["fwd", "bwd", "decode"])
def test_every_operator_is_right_as_the_suite_sees_it(name, mode):
    operator = OPERATORS[name]
    first = (operator.steps if mode == "decode" else operator.implementations)[0]
    setting = Setting(f"{name}:{first}", Shape(2, 40, 3, operator.key_width, 64), mode)
    assert 0 < relative_error(setting) <= largest_error(setting)


def test_an_error_is_seen(monkeypatch):
    setting = Setting("linear_attention:chunked", Shape(1, 24, 2, 8, 8))
    operator = OPERATORS["linear_attention"]

    def wrong(q, k, v, **options):
        o, state = operator.run(q, k, v, **options)
        return (o if q.dtype.itemsize == 8 else o * (1 + 1e-4)), state

    monkeypatch.setitem(OPERATORS, "linear_attention", measuring.replace(operator, run=wrong))
    assert relative_error(setting) == pytest.approx(1e-4, rel=1e-2)


def test_nan_in_one_gradient_is_no_small_error(monkeypatch):
    setting = Setting("linear_attention:chunked", Shape(1, 24, 2, 8, 8), "bwd")
    operator = OPERATORS["linear_attention"]

    def poisoned(q, k, v, **options):
        o, state = operator.run(q, k, v, **options)
        return (o if q.dtype.itemsize == 8 else o + 0 * (k - k.detach()).sum() / 0), state

    assert math.isfinite(relative_error(setting))
    monkeypatch.setitem(OPERATORS, "linear_attention", measuring.replace(operator, run=poisoned))
    assert math.isnan(relative_error(setting))
