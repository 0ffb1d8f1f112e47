"""Cells that cannot run, do not fit, or bring the device down; sizes that cannot be; the cost of every operator."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from recallscope_kernels.ops import OPERATORS, Shape
from recallscope_kernels.profiling import Setting, calls, measure
from recallscope_kernels.profiling.calls import check_size, cost_of

measuring = import_module("recallscope_kernels.profiling.measure")  # the package has a function of that name


def test_cells_that_cannot_run_are_missing_and_the_rest_is_measured():
    missing = []
    subjects = ["linear_attention:chunked", "linear_attention:fla"]
    made = measure(subjects, Shape(1, 8, 1, 1, 16), budget=1e-3, missing=missing)
    assert [m.subject for m in made] == subjects[:1]
    assert [one.setting.subject for one in missing] == subjects[1:]
    assert missing[0].reason.startswith("implementation: flash-linear-attention")


def test_what_does_not_fit_beside_others_is_timed_alone(monkeypatch):
    alive, tried = [], []

    def call_of(setting):
        tried.append(setting.subject)
        if setting.subject == "based" and alive:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        alive.append(setting.subject)
        return lambda: None

    def free(device):
        if tried.count("based") == 1 and len(tried) == 3:
            alive.clear()

    monkeypatch.setattr(measuring, "call_of", call_of)
    monkeypatch.setattr(measuring.gpu, "free", free)
    made = measure(["attention", "based", "delta_rule"], Shape(1, 8, 1, 1, 16), budget=1e-3)
    assert tried == ["attention", "based", "delta_rule", "based"]
    assert [m.subject for m in made] == ["attention", "based", "delta_rule"]


def test_what_never_fits_is_missing_and_without_a_list_one_line(monkeypatch):
    def call_of(setting):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(measuring, "call_of", call_of)
    missing = []
    assert measure(["based", "attention"], Shape(1, 8, 1, 1, 16), budget=1e-3, missing=missing) == []
    assert [one.reason for one in missing] == ["out of memory", "out of memory"]
    with pytest.raises(ValueError, match="shape: based does not fit into memory at B=1,T=8,H=1,K=16,V=16"):
        measure(["based"], Shape(1, 8, 1, 1, 16), budget=1e-3)


@pytest.mark.parametrize("late", [False, True])
def test_a_lost_device_is_laid_to_what_brought_it_down(monkeypatch, late):
    def call_of(setting):
        calls = []

        def call():
            calls.append(None)
            if setting.subject == "based" and len(calls) > (2 if late else 0):  # late: when it is timed, after two warm
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

        return call

    monkeypatch.setattr(measuring, "call_of", call_of)
    with pytest.raises(measuring.DeviceLost, match=r"^based: CUDA error: an illegal memory access was enc") as lost:
        measure(["attention", "based", "delta_rule"], Shape(1, 8, 1, 1, 16), budget=1e-3, missing=[])
    assert lost.value.setting.subject == "based"


def test_memory_that_runs_out_while_timing_leaves_each_alone(monkeypatch):
    made = []

    def call_of(setting):
        made.append(setting.subject)
        calls = []

        def call():
            calls.append(None)
            if len(made) == 2 and len(calls) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")

        return call

    monkeypatch.setattr(measuring, "call_of", call_of)
    measured = measure(["attention", "based"], Shape(1, 8, 1, 1, 16), budget=1e-3)
    assert made == ["attention", "based", "attention", "based"]
    assert [m.subject for m in measured] == ["attention", "based"]


def test_shapes_that_cannot_be(monkeypatch):
    def setting(mode="fwd", **sizes):
        return Setting("attention", Shape(**({"B": 1, "T": 8, "H": 1, "K": 64, "V": 64} | sizes)), mode)

    with pytest.raises(ValueError, match=r"shape: fewer than 2\*\*31 elements a tensor, got 2,147,483,648 \(B=1,T=335"):
        check_size(setting(T=2**25))
    check_size(setting(T=2**20))
    monkeypatch.setattr(calls, "device_facts", lambda device: SimpleNamespace(memory_bytes=10**9))
    check_size(setting("decode", T=10**6))  # 0.5 GB
    with pytest.raises(ValueError, match="shape: operands of at most 1 GB, the memory of cpu, got 2 GB for attention"):
        check_size(setting("decode", T=8 * 10**6))


@pytest.mark.parametrize("name", list(OPERATORS))
@pytest.mark.parametrize("mode", ["fwd", "bwd", "decode"])
def test_every_operator_of_the_table_has_a_cost_by_default(name, mode):
    shape = Shape(1, 32, 2, OPERATORS[name].key_width, 32)
    for device in ("cpu", "cuda"):
        cost = cost_of(Setting(name, shape, mode, "bfloat16", device))
        assert cost.useful_flops > 0 and cost.fused_bytes > 0


def test_what_skips_tiles_has_no_practical_roofline_without_counters():
    """The whole square of attention is an upper bound of what its fused kernel runs."""
    made = measure(["attention", "attention:math", "based"], Shape(1, 64, 1, 1, 16), budget=1e-3)
    assert [m.run_flops is None for m in made] == [True, False, False]
    step = measure(["attention"], Shape(1, 64, 1, 1, 16), mode="decode", budget=1e-3)
    assert step[0].run_flops == step[0].cost.executed_flops
