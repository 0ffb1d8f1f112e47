"""Based: linear attention whose feature map is the second-order Taylor expansion of the softmax kernel."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import linear_attention, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class Based(Mixer):
    """Taylor linear attention (Arora et al. 2024, arXiv 2402.18668, Section 4), normalised, no decay, no positions.

    `φ(q)·φ(k) = 1 + s + s²/2` with `s = q·k / √K`, and `o_t = Σ_{i ≤ t} φ(q_t)·φ(k_i) v_i / Σ_{i ≤ t} φ(q_t)·φ(k_i)`.
    The kernel is at least 1/2, so the denominator needs no ε. Two feature maps have this product, and are two states:

    - `full`: `[1, x / K^¼, vec(x xᵀ) / √(2K)]`, F = 1 + K + K² (273 at K = 16); what the published code keeps;
    - `symmetric`: x_i x_j once for i < j, F = 1 + K + K (K + 1) / 2 (153 at K = 16); what the published plots count.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; V = D / H.
    key_width : int
        Width K of queries and keys per head (16 in the paper).
    symmetric : bool
        Which features.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(self, width: int, heads: int = 4, key_width: int = 16, symmetric: bool = False, chunk: int = 128):
        super().__init__()
        check_heads(width, heads)
        self.width, self.heads, self.key_width, self.chunk = width, heads, key_width, chunk
        self.symmetric = symmetric
        self.qk = nn.Linear(width, 2 * heads * key_width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k `[B, T, H, K]`, scaled by K^-¼ so that their product is s; v `[B, T, H, V + 1]`, its last column ones.

        The column of ones sums to the denominator.
        """
        q, k = wide(self.qk(x)).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        scale = self.key_width**-0.25
        v = F.pad(wide(self.value(x)).unflatten(-1, (self.heads, -1)), (0, 1), value=1.0)
        return q * scale, k * scale, v

    def _features(self, x: Tensor) -> Tensor:
        return symmetric_taylor_features(x) if self.symmetric else taylor_features(x)

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        return self.out((o[..., :-1] / o[..., -1:]).flatten(-2).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """Zero sum of `φ(k) [v, 1]ᵀ`, `[B, H, F, V + 1]`; float32 at least."""
        weight = wide(self.value.weight)
        return (weight.new_zeros(batch, self.heads, self._features_count(), self.width // self.heads + 1),)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        (matrix,) = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = linear_attention(q, k, v, matrix, self.chunk, features=self._features, kernel=_taylor)
        return self._finish(o, x), (matrix,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (matrix,) = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x)
        matrix = torch.addcmul(matrix, self._features(k)[..., None], v[..., None, :])
        return self._finish((self._features(q)[..., None, :] @ matrix)[..., 0, :], x), (matrix,)

    def _features_count(self) -> Any:
        """F."""
        k = self.key_width
        return 1 + k + (k * (k + 1) // 2 if self.symmetric else k**2)

    def parameters_count(self) -> Any:
        """2 D (D + H K)."""
        return 2 * self.width * (self.width + self.heads * self.key_width)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: F (D + H), the sums of φ(k) vᵀ and of φ(k)."""
        return self._features_count() * (self.width + self.heads)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention with values of width V + 1."""
        value = self.width // self.heads + 1
        attention = linear_attention_flops(t, self.chunk, self.key_width, value, self._features_count())
        return batch * (2 * t * self.parameters_count() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 F (V + 1) a head: add to the state, read it."""
        return batch * (2 * self.parameters_count() + 4 * self.state_elements(t))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))


def _taylor(s: Tensor) -> Tensor:
    return 1 + s + s.square() / 2


def taylor_features(x: Tensor) -> Tensor:
    """`[..., K] -> [..., 1 + K + K²]`, with `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k` of already scaled q and k."""
    second = (x[..., None] * x[..., None, :]).flatten(-2) / math.sqrt(2.0)
    return torch.cat([torch.ones_like(x[..., :1]), x, second], -1)


def symmetric_taylor_features(x: Tensor) -> Tensor:
    """`[..., K] -> [..., 1 + K + K (K + 1) / 2]`, with the same products: `x_i x_j` once for i < j, `x_i² / √2`."""
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    second = x[..., i] * x[..., j] / torch.where(i == j, 2.0, 1.0).to(x).sqrt()
    return torch.cat([torch.ones_like(x[..., :1]), x, second], -1)
