"""The selective scan: in chunks in torch, or by mamba-ssm."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import mamba_scan
from recallscope_kernels.ops._shape import power_of_two
from recallscope_kernels.ops.selective_scan.chunked import chunked_selective_scan
from recallscope_kernels.ops.selective_scan.cost import CHUNK

IMPLEMENTATIONS = ("chunked", "mamba-ssm")


def selective_scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    step: Tensor,
    rate: Tensor,
    *,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = e^{-Δ_t ⊙ λ} ⊙ S_{t-1} + k_t (Δ_t ⊙ v_t)ᵀ`, `o_t = scale S_tᵀ q_t`: every element decays by itself.

    Mamba's S6 (Gu and Dao 2023, arXiv 2312.00752) with q = C, k = B, v = u and λ = -A, K its state size N, and the
    channels that share B and C as one head of V channels. Without its skip D u and its gate, which are elementwise.

    Parameters
    ----------
    q, k : Tensor
        `[B, T, H, K]`.
    v, step : Tensor
        `[B, T, H, V]`; the steps Δ at least 0.
    rate : Tensor
        λ `[H, K, V]`, at least 0.
    scale : float
        Positive; 1, as in Mamba, and not K^-½.
    initial_state : Tensor
        `[B, H, K, V]`, float32 (float64 with float64 operands); zeros if None.
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, the default) or `mamba-ssm` (if installed; no state in, and no gradient of the one out).
    chunk : int
        Tokens of `chunked` whose states are held at once, `[B, C, H, K, V]`, a power of two.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in gives NaN out.
    """
    scale = _checks.check_matrix_state(q, k, v, {}, scale, initial_state, implementation, chunk, IMPLEMENTATIONS)
    _checks.check_chunk(chunk, halved=True)
    check_rates(q, v, step, rate)
    if implementation == "mamba-ssm":
        if initial_state is not None:
            raise ValueError("initial_state: mamba-ssm's selective scan takes no state in")
        return _mamba(q * scale, k, v, step, rate, output_final_state)
    query, key, value, step, rate = _checks.widened(q, scale, k, v, step, rate)
    state = query.new_zeros(q.shape[0], *rate.shape) if initial_state is None else initial_state
    chunk = min(chunk, power_of_two(q.shape[1]))
    o, state = chunked_selective_scan(step, step * value, rate, key, query, state, chunk)
    return o.to(v.dtype), state if output_final_state else None


def _mamba(q: Tensor, k: Tensor, v: Tensor, step: Tensor, rate: Tensor, keep: bool) -> tuple[Tensor, Tensor | None]:
    """Their layout: channels `[B, H V, T]`, A `[H V, K]`, B and C of a group of channels `[B, H, K, T]`."""
    run, heads = mamba_scan(q), q.shape[2]
    channels = (u.flatten(2).mT.contiguous() for u in (v, step))
    groups = (u.permute(0, 2, 3, 1).contiguous() for u in (k, q))
    out = run(*channels, -rate.mT.flatten(0, 1).float(), *groups, return_last_state=keep)
    o, last = out if keep else (out, None)
    state = None if last is None else last.unflatten(1, (heads, -1)).mT
    return o.mT.unflatten(2, (heads, -1)), state


def check_rates(q: Tensor, v: Tensor, step: Tensor, rate: Tensor) -> None:
    """Steps of the shape of v, and a rate for each element of a head's state."""
    for name, u, shape in (("step", step, list(v.shape)), ("rate", rate, [*q.shape[2:], v.shape[-1]])):
        if list(u.shape) != shape or u.device != q.device or u.dtype not in _checks.DTYPES:
            got = f"{list(u.shape)} of {u.dtype} on {u.device}"
            raise ValueError(f"{name}: {shape} of a floating dtype on {q.device}, got {got}")
