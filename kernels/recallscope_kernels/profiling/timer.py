"""Time of short calls: warm, in alternating order, median with quartiles."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

LEAST, MOST = 5, 1000  # calls of each: quartiles of fewer say nothing, more do not help


@dataclass(frozen=True)
class Timing:
    """Seconds a call: median and quartiles of n calls."""

    seconds: float
    low: float
    high: float
    n: int


def time_calls(calls: Mapping[str, Callable[[], Any]], device: str = "cpu", budget: float = 1.0) -> dict[str, Timing]:
    """Time calls against each other: one round in the given order, the next in reverse, so that drift cancels.

    Each is called twice before anything counts. Then rounds go on until about `budget` seconds for each call are spent,
    with at least 5 rounds. On a CPU the clock on the wall; on a GPU device events, after the L2 cache was overwritten.
    Left out: CUDA graphs, so that on a GPU calls of less than some 20 µs show the time of their launch.
    """
    if not budget > 0:
        raise ValueError(f"budget: seconds above 0, got {budget}")
    once = _gpu_timer(device) if torch.device(device).type == "cuda" else _wall_clock
    for call in calls.values():
        for _ in range(2):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names, end = list(calls), time.perf_counter() + budget * len(calls)
    for n in range(MOST):
        if n >= LEAST and time.perf_counter() > end:
            break
        for name in names if n % 2 == 0 else reversed(names):
            taken[name].append(once(calls[name]))
    return {name: summary(seconds) for name, seconds in taken.items()}


def summary(seconds: list[float]) -> Timing:
    """Median and quartiles (inclusive: within the values) of at least two times."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(middle, low, high, len(seconds))


def _wall_clock(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _gpu_timer(device: str) -> Callable[[Callable[[], Any]], float]:
    size = 2 * torch.cuda.get_device_properties(device).L2_cache_size
    flush = torch.empty(size, dtype=torch.int8, device=device)

    def once(call: Callable[[], Any]) -> float:
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            flush.zero_()
            start.record()
            call()
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3

    return once
