"""Operators timed against each other, beside what they should cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recallscope_kernels.ops import Cost, Shape
from recallscope_kernels.profiling import gpu
from recallscope_kernels.profiling.calls import Setting, call_of, cost_of, settings_of
from recallscope_kernels.profiling.counters import Counts
from recallscope_kernels.profiling.energy import Energy, Meter, energy_of
from recallscope_kernels.profiling.roofs import Roofs
from recallscope_kernels.profiling.timer import (
    CallFailed,
    Clock,
    Ready,
    Timing,
    clock_of,
    made_ready,
    stream_of,
    time_ready,
)

BROKEN = ("CUDA error", "CUDA driver error", "device-side assert")


@dataclass(frozen=True)
class Measurement:
    """One operator at one shape: what it costs in closed form, what it took, and what was counted, if it was."""

    setting: Setting
    cost: Cost
    timing: Timing
    energy: Energy | None = None
    counts: Counts | None = None

    @property
    def subject(self) -> str:
        return self.setting.subject

    @property
    def shape(self) -> Shape:
        return self.setting.shape

    @property
    def counted_flops(self) -> float | None:
        """FLOPs counted where matrix products of the dtype run."""
        return self.counts.product_flops(self.setting.dtype) if self.counts else None

    @property
    def run_flops(self) -> float | None:
        """FLOPs that were executed: counted ones if there are, else those of the closed form, if it is exact."""
        return self.counted_flops or (None if self.cost.at_most else self.cost.executed_flops)

    def least_seconds(self, roofs: Roofs) -> float:
        """What the measured roofs allow for the useful FLOPs and the fused bytes."""
        return roofs.least_seconds(self.cost.useful_flops, self.cost.fused_bytes)

    def least_seconds_as_run(self, roofs: Roofs) -> float | None:
        """The practical roofline: the same for the FLOPs that were executed, None if they are not known.

        Time above it can be gained without computing anything else; time below it shows that a cache was used.
        """
        return None if self.run_flops is None else roofs.least_seconds(self.run_flops, self.cost.fused_bytes)


@dataclass(frozen=True)
class Missing:
    """A cell that was tried and is empty, and why, in one line."""

    setting: Setting
    reason: str


def measure(
    subjects: Sequence[str],
    shape: Shape,
    key_width: int | None = None,
    mode: str = "fwd",
    dtype: str = "float32",
    device: str = "cpu",
    budget: float = 1.0,
    meter: Meter | None = None,
    missing: list[Missing] | None = None,
) -> list[Measurement]:
    """Time `operator` or `operator:implementation` against each other at one shape, in one run.

    `shape` gives B, T, H and V to all; K is `key_width`, or if None what each operator usually has (16 for Based and
    JRT's prefix, of T / 2 tokens; 64 for the others). `mode`: `fwd`; `bwd`, the backward pass alone, from the gradient
    of the outputs; `decode`, one step after T tokens. With a `meter` the energy of each call too. What cannot run here
    is a `ValueError`, or one more of `missing`, if that is given. What does not fit into memory beside the others is
    timed alone. `DeviceLost` says what brought the device down, after which this process can do no more on it.
    """
    settings = settings_of(subjects, shape, key_width, mode, dtype, device)
    made, failed = _together(settings, budget, meter)
    for setting, error in list(failed.items()):
        if out_of_memory(error) and len(settings) > 1:
            gpu.free(device)
            again, still = _together([setting], budget, meter)
            made += again
            failed = {s: e for s, e in failed.items() if s != setting} | still
    for setting, error in failed.items():
        if missing is None:
            raise _refusal(setting, error)
        missing.append(Missing(setting, reason(error)))
    order = {setting: i for i, setting in enumerate(settings)}
    return sorted(made, key=lambda m: order[m.setting])


class DeviceLost(Exception):
    """The GPU answers this process no more, since a call of `setting`."""

    def __init__(self, setting: Setting, error: Exception):
        super().__init__(f"{setting.subject}: {reason(error)}")
        self.setting, self.error = setting, error


def _together(
    settings: Sequence[Setting], budget: float, meter: Meter | None
) -> tuple[list[Measurement], dict[Setting, Exception]]:
    device = settings[0].device if settings else "cpu"
    ready: dict[str, Ready] = {}
    failed: dict[Setting, Exception] = {}
    with stream_of(device):
        clock = clock_of(device)
        for setting in settings:
            try:
                ready[setting.subject] = made_ready(call_of(setting), clock)
            except Exception as error:  # a library's own refusals are of any kind
                if device_lost(error):
                    raise DeviceLost(setting, error) from error
                failed[setting] = error.with_traceback(None)  # its frames would keep the operands
                gpu.free(device)
        able = {setting.subject: setting for setting in settings if setting.subject in ready}
        try:
            return _timed(list(able.values()), ready, clock, budget, meter), failed
        except CallFailed as call:
            if device_lost(call.error):
                raise DeviceLost(able[call.name], call.error) from call
            if not out_of_memory(call.error):
                raise call.error from None
            return [], failed | dict.fromkeys(able.values(), call.error.with_traceback(None))


def _timed(
    settings: Sequence[Setting], ready: dict[str, Ready], clock: Clock, budget: float, meter: Meter | None
) -> list[Measurement]:
    if not settings:
        return []
    timed = time_ready(ready, clock, budget)
    used = {s: energy_of(ready[s].call, meter, settings[0].device) if meter else None for s in ready}
    return [Measurement(s, cost_of(s), timed[s.subject], used[s.subject]) for s in settings]


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, of torch on a GPU or on a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def device_lost(error: BaseException) -> bool:
    """Whether a GPU has failed so that this process can do no more on it (an illegal access, an assertion)."""
    return not out_of_memory(error) and any(word in str(error) for word in BROKEN)


def reason(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "out of memory" if out_of_memory(error) else lines[0]


def _refusal(setting: Setting, error: Exception) -> Exception:
    if out_of_memory(error):
        return ValueError(f"shape: {setting.subject} does not fit into memory at {setting.shape}")
    return error


def crossing_length(lengths: Sequence[int], first: Sequence[float], second: Sequence[float]) -> float | None:
    """Where `first` falls below `second` for good, between two measured lengths, on logarithmic axes; else None.

    None too if `first` is below at every length: where it fell is then not known.
    """
    gaps = [math.log(a / b) for a, b in zip(first, second, strict=True)]
    above = [i for i, gap in enumerate(gaps) if gap > 0]
    if not above or above[-1] == len(gaps) - 1:
        return None
    i = above[-1]
    fraction = gaps[i] / (gaps[i] - gaps[i + 1])
    return math.exp(math.log(lengths[i]) + fraction * math.log(lengths[i + 1] / lengths[i]))
