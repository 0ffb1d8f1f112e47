"""Operators timed against each other, beside what they should cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from recallscope_kernels.ops import OPERATORS, Cost, Shape, decoding, operands, operator_by_name
from recallscope_kernels.ops._shape import check_mode
from recallscope_kernels.profiling.roofs import Roofs
from recallscope_kernels.profiling.timer import Timing, time_calls

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


@dataclass(frozen=True)
class Measurement:
    """One operator at one shape: what it costs in closed form, and what it took."""

    subject: str
    shape: Shape
    mode: str
    dtype: str
    device: str
    cost: Cost
    timing: Timing

    @property
    def intensity(self) -> float:
        """Useful FLOPs a byte of the fused limit."""
        return self.cost.useful_flops / self.cost.fused_bytes

    def share_of_roof(self, roofs: Roofs) -> float:
        """Least time that the measured roofs allow for the useful FLOPs and the fused bytes, over the time taken."""
        return roofs.share(self.cost.useful_flops, self.cost.fused_bytes, self.timing.seconds)


def measure(
    subjects: Sequence[str],
    shape: Shape,
    key_width: int | None = None,
    mode: str = "fwd",
    dtype: str = "float32",
    device: str = "cpu",
    budget: float = 1.0,
) -> list[Measurement]:
    """Time `operator` or `operator:implementation` against each other at one shape, in one run.

    `shape` gives B, T, H and V to all; K is `key_width`, or if None what each operator usually has (16 for Based and
    JRT's prefix, of T / 2 tokens; 64 for the others). `mode`: `fwd`; `bwd`, the backward pass alone, from the gradient
    of the outputs; `decode`, one step after T tokens. A `ValueError` names what cannot run here.
    """
    check_mode(mode)
    if dtype not in DTYPES:
        raise ValueError(f"dtype: one of {', '.join(DTYPES)}, got {dtype!r}")
    calls, made = {}, {}
    for subject in dict.fromkeys(subjects):
        name, implementation = operator_by_name(subject)
        own = replace(shape, K=key_width or OPERATORS[name].key_width)
        calls[subject] = _call(name, implementation, own, mode, DTYPES[dtype], device)
        made[subject] = own, _cost(name, implementation, own, mode, DTYPES[dtype], device)
    timed = time_calls(calls, device, budget)
    return [Measurement(s, own, mode, dtype, device, cost, timed[s]) for s, (own, cost) in made.items()]


def _call(
    name: str, implementation: str | None, shape: Shape, mode: str, dtype: torch.dtype, device: str
) -> Callable[[], Any]:
    if mode == "decode":
        return decoding(name, shape, dtype, device, implementation)
    run, given = OPERATORS[name].run, operands(name, shape, dtype, device)
    if mode == "fwd":
        return lambda: run(*given, implementation=implementation)
    given = [u.requires_grad_() for u in given]
    o, _ = run(*given, implementation=implementation)
    grad = torch.ones_like(o)
    return lambda: torch.autograd.grad(o, given, grad, retain_graph=True)


def _cost(name: str, implementation: str | None, shape: Shape, mode: str, dtype: torch.dtype, device: str) -> Cost:
    if implementation is None:
        implementation = {"attention": "flash"}.get(name, "chunked")
        if name in ("based", "jrt_prefix") and device != "cpu" and (shape.K, dtype != torch.float64) == (16, True):
            implementation = "triton"
    state = 8 if dtype == torch.float64 else 4
    return OPERATORS[name].cost(shape, mode, implementation, dtype.itemsize, state)


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
