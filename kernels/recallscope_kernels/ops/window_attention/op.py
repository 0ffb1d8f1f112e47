"""Sliding-window softmax attention: in blocks in torch, by FlexAttention, or by FlashAttention."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.attention.library import FLASH, flash_attention
from recallscope_kernels.ops.attention.op import check_past
from recallscope_kernels.ops.window_attention.blocked import blocked_window_attention
from recallscope_kernels.ops.window_attention.flex import flex_window_attention
from recallscope_kernels.ops.window_attention.reference import WINDOW

IMPLEMENTATIONS = ("blocked", "flex", *FLASH)


def window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int = WINDOW,
    scale: float | None = None,
    initial_state: tuple[Tensor, Tensor] | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """`o_t = Σ_i softmax_i(scale q_t·k_i) v_i` over `t - window < i ≤ t`: the current token and those before it.

    The window of Beltagy et al. 2020 (arXiv 2004.05150), looking back only.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`.
    window : int
        Visible tokens W, at least 1.
    scale : float
        Positive; K^-½ if None.
    initial_state : tuple of Tensor
        Keys `[B, n, H, K]` and values `[B, n, H, V]` of n tokens that came before, in the precision of the operands.
    output_final_state : bool
        Return the keys and values of the last `min(W, n + T)` tokens, else None.
    implementation : str
        `blocked` (torch, any device: W queries against 2 W keys, in float32 or more), `flex` (FlexAttention,
        compiled on a GPU; on a CPU not compiled and without gradients), `flash-attn` or `flash-attn-3` (the libraries,
        if installed; float16 or bfloat16). None: `flex` on a GPU, else `blocked`.

    Returns outputs `[B, T, H, V]` and the state. NaN in gives NaN out.
    """
    _checks.check_operands(q, k, v)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    check_window(window)
    scale = _checks.check_scale(scale, q.shape[-1])
    if initial_state is not None:
        check_past(q, v, initial_state)
        k, v = (torch.cat([past, u], 1) for past, u in zip(initial_state, (k, v), strict=True))
    state = (k[:, -window:], v[:, -window:]) if output_final_state else None
    k, v = (u[:, max(0, u.shape[1] - q.shape[1] - window + 1) :] for u in (k, v))
    chosen = implementation or ("flex" if q.is_cuda else "blocked")
    if chosen in FLASH:
        return flash_attention(q, k, v, scale, chosen, window), state
    if chosen == "flex":
        return flex_window_attention(q, k, v, window, scale), state
    o = blocked_window_attention(*_checks.widened(q, scale, k, v), window=window)
    return o.to(v.dtype), state


def check_window(window: int) -> None:
    if not isinstance(window, int) or window < 1:
        raise ValueError(f"window: a whole number of tokens, at least 1, got {window!r}")
