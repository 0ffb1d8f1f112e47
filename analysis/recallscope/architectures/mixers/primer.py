"""Primer: softmax attention whose queries, keys and values each pass a causal convolution of three tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import causal_attention, causal_attention_flops, token_read, token_weights
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._short_convolution import ShortConvolution
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class Primer(SoftmaxMixer):
    """Attention with multi-head depthwise convolutions (So et al. 2021, arXiv 2109.08668).

    `q̄_t[c] = Σ_{j=0..2} θ_{j,c} q_{t-j}[c]` after the projection, the same for k and v, each channel with weights of
    its own; then norm, rotation and causal softmax attention. The squared ReLU, the paper's other change, belongs to
    the feed-forward layer. Convolved keys hold the token before, so one layer can find what followed a key; convolved
    queries or values alone do not give that.

    The weights θ start from 1/2 for the current token and 1/6 for the two before it, as public implementations do.

    Parameters are those of `SoftmaxMixer` and `convolve`, the letters among "qkv" of what is convolved: at least one.
    """

    def __init__(self, width: int, heads: int = 4, *, convolve: str = "qkv", **shape: Any):
        super().__init__(width, heads, **shape)
        if not convolve or set(convolve) - set("qkv") or len(set(convolve)) < len(convolve):
            raise ValueError(f"convolve: at least one of the letters q, k, v, each once, got {convolve!r}")
        self.convolve = "".join(sorted(convolve, key="qkv".index))
        k = self.key_width
        self._widths = {"q": heads * k, "k": self.kv_heads * k, "v": self.kv_heads * k}
        self.short = ShortConvolution(self._channels(), 3, bias=False)
        with torch.no_grad():
            self.short.weight.copy_(torch.tensor([1 / 6, 1 / 6, 1 / 2])[:, None])

    @property
    def shift(self) -> bool:  # type: ignore[override]
        """Whether keys are convolved."""
        return "k" in self.convolve

    def _channels(self) -> int:
        """Convolved channels: at most K (H + 2 H_kv)."""
        return sum(self._widths[letter] for letter in self.convolve)

    def init_state(self, batch: int) -> State:
        """Empty key and value caches `[B, 0, H_kv, K]`; the convolutions' last two inputs, zeros `[B, 2, channels]`."""
        return *super().init_state(batch), self.short.init_state(batch)

    def _convolved(self, x: Tensor, convolution: Callable[..., Any], recent: Tensor) -> tuple[list[Tensor], Tensor]:
        """q, k, v `[..., H or H_kv, K]` of x `[..., D]` after the convolutions, and the convolutions' state."""
        parts = dict(zip("qkv", self.qkv(x).split(list(self._widths.values()), -1), strict=True))
        mixed, recent = convolution(torch.cat([parts[letter] for letter in self.convolve], -1), recent)
        widths = [self._widths[letter] for letter in self.convolve]
        parts.update(zip(self.convolve, mixed.split(widths, -1), strict=True))
        return [u.unflatten(-1, (-1, self.key_width)) for u in parts.values()], recent

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values, recent = self.checked_state(state, x.shape[0])
        (q, k, v), recent = self._convolved(x, self.short.prefill, recent)
        q, k = self._position(q, k, keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        q, k, v = (self._heads_first(u) for u in (q, keys, values))
        o = causal_attention(q, k, v, self.key_width**-0.5)
        return self._finish(o.transpose(1, 2), x), (keys, values, recent)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values, recent = self.checked_state(state, x.shape[0])
        (q, k, v), recent = self._convolved(x, self.short.step, recent)
        q, k = self._position(q[:, None], k[:, None], keys.shape[1])
        keys, values = torch.cat([keys, k], 1), torch.cat([values, v[:, None]], 1)
        o = token_read(token_weights(q[:, 0], keys, self.key_width**-0.5), values)
        return self._finish(o, x), (keys, values, recent)

    def parameters_count(self) -> Any:
        """2 D K (H + H_kv), norms and gate apart, and 3 for each convolved channel."""
        return super().parameters_count() + self.short.parameters_count()

    def state_elements(self, t: Any) -> Any:
        """Keys and values 2 H_kv K t, and two inputs of each convolved channel."""
        return 2 * self.kv_heads * self.key_width * t + self.short.state_elements()

    def write_elements(self, t: Any) -> Any:
        """A key and a value, and one input of each convolved channel."""
        return super().write_elements(t) + self._channels()

    def _token_flops(self) -> Any:
        """Projections, and 6 for each convolved channel."""
        return self._projection_flops() + self.short.flops()

    def _pairs_flops(self, queries: Any, keys: Any) -> Any:
        return causal_attention_flops(queries, keys, self.heads, self.key_width, self.key_width)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolutions, and 4 H K t² for the full square."""
        return batch * (t * self._token_flops() + self._pairs_flops(t, t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections and convolutions; 7/2 of the square, whose scores are computed anew."""
        return batch * (3 * t * self._token_flops() + 7 * self._pairs_flops(t, t) // 2)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolutions, and 4 H K t."""
        return batch * (self._token_flops() + self._pairs_flops(1, t))

    def dataflow(self) -> Dataflow:
        kept = Span(None, None, 2 * self.kv_heads * self.key_width)
        return Dataflow((kept, Span(0, 3, self._channels())))
