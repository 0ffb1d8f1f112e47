"""Softmax attention with rotary positions: the reference that every efficient mixer is measured against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._attend import attend
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class Attention(SoftmaxMixer):
    """Causal softmax attention: multi-head, grouped-query or multi-query; RoPE, QK-norm, sinks, output gate.

    `o_t = Σ_{i ≤ t} e^{z_ti} v_i / (e^{s} + Σ_j e^{z_tj})`, `z_ti = q_t · k_i / √K` (Vaswani et al. 2017); the learned
    sink logit s of each head is there only with `sinks` (Miller 2023; Agarwal et al. 2025): a head may read nothing.

    Parameters are those of `SoftmaxMixer` and `sinks`.
    """

    def __init__(self, width: int, heads: int = 4, *, sinks: bool = False, **shape: Any):
        super().__init__(width, heads, **shape)
        self.sinks = sinks
        if sinks:
            self.sink = nn.Parameter(torch.zeros(heads))

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        return self._finish(self._attend(q, keys, values), x), (keys, values)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x[:, None], keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        return self._finish(self._attend(q, keys, values)[:, 0], x), (keys, values)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The T queries are the last T of the S keys' positions: `[B, T, H, K]`."""
        time, past = q.shape[1], k.shape[1] - q.shape[1]
        q, k, v = (self._heads_first(u) for u in (q, k, v))
        scale, width = self.key_width**-0.5, self.key_width
        if self.sinks:  # one more key that only the added channel of the queries meets, with value zero
            q = F.pad(q, (0, 1), value=1.0)
            k, v = F.pad(k, (0, 1, 1, 0)), F.pad(v, (0, 1, 1, 0))
            first = torch.zeros_like(k[:, :, :1])
            first[..., -1] = self.sink[:, None] / scale
            k = torch.cat([first, k[:, :, 1:]], 2)
        if time == 1 or not (past or self.sinks):
            o = attend(q, k, v, causal=time > 1, scale=scale)
        else:
            seen = torch.ones(time, k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - time)
            o = attend(q, k, v, seen, scale=scale)
        o = o.transpose(1, 2)
        return o[..., :width] if self.sinks else o

    def parameters_count(self) -> Any:
        """2 D K (H + H_kv), and what norms, gate and sinks add."""
        return super().parameters_count() + (self.heads if self.sinks else 0)

    def state_elements(self, t: Any) -> Any:
        """Keys and values: 2 H_kv K t."""
        return 2 * self.kv_heads * self.key_width * t

    def _pair_flops(self) -> Any:
        """4 H K for each pair of a query and a key."""
        return 4 * self.heads * (self.key_width + int(self.sinks))

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K t² for the full square."""
        return batch * t * (self._projection_flops() + self._pair_flops() * (t + int(self.sinks)))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; the kernel recomputes the scores: five products backward for two forward."""
        pairs = batch * t * self._pair_flops() * (t + int(self.sinks))
        return 3 * batch * t * self._projection_flops() + 7 * pairs // 2

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K t."""
        return batch * (self._projection_flops() + self._pair_flops() * (t + int(self.sinks)))

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, 2 * self.kv_heads * self.key_width),))
