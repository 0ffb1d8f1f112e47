"""Normalised Taylor linear attention, token by token in float64: what every fast path is compared with.

[1] Arora et al. 2024, *Simple linear attention language models balance the recall-throughput tradeoff*,
arXiv 2402.18668, Section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor


def feature_count(key_width: int) -> int:
    """F = 1 + K + K (K + 1) / 2: the symmetric second-order Taylor features (153 at K = 16)."""
    return 1 + key_width + key_width * (key_width + 1) // 2


def taylor_features(x: Tensor) -> Tensor:
    """`[..., K] -> [..., F]`: `1`, `x_i`, then `x_i x_j` for i < j and `x_i² / √2`, row by row of the upper triangle.

    `φ(x)·φ(y) = 1 + s + s²/2` with `s = x·y`; [1] writes `x_i x_j` twice, in 1 + K + K² features with this product.
    """
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    second = x[..., i] * x[..., j] / torch.where(i == j, 2.0, 1.0).to(x).sqrt()
    return torch.cat([torch.ones_like(x[..., :1]), x, second], -1)


def based_reference(
    q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, initial_state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`o_t = S_tᵀ φ(q_t) / z_tᵀ φ(q_t)`, `S_t = S_{t-1} + φ(k_t) v_tᵀ`, `z_t = z_{t-1} + φ(k_t)`.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`.
    scale : float
        Of `s = scale q·k`; K^-½ if None. Queries and keys both carry its root, so the state depends on it.
    initial_state : Tensor
        `[B, H, F, V + 1]`: the sums S, and z as the last column. Zeros if None.

    Returns the outputs `[B, T, H, V]` and the state after the last token, both float64; gradients flow through.
    """
    root = (q.shape[-1] ** -0.5 if scale is None else scale) ** 0.5
    q, k, v = q.double(), k.double(), v.double()
    features_q, features_k = taylor_features(q * root), taylor_features(k * root)
    values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    batch, time, heads, _ = q.shape
    state = q.new_zeros(batch, heads, features_q.shape[-1], values.shape[-1])
    if initial_state is not None:
        state = state + initial_state.double()
    outputs = []
    for t in range(time):
        state = state + features_k[:, t, :, :, None] * values[:, t, :, None, :]
        sums = torch.einsum("bhfv,bhf->bhv", state, features_q[:, t])
        outputs.append(sums[..., :-1] / sums[..., -1:])
    return torch.stack(outputs, 1), state
