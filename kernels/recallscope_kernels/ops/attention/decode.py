"""One step of decoding softmax attention, into a cache that is already there."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.attention.op import run_backend


def attention_decode(
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
    """Outputs `[B, 1, H, V]` of token number `length` (from 0); **it is written into the cache in place**.

    q, k `[B, 1, H, K]`, v `[B, 1, H, V]`; `keys` `[B, M, H, K]` and `values` `[B, M, H, V]` hold the first `length` of
    M ≥ length + 1 tokens.
    """
    _checks.check_operands(q, k, v)
    if not 0 <= length < keys.shape[1]:
        raise ValueError(f"length: from 0 to {keys.shape[1] - 1}, the last place of the cache, got {length}")
    keys[:, length : length + 1], values[:, length : length + 1] = k, v
    seen = slice(0, length + 1)
    scale = _checks.check_scale(scale, q.shape[-1])
    return run_backend(q, keys[:, seen], values[:, seen], scale, False, implementation).transpose(1, 2)
