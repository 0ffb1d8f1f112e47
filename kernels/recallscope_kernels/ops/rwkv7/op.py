"""The generalised delta rule of RWKV-7: in chunks in torch, or by flash-linear-attention."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.rwkv7.chunked import chunked_rwkv7
from recallscope_kernels.ops.rwkv7.cost import CHUNK

LONGEST, STRONGEST = 64, -1.0  # chunk, and ln w, with which `chunked` loses nothing


def rwkv7(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = diag(w_t) S_{t-1} + b_t (a_tᵀ S_{t-1}) + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`.

    RWKV-7 (Peng et al. 2025, arXiv 2503.14456): q is its receptance, k its replacement key, `a = -κ̂` and `b = κ̂ ⊙ a'`
    with its removal key κ̂, of length 1, and its in-context rate a'. Decay and removal both act on the state before.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`.
    log_decay : Tensor
        `[B, T, H, K]`: ln w, from -1 to 0 for `chunked`, which refuses stronger decay; RWKV-7's own is at least
        -e^-½ = -0.607.
    a, b : Tensor
        `[B, T, H, K]`: what is sought in the state, and where what is found is added. Stable if `diag(w) + b aᵀ` does
        not expand.
    scale : float
        Positive; 1, as in RWKV-7, and not K^-½.
    initial_state : Tensor
        `[B, H, K, V]`, float32 (float64 with float64 operands); zeros if None.
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, the default) or `fla` (flash-linear-attention, if installed).
    chunk : int
        Tokens per chunk of `chunked`, at most 64; changes speed, not results.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in gives NaN out.
    """
    scale = _checks.check_matrix_state(q, k, v, {}, scale, initial_state, implementation, chunk)
    _checks.check_gates(q, {"log_decay": log_decay, "a": a, "b": b}, channels=True)
    if chunk > LONGEST:
        raise ValueError(f"chunk: at most {LONGEST} tokens, got {chunk}")
    if implementation == "fla":
        run, state = fla("rwkv7", "chunk_rwkv7", q), initial_state
        return run(
            r=q, w=log_decay, k=k, v=v, a=a, b=b, scale=scale, initial_state=state,
            output_final_state=output_final_state,
        )  # fmt: skip
    if (least := log_decay.detach().min()) < STRONGEST:
        raise ValueError(f"log_decay: from {STRONGEST} to 0 in chunks, got {least.item():.4g}")
    wide = _checks.widened(q, scale, k, v, log_decay, a, b)
    o, state = chunked_rwkv7(*wide, state=initial_state, chunk=chunk)
    return o.to(v.dtype), state if output_final_state else None
