"""Time of short calls: warm, in alternating order, median with quartiles; short ones on a GPU as CUDA graphs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from recallscope_kernels.profiling import gpu

LEAST, MOST = 5, 1000  # calls of each: quartiles of fewer say nothing, more do not help
SHORT = 1e-3  # seconds of a call on a GPU that is tried as a graph: below, its launches may take longer than it does
WALL, EVENTS, GRAPH = "wall clock", "device events", "CUDA graph"


@dataclass(frozen=True)
class Timing:
    """Seconds a call: median and quartiles of n calls; `timer` says by what, `note` why a short one is no graph."""

    seconds: float
    low: float
    high: float
    n: int
    timer: str = WALL
    note: str | None = None


@dataclass(frozen=True)
class Clock:
    """How one call is timed (`once`, seconds), and made one graph of (`capture`; None where there are no graphs)."""

    timer: str
    once: Callable[[Callable[[], Any]], float]
    capture: Callable[[Callable[[], Any]], Callable[[], Any]] | None = None


@dataclass(frozen=True)
class Ready:
    """A call that is warm, as it is timed; `keeps` is what must live as long: a graph works on its call's operands."""

    call: Callable[[], Any]
    timer: str
    note: str | None = None
    keeps: Any = None


class CallFailed(Exception):
    """A call that was warm, and failed all the same: which, and how."""

    def __init__(self, name: str, error: Exception):
        super().__init__(f"{name}: {error}")
        self.name, self.error = name, error


def time_calls(
    calls: Mapping[str, Callable[[], Any]], device: str = "cpu", budget: float = 1.0, clock: Clock | None = None
) -> dict[str, Timing]:
    """Time calls against each other: one round in the given order, the next in reverse, so that drift cancels.

    Each is called twice before anything counts. Then rounds go on until about `budget` seconds for each call are spent,
    with at least 5 rounds. On a CPU the clock on the wall; on a GPU device events, after the L2 cache was overwritten,
    and calls below a millisecond as one CUDA graph each, so that the time of launches is left out; where a call cannot
    be captured it is launched as ever, and `note` says why.
    """
    with stream_of(device):
        clock = clock or clock_of(device)
        ready = {name: made_ready(call, clock) for name, call in calls.items()}
        return time_ready(ready, clock, budget)


def clock_of(device: str) -> Clock:
    """The clock of a device: use it within `stream_of`."""
    if torch.device(device).type == "cuda":
        return Clock(EVENTS, gpu.Stopwatch(device), gpu.captured)
    return Clock(WALL, _wall_clock)


def stream_of(device: str) -> Any:
    """A context for making, warming up and timing calls: on a GPU a stream of its own, which capture needs."""
    return gpu.own_stream(device) if torch.device(device).type == "cuda" else nullcontext()


def made_ready(call: Callable[[], Any], clock: Clock) -> Ready:
    """Call twice; and if a third call is short, make it a graph where the clock can."""
    for _ in range(2):
        call()
    if clock.capture is None or clock.once(call) >= SHORT:
        return Ready(call, clock.timer)
    try:
        return Ready(clock.capture(call), GRAPH, keeps=call)
    except Exception as error:  # whatever a library does that a capture forbids
        reason = str(error.__context__ or error).strip().splitlines() or [type(error).__name__]
        return Ready(call, clock.timer, f"no graph: {reason[0]}")


def time_ready(ready: Mapping[str, Ready], clock: Clock, budget: float) -> dict[str, Timing]:
    """Rounds of calls that are warm, in alternating order; `CallFailed` names the one that ends them."""
    if not budget > 0:
        raise ValueError(f"budget: seconds above 0, got {budget}")
    taken: dict[str, list[float]] = {name: [] for name in ready}
    names, end = list(ready), time.perf_counter() + budget * len(ready)
    for n in range(MOST):
        if n >= LEAST and time.perf_counter() > end:
            break
        for name in names if n % 2 == 0 else reversed(names):
            try:
                taken[name].append(clock.once(ready[name].call))
            except Exception as error:
                raise CallFailed(name, error) from error
    return {name: summary(seconds, ready[name].timer, ready[name].note) for name, seconds in taken.items()}


def summary(seconds: list[float], timer: str = WALL, note: str | None = None) -> Timing:
    """Median and quartiles (inclusive: within the values) of at least two times."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(middle, low, high, len(seconds), timer, note)


def seconds_of_launch(device: str, launches: int = 200, rounds: int = 9) -> Timing:
    """Seconds that the host needs to launch one smallest operation, when many are launched before one is waited for."""
    one, taken = torch.zeros(1, device=device), []
    for _ in range(rounds + 1):
        gpu.wait(device)
        start = time.perf_counter()
        for _ in range(launches):
            one.add_(1)
        gpu.wait(device)
        taken.append((time.perf_counter() - start) / launches)
    return summary(taken[1:])


def _wall_clock(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
