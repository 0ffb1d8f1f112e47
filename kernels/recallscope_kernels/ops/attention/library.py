"""Softmax attention by the FlashAttention libraries, full or over a sliding window."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops._libraries import flash_attention_2, flash_attention_3

FLASH = {"flash-attn": flash_attention_2, "flash-attn-3": flash_attention_3}


def flash_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, name: str, window: int | None = None) -> Tensor:
    """Outputs `[B, T, H, V]`; the last key is that of the last query. None: no window."""
    run = FLASH[name](q)
    if q.dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(f"implementation: {name} takes float16 or bfloat16, got {q.dtype}")
    reach = (-1, -1) if window is None else (window - 1, 0)  # its own window leaves the current token out
    o = run(q, k, v, softmax_scale=scale, causal=True, window_size=reach)
    return o[0] if isinstance(o, tuple) else o  # some releases of the third also return the log-sum-exp
