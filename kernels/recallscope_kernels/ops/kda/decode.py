"""One step of decoding Kimi delta attention."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops.gla.decode import channel_decode


def kda_decode(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor, state: Tensor, *, scale: float | None = None
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    q, k and ln α `[B, 1, H, K]`, v `[B, 1, H, V]`, β `[B, 1, H]`; 6 K V FLOPs a head, the decay not among them.
    """
    return channel_decode(q, k, v, beta, log_decay, state, scale)
