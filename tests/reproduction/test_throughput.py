"""Times of operators as statements, by hand; the script that measures them, at its smallest."""

from __future__ import annotations

import math
import runpy
import time
from pathlib import Path
from typing import Any

import pytest
from recallscope.evidence import evidence
from recallscope.reproduction import latency_rows, prefix_statement, throughput_statements
from recallscope.reproduction.plots import prefill_and_decoding, prefill_latency
from recallscope_kernels.ops import Shape

SCRIPT = Path(__file__).parents[2] / "paper_figures" / "throughput_rows.py"


def timed(subject, mode, value, t=1024, batch=2, spread=0.1):
    return {
        "subject": subject, "metric": "seconds", "unit": "s", "kind": "measured", "mode": mode, "t": t, "batch": batch,
        "value": value, "low": value * (1 - spread), "high": value * (1 + spread), "n": 7, "source": "by hand",
        "device": "a processor", "dtype": "float32", "timer": "wall clock", "heads": 4,
    }  # fmt: skip


ROWS = [
    *(timed("attention", "fwd", (t / 512) ** 2, t) for t in (256, 512, 1024, 2048)),
    *(timed("based", "fwd", 4 * t / 512, t) for t in (256, 512, 1024, 2048)),
    *(timed("jrt_prefix", "fwd", 6 * t / 512, t) for t in (256, 512, 1024, 2048)),
    *(timed("attention", "decode", 0.1 * batch, batch=batch) for batch in (1, 16)),
    *(timed("based", "decode", 0.2 + 0.02 * batch, batch=batch) for batch in (1, 16)),
]


def test_ratios_have_quartiles_against_the_opposite_quartiles():
    based, attention, read, step = throughput_statements(ROWS)
    assert [read["value"], read["low"], read["high"]] == pytest.approx([1, 0.9 / 1.1, 1.1 / 0.9])
    assert read["holds"] is None and read["published"] == pytest.approx(1.56)
    assert step["value"] == pytest.approx(1.6 / 0.52) and step["holds"] is None and step["published"] == 24
    assert (based["value"], attention["value"]) == pytest.approx((1, 2))
    assert based["holds"] is True and attention["holds"] is True
    slow = [row | {"value": row["value"] * row["t"]} for row in ROWS if row["subject"] == "based"]
    others = [row for row in ROWS if row["subject"] != "based"]
    assert [one["holds"] for one in throughput_statements([*slow, *others])] == [False, True, None, None]


def test_jrt_reads_once_and_a_half():
    found = prefix_statement(ROWS)
    assert found["value"] == pytest.approx(1.5) and found["high"] == pytest.approx(1.5 * 1.1 / 0.9)
    assert found["holds"] is True and found["published"] == 1.24
    slow = [row | {"high": row["high"] * 1.2} for row in ROWS]
    assert prefix_statement(slow)["holds"] is False


def test_without_rows_of_a_mode_it_is_refused():
    with pytest.raises(ValueError, match="rows: seconds of the mode 'decode', got none"):
        throughput_statements([row for row in ROWS if row["mode"] == "fwd"])
    with pytest.raises(ValueError, match="rows: prefill of 'based' at two lengths of at least 512 tokens, got"):
        throughput_statements([row for row in ROWS if row["t"] in (256, 1024)])


def test_figures_are_in_milliseconds():
    figure: Any = prefill_and_decoding(evidence(ROWS))
    drawn = sorted(y for trace in figure.data for y in trace.y)
    assert drawn == pytest.approx(sorted(1e3 * row["value"] for row in ROWS))
    assert "a processor" in figure.layout.title.text
    own = latency_rows(ROWS)
    assert {row["unit"] for row in own} == {"ms"} and len(own) == 12
    beside: Any = prefill_latency(evidence(own))
    assert [len(trace.x) for trace in beside.data] == [4, 4, 4]


def test_the_script_measures_every_operator_of_a_mode():
    script = runpy.run_path(str(SCRIPT))
    small = (("fwd", ("attention", "based"), [Shape(B=1, T=32, H=1, K=1, V=16)]),
             ("decode", ("based",), [Shape(B=2, T=32, H=1, K=1, V=16)]))  # fmt: skip
    script["rows_of"].__globals__["CASES"] = small
    rows = script["rows_of"]("cpu", 1e-6)
    assert [(row["subject"], row["mode"], row["t"], row["batch"]) for row in rows] == [
        ("attention", "fwd", 32, 1), ("based", "fwd", 32, 1), ("based", "decode", 32, 2)
    ]  # fmt: skip
    assert all(0 < row["low"] <= row["value"] <= row["high"] and row["device"] for row in rows)
    assert {row["timer"] for row in rows} == {"CPU time of one thread"}


def test_its_clock_does_not_count_time_asleep():
    clock = runpy.run_path(str(SCRIPT))["thread_time"]
    assert clock(lambda: time.sleep(0.05)) < 0.02
    assert clock(lambda: sum(math.sqrt(k) for k in range(300_000))) > 0.005
