"""Based: linear attention whose feature map is the second-order Taylor expansion of the softmax kernel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Based(nn.Module):
    """Taylor linear attention (Arora et al. 2024, arXiv 2402.18668, Section 4), normalised, no decay, no positions.

    `φ(x) = [1, x / K^¼, vec(x xᵀ) / √(2K)]`, so that `φ(q)·φ(k) = 1 + s + s²/2` with `s = q·k / √K`, and
    `o_t = Σ_{i ≤ t} φ(q_t)·φ(k_i) v_i / Σ_{i ≤ t} φ(q_t)·φ(k_i)`. Features are the `full` kind: F = 1 + K + K².
    (The symmetric kind, 1 + K + K(K+1)/2, is another layer with the same output and a smaller state.)
    The kernel 1 + s + s²/2 is at least 1/2, so the denominator needs no ε.

    `forward` is chunked: inside a chunk the kernel itself, between chunks the state; sums in float32.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; V = D / H.
    key_width : int
        Width K of queries and keys per head (16 in the paper).
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    binds_next_token = False

    def __init__(self, width: int, heads: int = 4, key_width: int = 16, chunk: int = 128):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: must divide the width, got width {width} and heads {heads}")
        self.width, self.heads, self.key_width, self.chunk = width, heads, key_width, chunk
        self.qk = nn.Linear(width, 2 * heads * key_width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k `[B, T, H, K]`, scaled by K^-¼ so that their product is s, and v `[B, T, H, V]`; float32."""
        q, k = self.qk(x).float().unflatten(-1, (2, self.heads, -1)).unbind(-3)
        scale = self.key_width**-0.25
        return q * scale, k * scale, self.value(x).float().unflatten(-1, (self.heads, -1))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, all positions at once; O(T (chunk + F))."""
        time = x.shape[1]
        chunk = min(self.chunk, time)
        padding = (0, 0, 0, 0, 0, -time % chunk)
        q, k, v = (F.pad(u, padding).unflatten(1, (-1, chunk)).transpose(2, 3) for u in self._project(x))
        with torch.autocast(x.device.type, enabled=False):
            o = _chunked_taylor_attention(q, k, v)  # [B, chunks, H, C, V]
        return self.out(o.transpose(2, 3).flatten(1, 2)[:, :time].flatten(2).to(x.dtype))

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """Zero sums of `φ(k) vᵀ`, `[B, H, F, V]`, and of `φ(k)`, `[B, H, F]`; float32."""
        features = 1 + self.key_width + self.key_width**2
        matrix = torch.zeros(batch, self.heads, features, self.width // self.heads, device=self.value.weight.device)
        return matrix, matrix[..., 0].clone()

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One token: `[B, D]` and the sums to `[B, D]` and the sums with it added."""
        matrix, normaliser = state
        q, k, v = (u[:, 0] for u in self._project(x[:, None]))
        phi_q, phi_k = taylor_features(q), taylor_features(k)
        matrix = matrix + phi_k[..., None] * v[..., None, :]
        normaliser = normaliser + phi_k
        o = torch.einsum("bhf,bhfv->bhv", phi_q, matrix) / (phi_q * normaliser).sum(-1, keepdim=True)
        return self.out(o.flatten(1).to(x.dtype)), (matrix, normaliser)

    def state_elements(self, t: int) -> int:
        """Elements that survive between two decoding steps, per sequence, whatever `t`: H F (V + 1), F = 1 + K + K²."""
        del t
        features = 1 + self.key_width + self.key_width**2
        return self.heads * features * (self.width // self.heads + 1)


def taylor_features(x: Tensor) -> Tensor:
    """`[..., K] -> [..., 1 + K + K²]`, with `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k` of already scaled q and k."""
    second = (x[..., None] * x[..., None, :]).flatten(-2) / math.sqrt(2.0)
    return torch.cat([torch.ones_like(x[..., :1]), x, second], -1)


def _chunked_taylor_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Normalised causal Taylor attention; q, k `[B, N, H, C, K]`, v `[B, N, H, C, V]`, N chunks of C tokens."""
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)  # the last column sums to the denominator
    s = q @ k.transpose(-1, -2)
    o = (1 + s + s.square() / 2).tril() @ v
    if q.shape[1] > 1:  # what the chunks before this one left in the state
        state = (taylor_features(k[:, :-1]).transpose(-1, -2) @ v[:, :-1]).cumsum(1)  # [B, N-1, H, F, V+1]
        o = torch.cat([o[:, :1], o[:, 1:] + taylor_features(q[:, 1:]) @ state], 1)
    return o[..., :-1] / o[..., -1:]
