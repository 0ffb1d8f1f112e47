"""Linear attention without decay: in chunks in torch, or by flash-linear-attention."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._chunks import from_chunks, into_chunks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.linear_attention.cost import CHUNK

IMPLEMENTATIONS = ("chunked", "fla")


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, neither normalised nor decayed.

    q, k `[B, T, H, K]`, v `[B, T, H, V]`, states `[B, H, K, V]` float32 (float64 with float64 operands).
    `implementation`: `chunked` (torch, the default) or `fla` (flash-linear-attention, if installed). Differentiable;
    NaN in gives NaN out.
    """
    _checks.check_operands(q, k, v)
    _checks.check_chunk(chunk)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    scale = _checks.check_scale(scale, q.shape[-1])
    _checks.check_state(initial_state, (q.shape[0], q.shape[2], q.shape[3], v.shape[3]), q)
    if implementation == "fla":
        return fla("linear_attn", "chunk_linear_attn", q)(
            q, k, v, scale=scale, initial_state=initial_state, output_final_state=output_final_state, normalize=False
        )
    o, state = _chunked(q, k, v, scale, initial_state, min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None


def _chunked(q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int) -> tuple[Tensor, Tensor]:
    time, sums = q.shape[1], _checks.sum_dtype(q)
    q, k, v = (into_chunks(u.to(sums), chunk) for u in (q * scale, k, v))
    within = (q @ k.transpose(-1, -2)).tril() @ v
    before = []
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[-1], v.shape[-1]) if state is None else state
    for update in (k.transpose(-1, -2) @ v).unbind(1):
        before.append(state)
        state = state + update
    return from_chunks(within + q @ torch.stack(before, 1), time), state
