"""Linear attention with a decay for each channel of the keys: the operator `gla`, and its closed form."""

from __future__ import annotations

from typing import Any

from recallscope_kernels.ops.gla import channel_decay_scores as channel_decay_scores
from recallscope_kernels.ops.gla import chunked_gla
from torch import Tensor

from recallscope.architectures.mixers._counts import padded


def checked_chunk(chunk: int) -> int:
    """The chunk, if it can be halved down to one token."""
    if chunk < 1 or chunk & (chunk - 1):
        raise ValueError(f"chunk: a power of two, got {chunk}")
    return chunk


def channel_decay_attention(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, log_decay: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ q_t`, `S_t = diag(α_t) S_{t-1} + k_t v_tᵀ`; O(T (C + K)).

    q, k and ln α, at most 0, `[B, T, H, K]`; v `[B, T, H, V]`; state `[B, H, K, V]` before the first token. `chunk` is
    a power of two, to which the tokens are padded. Returns the outputs `[B, T, H, V]` and the state after the last.
    """
    return chunked_gla(q, k, v, log_decay, state, chunk)


def channel_decay_flops(t: Any, chunk: Any, key: Any, value: Any) -> Any:
    """Products of one head and sequence: `T [4 K V + (C - 1) K + 2 C V]`, T rounded up to whole chunks; as run."""
    return padded(t, chunk, shrink=False) * (4 * key * value + (chunk - 1) * key + 2 * chunk * value)
