"""Stochastically subsampled attention: trained on a random part of the keys, read with all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import causal_attention, causal_attention_flops, token_read, token_weights
from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class SubsampledAttention(SoftmaxMixer):
    """Unbiased subsampled attention (SSA; Hussain et al. 2023, arXiv 2306.01705), causal.

    In training mode every call of `prefill` draws a set U of T / `rate` of the T keys, uniformly without replacement,
    the same for all heads and sequences; token t attends to `{i ∈ U : i < t} ∪ {t}`. The other keys are not touched,
    so the scores cost 1 / `rate` of the full ones, and the one key that a query needs is there with probability
    1 / `rate`. In evaluation mode, and in `step`, attention is dense; dense training at the end is `rate` = 1.

    The costs declared are those of the mode that the module is in. The paper's locally biased choice of sources and
    the average over several draws in place of dense inference are left out.

    Parameters are those of `SoftmaxMixer` and `rate`, at least 1: one key in how many (usually 4 to 8).
    """

    def __init__(self, width: int, heads: int = 4, *, rate: int = 4, **shape: Any):
        super().__init__(width, heads, **shape)
        if rate < 1:
            raise ValueError(f"rate: one key in at least 1, got {rate}")
        self.rate = rate

    def sources(self, length: int, generator: torch.Generator | None = None) -> Tensor:
        """The positions drawn among `length`, ⌈length / rate⌉ of them, sorted; torch's own generator if None."""
        return torch.randperm(length, generator=generator)[: -(-length // self.rate)].sort().values

    def _extended(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
        """The queries, and the caches with the tokens of x in them."""
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, keys.shape[1])
        return q, torch.cat([keys, k], 1), torch.cat([values, v], 1)

    def prefill(
        self, x: Tensor, state: State | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x, state)
        if self._sampling():
            chosen = self.sources(keys.shape[1], generator).to(x.device)
            o = self._attend_to(chosen, q, keys, values)
        else:
            q, k, v = (self._heads_first(u) for u in (q, keys, values))
            o = causal_attention(q, k, v, self.key_width**-0.5)
        return self._finish(o.transpose(1, 2), x), (keys, values)

    def _attend_to(self, chosen: Tensor, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Each of the last T tokens on the chosen ones before it and on itself: `[B, H, T, K]`."""
        time, length = q.shape[1], keys.shape[1]
        own_k, own_v = (self._heads_first(u[:, length - time :]) for u in (keys, values))
        q, k, v = (self._heads_first(u) for u in (q, keys[:, chosen], values[:, chosen]))
        before = chosen < torch.arange(length - time, length, device=q.device)[:, None]  # [T, |U|]
        scores = (q @ k.transpose(-1, -2)).masked_fill(~before, -torch.inf)
        scores = torch.cat([scores, (q * own_k).sum(-1, keepdim=True)], -1)
        weights = (scores * self.key_width**-0.5).softmax(-1).to(v.dtype)
        return weights[..., :-1] @ v + weights[..., -1:] * own_v

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x[:, None], state)
        o = token_read(token_weights(q[:, 0], keys, self.key_width**-0.5), values)
        return self._finish(o, x), (keys, values)

    def _sampling(self) -> bool:
        return self.training and self.rate > 1

    def state_elements(self, t: Any) -> Any:
        """Keys and values: 2 H_kv K t."""
        return 2 * self.kv_heads * self.key_width * t

    def _pairs_flops(self, t: Any) -> Any:
        keys = ceil_div(t, self.rate) if self._sampling() else t
        return causal_attention_flops(t, keys, self.heads, self.key_width, self.key_width)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K t² for the full square; in training mode 4 H K t ⌈t / rate⌉."""
        return batch * (t * self._projection_flops() + self._pairs_flops(t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products of training mode; 7/2 of the full square, where the kernel computes scores anew."""
        twice = 6 if self._sampling() else 7
        return batch * (3 * t * self._projection_flops() + twice * self._pairs_flops(t) // 2)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K t: dense."""
        return batch * (self._projection_flops() + 4 * self.heads * self.key_width * t)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, 2 * self.kv_heads * self.key_width),))
