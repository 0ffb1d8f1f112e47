"""Linear attention, without decay or with one number a token and head: in chunks in torch, or by a library."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops._checks import check_matrix_state, widened
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.linear_attention.chunked import chunked_linear_attention
from recallscope_kernels.ops.linear_attention.cost import CHUNK
from recallscope_kernels.ops.linear_attention.mamba import mamba_simple_gla

SIMPLE_GLA = ("chunked", "fla", "mamba-ssm")


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
    scale = check_matrix_state(q, k, v, {}, scale, initial_state, implementation, chunk)
    if implementation == "fla":
        return fla("linear_attn", "chunk_linear_attn", q)(
            q, k, v, scale=scale, initial_state=initial_state, output_final_state=output_final_state, normalize=False
        )
    wide = widened(q, scale, k, v)
    o, state = chunked_linear_attention(*wide, log_decay=None, state=initial_state, chunk=min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None


def simple_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = α_t S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`: simple gated linear attention, α a number a head.

    The recurrence of RetNet (Sun et al. 2023, arXiv 2307.08621; α fixed a head) and of Mamba-2 (Dao and Gu 2024,
    arXiv 2405.21060; q = C, k = B, v = Δ x, ln α = -Δ e^A).

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, any strides; float16, bfloat16, float32 or float64.
    log_decay : Tensor
        `[B, T, H]`: ln α, finite and at most 0.
    scale : float
        Positive; K^-½ if None.
    initial_state : Tensor
        `[B, H, K, V]`, float32 (float64 with float64 operands); zeros if None.
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, the default), `fla` (flash-linear-attention, if installed) or `mamba-ssm` (likewise; ln α
        below 0).
    chunk : int
        Tokens per chunk of `chunked`; changes speed, not results.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in gives NaN out.
    """
    gates = {"log_decay": log_decay}
    scale = check_matrix_state(q, k, v, gates, scale, initial_state, implementation, chunk, SIMPLE_GLA)
    if implementation == "mamba-ssm":
        return mamba_simple_gla(q, k, v, log_decay, scale, initial_state, output_final_state)
    if implementation == "fla":
        run, state = fla("simple_gla", "chunk_simple_gla", q), initial_state
        return run(q, k, v, g=log_decay, scale=scale, initial_state=state, output_final_state=output_final_state)
    wide = widened(q, scale, k, v, log_decay[..., None])
    o, state = chunked_linear_attention(*wide, state=initial_state, chunk=min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None
