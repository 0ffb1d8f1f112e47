"""Starting the two kernels of Based's backward pass: that of queries first, whose -do·o / z the other one reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.based.cost import cut
from recallscope_kernels.ops.based.launch import LAUNCH, unit_of, values_per_program
from recallscope_kernels.ops.based.packing import MOMENTS, ROWS, pack, unpack
from recallscope_kernels.ops.based.spans import states_after, states_before


def triton_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    normaliser: Tensor,
    scale: float,
    state: Tensor | None,
    grad_state: Tensor | None,
    spans: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients as `chunked_backward` gives them; that of the initial state is empty where there is none.

    More than 64 columns of V are blocks with partial sums for queries and keys, in float32; added up at the end.
    """
    from recallscope_kernels.ops.based.key_gradient_kernel import based_key_gradient_kernel
    from recallscope_kernels.ops.based.query_gradient_kernel import based_query_gradient_kernel

    (batch, time, heads, width), values, sums = q.shape, v.shape[-1], sum_dtype(q)
    grad, q, k, v = (u if u.stride(-1) == 1 else u.contiguous() for u in (grad, q, k, v))
    strides = [u.stride(n) for u in (q, k, v, grad) for n in range(3)]
    block = values_per_program(values)
    blocks, unit = values // block, unit_of(scale)
    span, spans = cut(time, spans)

    def empty(*shape: int, dtype: torch.dtype = sums) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=q.device)

    partial = q.dtype if blocks == 1 else sums
    dq, dk = (empty(blocks, batch, time, heads, width, dtype=partial) for _ in range(2))
    dv, delta = empty(batch, time, heads, values, dtype=q.dtype), empty(blocks, batch, time, heads)
    keep = state is not None
    last = empty(batch, heads, ROWS, values) if keep else empty(0)
    moments_out = empty(blocks, batch, heads, MOMENTS, 16) if keep else empty(0)
    before, after = (None if u is None else pack(u, scale) for u in (state, grad_state))
    if spans > 1:
        before = states_before(k, v, scale, before, spans, span)
    kernels: tuple[Any, ...] = based_query_gradient_kernel, based_key_gradient_kernel
    grid, unread = (batch * heads, blocks, spans), (last, moments_out)
    tiles: dict[str, int] = {"V": values, "VALUES": block, **LAUNCH}
    kernels[0][grid](
        q, k, v, grad, o, normaliser, *(before or unread), dq, delta, scale, unit, batch, time, heads, span, *strides,
        HAS_STATE=before is not None, **tiles,
    )  # fmt: skip
    if spans > 1 or after is not None:
        after = states_after(q, grad, normaliser, delta, scale, after, spans, span)
    kernels[1][grid](
        q, k, v, grad, normaliser, delta, *(after or unread), dk, dv, last, moments_out, scale, unit, batch, time,
        heads, span, *strides, HAS_STATE=after is not None, KEEP=keep, **tiles,
    )  # fmt: skip
    first = unpack(last, moments_out.sum(0), scale) if keep else last
    dq, dk = (u[0] if blocks == 1 else u.sum(0).to(q.dtype) for u in (dq, dk))
    return dq, dk, dv, first
