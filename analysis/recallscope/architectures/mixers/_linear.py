"""Linear attention in chunks: scores inside a chunk, the state between chunks; without decay, or with a scalar one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recallscope_kernels.ops._chunks import carry as carry
from recallscope_kernels.ops._chunks import decay_ratios as decay_ratios
from recallscope_kernels.ops._chunks import from_chunks as from_chunks
from recallscope_kernels.ops._chunks import into_chunks as into_chunks
from torch import Tensor

from recallscope.architectures.mixers._counts import minimum, padded


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor,
    chunk: int,
    log_decay: Tensor | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
    kernel: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ φ(q_t)`, `S_t = α_t S_{t-1} + φ(k_t) v_tᵀ`; O(T (C + F)).

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, in the precision of the sums.
    state : Tensor
        `[B, H, F, V]`, before the first token.
    chunk : int
        Tokens C per chunk; changes speed, not results.
    log_decay : Tensor or None
        `ln α`, at most 0, `[B, T, H, 1]` (one a channel: `_channel_decay`). Every exponent taken is a sum of it over
        tokens later than the key's, so never positive: strong decay underflows, it cannot overflow.
    features, kernel : functions or None
        φ, `[..., K] -> [..., F]`, and the product `φ(q)·φ(k)` as a function of `q·k`, which spares forming φ inside a
        chunk. None: the identity.

    Returns the outputs `[B, T, H, V]` and the state after the last token.
    """
    time = q.shape[1]
    chunk = min(chunk, time)
    q, k, v = (into_chunks(u, chunk) for u in (q, k, v))
    scores, total = q @ k.transpose(-1, -2), None
    if log_decay is not None:
        total = into_chunks(log_decay, chunk).cumsum(-2)  # [B, N, H, C, 1]
        scores = scores * decay_ratios(total)
    scores = (scores if kernel is None else kernel(scores)).tril()
    if features is not None:
        q, k = features(q), features(k)
    if total is not None:
        q, k = q * total.exp(), k * (total[..., -1:, :] - total).exp()
    before, state = carry(k.transpose(-1, -2) @ v, state, None if total is None else total[..., -1, :, None].exp())
    return from_chunks(scores @ v + q @ before, time), state


def linear_attention_flops(t: Any, chunk: Any, key: Any, value: Any, features: Any = None) -> Any:
    """Products of one head and sequence: `T [4 F V + 2 C (K + V)]`, T rounded up to whole chunks; counted, as run."""
    features = key if features is None else features
    return padded(t, chunk) * (4 * features * value + 2 * minimum(chunk, t) * (key + value))
