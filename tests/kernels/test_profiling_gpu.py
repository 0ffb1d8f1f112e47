"""What only a GPU can show of the profiler: events, graphs, counters, energy. Elsewhere these tests are skipped."""

from __future__ import annotations

import pytest
import torch
from recallscope_kernels.ops import Shape
from recallscope_kernels.profiling import (
    Setting,
    count,
    device_facts,
    energy_meter,
    measure,
    measured_roofs,
    time_calls,
)
from recallscope_kernels.profiling.energy import energy_of
from recallscope_kernels.profiling.timer import EVENTS, GRAPH

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_a_graph_does_what_its_call_did_and_a_long_call_is_none():
    x = torch.zeros(1024, device="cuda")
    big = torch.randn(8192, 8192, device="cuda")
    timed = time_calls({"short": lambda: x.add_(1), "long": lambda: big @ big}, "cuda", 0.05)
    assert timed["short"].timer == GRAPH and timed["long"].timer == EVENTS
    assert x.unique().numel() == 1 and x[0].item() >= timed["short"].n
    assert 0 < timed["short"].low <= timed["short"].seconds < 1e-4 < timed["long"].seconds


def test_what_waits_for_the_device_is_no_graph():
    x = torch.zeros(1, device="cuda")
    timed = time_calls({"waits": lambda: x.item()}, "cuda", 0.01)["waits"]
    assert timed.timer == EVENTS and timed.note and timed.note.startswith("no graph: ")
    assert time_calls({"again": lambda: x.add_(1)}, "cuda", 0.01)["again"].timer == GRAPH  # nothing is left behind


@pytest.mark.parametrize("mode", ["fwd", "bwd", "decode"])
def test_every_mode_runs(mode):
    made = measure(
        ["based", "attention", "linear_attention"], Shape(2, 256, 4, 1, 64), None, mode, "bfloat16", "cuda", 0.05
    )
    assert len(made) == 3 and all(m.timing.seconds > 0 for m in made)


def test_roofs_are_below_the_nominal_ones():
    facts = device_facts("cuda")
    roofs = measured_roofs(facts, torch.bfloat16, 0.1)
    if facts.peak is None:
        pytest.skip(f"no nominal peaks of {facts.name}")
    assert 0.5 < roofs.bytes_per_second / facts.peak.bytes_per_second < 1
    assert 0.4 < roofs.product.rate / facts.peak.bfloat16_flops_per_second < 1


def test_counters_of_a_known_product_or_why_not():
    setting = Setting("based", Shape(4, 1024, 8, 16, 64), "fwd", "bfloat16", "cuda")
    try:
        found = count([setting], "cuda")
    except ValueError as error:
        pytest.skip(str(error))
    assert found.calibration == pytest.approx(1, abs=1e-3)
    counts = found.counts[setting]
    assert counts.kernels >= 1 and counts.hbm_bytes and (counts.product_flops("bfloat16") or 0) > 0


def test_energy_or_why_not():
    try:
        meter = energy_meter("cuda")
    except ValueError as error:
        pytest.skip(str(error))
    x = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    found = energy_of(lambda: x @ x, meter, "cuda", 1.0)
    assert 5 < found.joules * found.n / found.seconds < 2000  # watts of a board
