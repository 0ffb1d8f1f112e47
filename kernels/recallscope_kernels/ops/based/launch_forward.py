"""Starting Based's forward kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.cost import cut
from recallscope_kernels.ops.based.launch import LAUNCH, unit_of, values_per_program
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS, pack, unpack
from recallscope_kernels.ops.based.spans import Packed, states_before


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
    span, spans = cut(time, spans)
    if spans > 1:
        before = states_before(k, v, scale, before, spans, span)
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
        V=values, VALUES=block, HAS_STATE=before is not None, KEEP=keep, **LAUNCH,
    )  # fmt: skip
    return o, normaliser, unpack(last, moments_out, scale) if keep else last
