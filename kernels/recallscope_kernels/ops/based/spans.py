"""Spans of time side by side, where sequences and heads leave a device idle: how many, and the states they start from.

A span starts from what those before it add, or in the backward pass from what those after it ask. These are summed
first, by kernels of a third of the instructions a chunk, so that from two spans on it takes less time. Spans are of
whole chunks; how many there are changes results by rounding alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.launch import LAUNCH, unit_of, values_per_program
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS

SHORTEST = 512  # tokens of a span: 8 chunks, beside which reading a state and writing it is little

Packed = tuple[Tensor, Tensor]  # states `[..., 160, V]` and moments `[..., 18, 16]`, as in `packing`


def spans_of(k: Tensor, v: Tensor) -> int:
    """Spans of these operands: as many as the device has room for at once, which is 1 on a CPU."""
    programs = k.shape[0] * k.shape[2] * (v.shape[-1] // values_per_program(v.shape[-1]))
    room = 2 * torch.cuda.get_device_properties(k.device).multi_processor_count if k.is_cuda else 0
    return span_count(programs, k.shape[1], room)


def span_count(programs: int, time: int, room: int) -> int:
    """Of T tokens, where one span is so many programs and there is room for so many."""
    return max(min(room // max(programs, 1), time // SHORTEST), 1)


def states_before(k: Tensor, v: Tensor, scale: float, before: Packed | None, spans: int, span: int) -> Packed:
    """The states that the spans start from, `[spans, B, H, ...]`: each is the one before, and what that span adds."""
    states, moments = empty_states(k, v, spans), empty_moments(k, spans)
    states[0], moments[0] = before or (torch.zeros_like(states[0]), torch.zeros_like(moments[0]))
    whole = (spans - 1) * span
    encode_spans(k[:, :whole], v[:, :whole], scale, (states[1:], moments[1:]), span)
    return _running(states), _running(moments)


def states_after(
    q: Tensor,
    grad: Tensor,
    normaliser: Tensor,
    delta: Tensor,
    scale: float,
    after: Packed | None,
    spans: int,
    span: int,
) -> Packed:
    """What is asked of each span: states `[spans, B, H, ...]`, moments `[spans, blocks, B, H, ...]`.

    Of the last by `after`, the gradient of the last state, whose normaliser is the first block's to carry.
    """
    from recallscope_kernels.ops.based.asked_kernel import based_asked_kernel

    (batch, time, heads, _), values, blocks = q.shape, grad.shape[-1], delta.shape[0]
    states, moments = empty_states(q, grad, spans), empty_moments(q, spans, blocks)
    states[-1], moments[-1] = 0, 0
    if after is not None:
        states[-1], moments[-1, 0] = after
    if spans > 1:
        kernel: Any = based_asked_kernel
        kernel[(batch * heads, blocks, spans - 1)](
            q, grad, normaliser, delta, states, moments, scale, unit_of(scale), batch, time, heads, span,
            *q.stride()[:3], *grad.stride()[:3], V=values, VALUES=values // blocks, **LAUNCH,
        )  # fmt: skip
    return _running(states, -1), _running(moments, -1)


def _running(u: Tensor, direction: int = 1) -> Tensor:
    """Sums along spans, in place, from the first one on (or the last): torch's own are not deterministic on a GPU."""
    distance = 1
    while distance < u.shape[0]:
        later, earlier = (u[distance:], u[:-distance])[::direction]
        later.copy_(later + earlier)
        distance *= 2
    return u


def empty_states(k: Tensor, v: Tensor, *first: int) -> Tensor:
    """`[*first, B, H, 160, V]`."""
    return k.new_empty(*first, k.shape[0], k.shape[2], ROWS, v.shape[-1], dtype=sum_dtype(k))


def empty_moments(k: Tensor, *first: int) -> Tensor:
    """`[*first, B, H, 18, 16]`."""
    return k.new_empty(*first, k.shape[0], k.shape[2], MOMENTS, 16, dtype=sum_dtype(k))


def encode_spans(k: Tensor, v: Tensor, scale: float, out: Packed, span: int) -> None:
    """Write to `out`, `[spans, B, H, ...]`, what each span of `span` tokens adds to the state.

    Rows that are empty there are 0; of the last row of moments only the first, the count, is written.
    """
    from recallscope_kernels.ops.based.encode_kernel import based_encode_kernel

    batch, tokens, heads, _ = k.shape
    values, block = v.shape[-1], values_per_program(v.shape[-1])
    k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (k, v))
    kernel: Any = based_encode_kernel  # its launch takes options that its signature has not
    kernel[(batch * heads, values // block, out[0].shape[0])](
        k, v, *out, scale, unit_of(scale), tokens, heads, span, *k.stride()[:3], *v.stride()[:3],
        V=values, VALUES=block, **LAUNCH,
    )  # fmt: skip
