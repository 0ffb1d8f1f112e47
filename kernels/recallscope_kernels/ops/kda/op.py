"""Kimi delta attention: in chunks in torch, or by flash-linear-attention."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops._shape import power_of_two
from recallscope_kernels.ops.delta_rule.chunked import chunked_delta_rule
from recallscope_kernels.ops.delta_rule.cost import CHUNK


def kda(
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
    """`S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`.

    Kimi Team 2025 (arXiv 2510.26692): the gated delta rule, but α has a number for each channel of the keys.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`. Keys should have length 1; they are taken as they are.
    beta : Tensor
        `[B, T, H]`: β, from 0 to 2 for a stable memory.
    log_decay : Tensor
        `[B, T, H, K]`: ln α, at most 0, as strong as you like: below -40 it counts as -40, which forgets all.
    scale : float
        Positive; K^-½ if None.
    initial_state : Tensor
        `[B, H, K, V]`, float32 (float64 with float64 operands); zeros if None.
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, the default) or `fla` (flash-linear-attention, if installed).
    chunk : int
        Tokens per chunk of `chunked`, a power of two; changes speed, not results.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in gives NaN out.
    """
    scale = _checks.check_matrix_state(q, k, v, {"beta": beta}, scale, initial_state, implementation, chunk)
    _checks.check_gates(q, {"log_decay": log_decay}, channels=True)
    _checks.check_chunk(chunk, halved=True)
    if implementation == "fla":
        run, state = fla("kda", "chunk_kda", q), initial_state
        return run(
            q, k, v, g=log_decay, beta=beta, scale=scale, initial_state=state, output_final_state=output_final_state
        )
    wide = _checks.widened(q, scale, k, v, beta[..., None], log_decay)
    o, state = chunked_delta_rule(*wide, state=initial_state, chunk=min(chunk, power_of_two(q.shape[1])))
    return o.to(v.dtype), state if output_final_state else None
