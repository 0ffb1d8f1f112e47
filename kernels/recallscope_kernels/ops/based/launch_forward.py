"""Starting Based's forward kernel, on a few spans of time side by side where the sequences alone leave the device idle.

Then the states that spans start from are summed first (`encode_kernel`, a third of the instructions a chunk), so that
from two spans on it takes less time. Spans are of whole chunks; how many there are changes results by rounding alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.cost import span_tokens
from recallscope_kernels.ops.based.launch import CHUNK, STAGES, values_per_program
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS, pack, unpack

WARPS = 4  # two such programs fit a multiprocessor, and each works while the other one waits
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


def triton_forward(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool, spans: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs; with `keep` also the normaliser and the last state (else empty): shapes as in `chunked_forward`."""
    return forward_from(q, k, v, scale, None if state is None else pack(state, scale), keep, spans)


def forward_from(
    q: Tensor, k: Tensor, v: Tensor, scale: float, before: Packed | None, keep: bool, spans: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """As `triton_forward`, from a state and moments that are packed already."""
    from recallscope_kernels.ops.based.forward_kernel import based_forward_kernel

    batch, time, heads, _ = q.shape
    values, sums = v.shape[-1], sum_dtype(q)
    q, k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (q, k, v))
    span = span_tokens(time, spans)
    spans = max(-(-time // span), 1)
    if spans > 1:
        before = _states_before(k, v, scale, before, spans, span)
    o = torch.empty(batch, time, heads, values, dtype=q.dtype, device=q.device)
    normaliser = torch.empty((batch, time, heads) if keep else 0, dtype=sums, device=q.device)
    last = torch.empty((batch, heads, ROWS, values) if keep else 0, dtype=sums, device=q.device)
    moments_out = torch.empty((batch, heads, MOMENTS, 16) if keep else 0, dtype=sums, device=q.device)
    packed, moments = before or (last, moments_out)  # not read without a state
    block = values_per_program(values)
    kernel: Any = based_forward_kernel  # its launch takes options that its signature has not
    kernel[(batch * heads, values // block, spans)](
        q, k, v, o, normaliser, packed, moments, last, moments_out, scale, unit_of(scale), time, heads, span,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3],
        V=values, VALUES=block, C=CHUNK, HAS_STATE=before is not None, KEEP=keep, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return o, normaliser, unpack(last, moments_out, scale) if keep else last


def _states_before(k: Tensor, v: Tensor, scale: float, before: Packed | None, spans: int, span: int) -> Packed:
    """The states that the spans start from, `[spans, B, H, ...]`: each is the one before, and what that span adds."""
    states, moments = empty_packed(spans, k, v)
    states[0], moments[0] = before or (torch.zeros_like(states[0]), torch.zeros_like(moments[0]))
    whole = (spans - 1) * span
    encode_spans(k[:, :whole], v[:, :whole], scale, (states[1:], moments[1:]), span)
    return states.cumsum_(0), moments.cumsum_(0)


def empty_packed(spans: int, k: Tensor, v: Tensor) -> Packed:
    batch, _, heads, _ = k.shape
    shapes = (spans, batch, heads, ROWS, v.shape[-1]), (spans, batch, heads, MOMENTS, 16)
    states, moments = (torch.empty(shape, dtype=sum_dtype(k), device=k.device) for shape in shapes)
    return states, moments


def encode_spans(k: Tensor, v: Tensor, scale: float, out: Packed, span: int) -> None:
    """Write to `out`, `[spans, B, H, ...]`, what each span of `span` tokens adds to the state.

    Rows that are empty there are 0; of the last row of moments only the first, the count, is written.
    """
    from recallscope_kernels.ops.based.encode_kernel import based_encode_kernel

    batch, tokens, heads, _ = k.shape
    values, block = v.shape[-1], values_per_program(v.shape[-1])
    k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (k, v))
    kernel: Any = based_encode_kernel
    kernel[(batch * heads, values // block, out[0].shape[0])](
        k, v, *out, scale, unit_of(scale), tokens, heads, span, *k.stride()[:3], *v.stride()[:3],
        V=values, VALUES=block, C=CHUNK, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip


def unit_of(scale: float) -> float:
    """The power of two that is not above: a weight that no dtype rounds."""
    return 2.0 ** (math.frexp(scale)[1] - 1)
