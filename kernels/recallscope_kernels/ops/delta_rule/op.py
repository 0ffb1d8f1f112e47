"""The delta rule and its gated form: in chunks in torch, or by flash-linear-attention."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops._checks import check_matrix_state, widened
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.delta_rule.chunked import chunked_delta_rule
from recallscope_kernels.ops.delta_rule.cost import CHUNK


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ`, `o_t = scale S_tᵀ q_t` (Schlag et al. 2021, arXiv 2102.11174).

    Arguments and results as in `gated_delta_rule`.
    """
    scale = check_matrix_state(q, k, v, {"beta": beta}, scale, initial_state, implementation, chunk)
    if implementation == "fla":
        run = fla("delta_rule", "chunk_delta_rule", q)
        return run(q, k, v, beta, scale=scale, initial_state=initial_state, output_final_state=output_final_state)
    wide = widened(q, scale, k, v, beta[..., None])
    o, state = chunked_delta_rule(*wide, log_decay=None, state=initial_state, chunk=min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None


def gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`.

    Yang et al. 2024 (arXiv 2412.06464), Section 3.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`. Keys should have length 1; they are taken as they are.
    beta, log_decay : Tensor
        `[B, T, H]`: β, from 0 to 2 for a stable memory, and `ln α`, at most 0.
    scale : float
        Positive; K^-½ if None.
    initial_state : Tensor
        `[B, H, K, V]`, float32 (float64 with float64 operands); zeros if None.
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, the default) or `fla` (flash-linear-attention, if installed).
    chunk : int
        Tokens per chunk of `chunked`; changes speed, not results.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in gives NaN out.
    """
    scale = check_matrix_state(
        q, k, v, {"beta": beta, "log_decay": log_decay}, scale, initial_state, implementation, chunk
    )
    if implementation == "fla":
        run, state = fla("gated_delta_rule", "chunk_gated_delta_rule", q), initial_state
        return run(
            q, k, v, g=log_decay, beta=beta, scale=scale, initial_state=state, output_final_state=output_final_state
        )
    wide = widened(q, scale, k, v, beta[..., None], log_decay[..., None])
    o, state = chunked_delta_rule(*wide, state=initial_state, chunk=min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None
