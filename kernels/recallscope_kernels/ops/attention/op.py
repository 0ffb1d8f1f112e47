"""Causal softmax attention by torch's `scaled_dot_product_attention`, each backend by its name."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.attention.library import FLASH, flash_attention

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
IMPLEMENTATIONS = (*BACKENDS, *FLASH)
ON_CPU = ("flash", "math")  # torch has no others there


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    initial_state: tuple[Tensor, Tensor] | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """`o_t = Σ_{i≤t} softmax_i(scale q_t·k_i) v_i`; q, k `[B, T, H, K]`, v `[B, T, H, V]`.

    `initial_state` is what came before: keys `[B, n, H, K]` and values `[B, n, H, V]`; with one, T is 1. The final
    state is both with the new tokens appended. `implementation`: torch's flash, cudnn, efficient or math; flash-attn or
    flash-attn-3, the libraries, if installed; None leaves it to torch. One that cannot run on these operands raises a
    `ValueError`.
    """
    _checks.check_operands(q, k, v)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    if implementation in BACKENDS and not q.is_cuda and implementation not in ON_CPU:
        raise ValueError(f"implementation: {' or '.join(ON_CPU)} on {q.device}, got {implementation!r}")
    scale = _checks.check_scale(scale, q.shape[-1])
    if initial_state is not None:
        check_past(q, v, initial_state)
        if q.shape[1] != 1:
            raise ValueError(f"initial_state: with one, T is 1, got {q.shape[1]} new tokens")
        k, v = (torch.cat([past, u], 1) for past, u in zip(initial_state, (k, v), strict=True))
    state = (k, v) if output_final_state else None
    if implementation in FLASH:
        return flash_attention(q, k, v, scale, implementation), state
    o = run_backend(q, k, v, scale, initial_state is None, implementation)
    return o.transpose(1, 2), state


def run_backend(q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool, backend: str | None) -> Tensor:
    """Outputs `[B, H, T, V]`; a `ValueError` with torch's reason where the backend does not run."""
    q, k, v = (u.transpose(1, 2) for u in (q, k, v))
    with sdpa_kernel(BACKENDS[backend]) if backend else nullcontext(), warnings.catch_warnings(record=True) as reasons:
        warnings.simplefilter("always")  # torch gives its reasons as warnings
        try:
            return scaled_dot_product_attention(q, k, v, scale=scale, is_causal=causal)
        except RuntimeError as error:
            if backend is None or "available kernel" not in str(error):
                raise
    why = (
        str(reasons[-1].message).split(" (Triggered")[0]
        if reasons
        else f"{q.dtype}, keys of {q.shape[-1]}, values of {v.shape[-1]}"
    )
    raise ValueError(f"implementation: torch cannot run {backend} here ({why})")


def check_past(q: Tensor, v: Tensor, past: tuple[Tensor, Tensor]) -> None:
    """Keys and values that came before those of q and v."""
    batch, _, heads, key = q.shape
    wanted = f"keys [{batch}, n, {heads}, {key}] and values [{batch}, n, {heads}, {v.shape[-1]}] of {q.dtype}"
    fits = len(past) == 2 and all(
        u.dim() == 4 and (u.shape[0], *u.shape[2:]) == (batch, heads, width) and u.dtype == q.dtype
        for u, width in zip(past, (key, v.shape[-1]), strict=True)
    )
    if not fits or past[0].shape[1] != past[1].shape[1]:
        raise ValueError(f"initial_state: {wanted}, got {[list(u.shape) for u in past]} of {past[0].dtype}")
