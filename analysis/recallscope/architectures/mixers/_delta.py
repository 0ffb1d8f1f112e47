"""The delta rule in chunks, with any kind of decay: the operator, and its closed forms."""

from __future__ import annotations

from typing import Any

from recallscope_kernels.ops.delta_rule import chunked_delta_rule
from torch import Tensor

from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum


def delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor, chunk: int, log_decay: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ q_t`, `S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ`; O(T (C + K)).

    The WY form (Yang et al. 2024), which `chunked_delta_rule` of the operators derives.

    Parameters
    ----------
    q, k, v, beta : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, `[B, T, H, 1]`, in the precision of the sums.
    state : Tensor
        `[B, H, K, V]`, before the first token.
    chunk : int
        Tokens C per chunk; changes speed, not results. A power of two if the decay is per channel.
    log_decay : Tensor or None
        `ln α`, at most 0: `[B, T, H, 1]` or `[B, T, H, K]`.

    Returns the outputs `[B, T, H, V]` and the state after the last token.
    """
    channels = log_decay is not None and log_decay.shape[-1] > 1
    return chunked_delta_rule(q, k, v, beta, log_decay, state, chunk if channels else min(chunk, q.shape[1]))


def delta_rule_flops(t: Any, chunk: Any, key: Any, value: Any, channels: bool = False) -> Any:
    """Products of one head and sequence: `T [6 K V + 2 C (2 K + V) + (C - 1) (K + V)]`, T in whole chunks.

    The last term is the solve. With a decay per channel, halving makes `2 (C - 1) K` of the `4 C K` of the scores.
    """
    chunk = chunk if channels else minimum(chunk, t)
    scores = 2 * (chunk - 1) * key if channels else 4 * chunk * key
    each = 6 * key * value + scores + 2 * chunk * value + (chunk - 1) * (key + value)
    return ceil_div(t, chunk) * chunk * each


def delta_rule_training_flops(t: Any, chunk: Any, key: Any, value: Any, channels: bool = False) -> Any:
    """Forward and backward: three times the products, but a solve takes a solve and a full product backward.

    Without gradient, and so without its product, are the zero state before the first chunk and the last state.
    """
    forward = delta_rule_flops(t, chunk, key, value, channels)
    chunk = chunk if channels else minimum(chunk, t)
    chunks = ceil_div(t, chunk)
    unused = 2 * chunk * key * value * (3 + maximum(0, 2 - chunks))
    return 3 * forward + chunks * chunk * (chunk + 1) * (key + value) - unused
