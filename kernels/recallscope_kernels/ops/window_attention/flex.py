"""Sliding-window softmax attention by torch's FlexAttention."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor


def flex_window_attention(q: Tensor, k: Tensor, v: Tensor, window: int, scale: float) -> Tensor:
    """Outputs `[B, T, H, V]`; k and v hold the tokens of q after earlier ones.

    On a GPU one compiled kernel, that skips the blocks that no query sees. On a CPU not compiled, without a backward
    pass: all T² scores, to look at what it computes. A `ValueError` where it has no backward pass.
    """
    learning = torch.is_grad_enabled() and any(u.requires_grad for u in (q, k, v))
    if learning and not q.is_cuda:
        raise ValueError(f"implementation: flex has no backward pass on {q.device}, got operands with gradients")
    run, _ = _functions(q.is_cuda)
    mask = _block_mask(q.shape[1], k.shape[1], window, q.device)
    with warnings.catch_warnings():
        if not q.is_cuda:
            warnings.filterwarnings("ignore", message="flex_attention called without")
        o = run(*(u.transpose(1, 2) for u in (q, k, v)), block_mask=mask, scale=scale)
    return o.transpose(1, 2)


@cache
def _functions(compiled: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`flex_attention` and `create_block_mask`; compiled, the latter makes no T × T mask."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    wrap = torch.compile if compiled else lambda f: f
    return wrap(flex_attention), wrap(create_block_mask)


@lru_cache(maxsize=16)
def _block_mask(queries: int, keys: int, window: int, device: torch.device) -> Any:
    """Which blocks hold visible keys; it depends on lengths alone, and takes longer to make than to use."""
    past = keys - queries

    def visible(batch: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i + past) & (j > i + past - window)

    make = _functions(device.type == "cuda")[1]
    return make(visible, None, None, queries, keys, device=str(device))
