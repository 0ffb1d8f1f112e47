"""Prefill and one decoding step of Based, JRT's prefix, attention and windows here: `evidence/throughput.jsonl`.

    python paper_figures/throughput_rows.py [--device cpu] [--budget 0.3]

Axes as in Based, Figure 4: prefill against the length at batch 2, a decoding step after 1,024 tokens against the batch;
single operators of 4 heads, not models. On a CPU one thread, by its own time: others on the machine disturb it little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from recallscope.evidence import evidence, origin, write_evidence
from recallscope.profiling.rows import device_columns, setting_columns
from recallscope_kernels.ops import Shape
from recallscope_kernels.profiling import device_facts, settings_of, time_calls
from recallscope_kernels.profiling.calls import call_of
from recallscope_kernels.profiling.timer import Clock

FILE = Path(__file__).parent / "evidence" / "throughput.jsonl"
CASES = (
    ("fwd", ("attention", "window_attention", "based", "jrt_prefix"),
     [Shape(B=2, T=length, H=4, K=1, V=64) for length in (256, 512, 1024, 2048)]),
    ("decode", ("attention", "window_attention", "based"),
     [Shape(B=batch, T=1024, H=4, K=1, V=64) for batch in (1, 4, 16, 64)]),
)  # fmt: skip


def thread_time(call: Callable[[], Any]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def rows_of(device: str, budget: float) -> list[dict[str, Any]]:
    on_cpu, common = device == "cpu", device_columns(device_facts(device)) | origin()
    clock = Clock("CPU time of one thread", thread_time) if on_cpu else None
    rows = []
    for mode, subjects, shapes in CASES:
        for shape in shapes:
            settings = settings_of(subjects, shape, None, mode, "float32" if on_cpu else "bfloat16", device)
            timed = time_calls({s.subject: call_of(s) for s in settings}, device, budget, clock)
            for setting in settings:
                found = timed[setting.subject]
                measured = {"metric": "seconds", "unit": "s", "kind": "measured", "n": found.n, "timer": found.timer,
                            "value": found.seconds, "low": found.low, "high": found.high}  # fmt: skip
                rows.append(setting_columns(setting) | measured | common)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:n]")
    parser.add_argument("--budget", type=float, default=0.3, help="seconds for each operator and shape")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = {"source": "python paper_figures/throughput_rows.py"}
    write_evidence(evidence(row | source for row in rows_of(given.device, given.budget)), FILE)


if __name__ == "__main__":
    main()
