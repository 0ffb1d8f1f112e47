"""One step of decoding sliding-window attention, into a ring of as many places as the window."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.attention.op import run_backend


def window_attention_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    length: int,
    *,
    scale: float | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of token number `length` (from 0); **it replaces the oldest in the ring, in place**.

    q, k `[B, 1, H, K]`, v `[B, 1, H, V]`; token t is kept at place t mod W of `keys` `[B, W, H, K]` and `values`
    `[B, W, H, V]`, W being the window. `implementation`: torch's backends of `attention`.
    """
    _checks.check_operands(q, k, v)
    window = keys.shape[1]
    if length < 0:
        raise ValueError(f"length: at least 0 tokens, got {length}")
    place = length % window
    keys[:, place : place + 1], values[:, place : place + 1] = k, v
    filled = slice(0, min(length + 1, window))  # a softmax does not ask for the order of what it sums
    scale = _checks.check_scale(scale, q.shape[-1])
    return run_backend(q, keys[:, filled], values[:, filled], scale, False, implementation).transpose(1, 2)
