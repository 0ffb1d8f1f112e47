"""Gated linear attention: in chunks in torch, or by flash-linear-attention."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops._shape import power_of_two
from recallscope_kernels.ops.gla.chunked import chunked_gla
from recallscope_kernels.ops.gla.cost import CHUNK


def gla(
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
    """`S_t = diag(α_t) S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, α a number for each channel of the keys.

    Yang et al. 2024 (arXiv 2312.06635). Also the recurrence of HGRN2 (k = 1 - α).

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, any strides; float16, bfloat16, float32 or float64.
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
    scale = _checks.check_matrix_state(q, k, v, {}, scale, initial_state, implementation, chunk)
    _checks.check_gates(q, {"log_decay": log_decay}, channels=True)
    _checks.check_chunk(chunk, halved=True)
    if implementation == "fla":
        run, state = fla("gla", "chunk_gla", q), initial_state
        return run(q, k, v, log_decay, scale=scale, initial_state=state, output_final_state=output_final_state)
    wide = _checks.widened(q, scale, k, v, log_decay)
    o, state = chunked_gla(*wide, state=initial_state, chunk=min(chunk, power_of_two(q.shape[1])))
    return o.to(v.dtype), state if output_final_state else None
