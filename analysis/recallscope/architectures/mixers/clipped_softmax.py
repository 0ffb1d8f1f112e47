"""Attention whose weights are stretched and clipped, so that a head can write exactly nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import causal_weights, token_read, token_weights
from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class ClippedSoftmax(SoftmaxMixer):
    """Clipped softmax (Bondarenko, Nagel and Blankevoort 2023, arXiv 2306.12929).

    `a_ti = clip((ζ - γ) softmax_i(q_t · k_i / √K) + γ, 0, 1)`, `o_t = Σ_{i ≤ t} a_ti v_i`, with ζ ≥ 1 and γ = -α / T:
    weights below α / (T ζ + α) become zero, and no outlier has to be grown for that. Rows need not sum to one; where
    a weight is clipped it gets no gradient. T is fixed, the training length, whatever the length of an input, so γ is
    the same for all tokens. The paper's other remedy, a gate on each head's output, is the option `gate`.

    The weights are needed one by one, so `prefill` forms them, for C queries at a time and the keys up to the last of
    these; the backward pass keeps them, about T² / 2 for each head.

    Parameters are those of `SoftmaxMixer` and

    alpha : float
        α, at least 0 (usually 2 to 4); 0 with ζ = 1: plain softmax.
    zeta : float
        ζ, at least 1.
    length : int
        T, in tokens.
    chunk : int
        Queries C at a time; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        *,
        alpha: float = 4.0,
        zeta: float = 1.0,
        length: int = 1024,
        chunk: int = 128,
        **shape: Any,
    ):
        super().__init__(width, heads, **shape)
        if alpha < 0:
            raise ValueError(f"alpha: at least 0, got {alpha}")
        if zeta < 1:
            raise ValueError(f"zeta: at least 1, got {zeta}")
        if length < 1:
            raise ValueError(f"length: at least 1 token, got {length}")
        if chunk < 1:
            raise ValueError(f"chunk: at least 1 token, got {chunk}")
        self.alpha, self.zeta, self.length, self.chunk = alpha, zeta, length, chunk

    def _clip(self, weights: Tensor) -> Tensor:
        gamma = -self.alpha / self.length
        return torch.add(weights.new_tensor(gamma), weights, alpha=self.zeta - gamma).clamp(0.0, 1.0)

    def _extended(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
        """The queries, and the caches with the tokens of x in them."""
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, keys.shape[1])
        return q, torch.cat([keys, k], 1), torch.cat([values, v], 1)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x, state)
        q, k, v = (self._heads_first(u) for u in (q, keys, values))
        outputs, past = [], k.shape[2] - q.shape[2]
        for n, some in enumerate(q.split(self.chunk, 2)):
            last = past + n * self.chunk + some.shape[2]
            weights = self._clip(causal_weights(some, k[:, :, :last], self.key_width**-0.5))
            outputs.append(weights.to(v.dtype) @ v[:, :, :last])
        return self._finish(torch.cat(outputs, 2).transpose(1, 2), x), (keys, values)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x[:, None], state)
        weights = self._clip(token_weights(q[:, 0], keys, self.key_width**-0.5))
        return self._finish(token_read(weights.to(values.dtype), values), x), (keys, values)

    def state_elements(self, t: Any) -> Any:
        """Keys and values: 2 H_kv K t."""
        return 2 * self.kv_heads * self.key_width * t

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K for each pair: C (C + 2C + ...) in whole chunks, and the rest of the queries on t."""
        chunks = ceil_div(t + 1, self.chunk) - 1
        pairs = self.chunk**2 * chunks * (chunks + 1) // 2 + (t - chunks * self.chunk) * t
        return batch * (t * self._projection_flops() + 4 * self.heads * self.key_width * pairs)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K t."""
        return batch * (self._projection_flops() + 4 * self.heads * self.key_width * t)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, 2 * self.kv_heads * self.key_width),))
