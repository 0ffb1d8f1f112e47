"""MemSizer: a fixed number of memory slots, written and read by the input's own projections, with no keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import linear_attention, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class MemSizer(Mixer):
    """MemSizer (Zhang and Cai 2022), its causal form: m slots of the model's width, and no output projection.

    `S_t = S_{t-1} + LN(W_k x_t) LN(W_v x_t)ᵀ` and `y_t = t^{-1/2} S_tᵀ a_t`, with `a_t` the mean over heads of
    `softmax(W_q^h x_t + b^h)`, `[m]`. The rows of W_q are the slots' keys, the same for every input: a query finds what
    it wants only where W_q and W_k agree on a hash of the token.

    The number of tokens so far, one integer for the whole model, is not counted as state.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of read distributions H that are averaged.
    slots : int
        Number of slots m.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(self, width: int, heads: int = 4, slots: int = 32, chunk: int = 128):
        super().__init__()
        for name, value in (("heads", heads), ("slots", slots), ("chunk", chunk)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, got {value}")
        self.width, self.heads, self.slots, self.chunk = width, heads, slots, chunk
        self.read = nn.Linear(width, heads * slots)
        self.write = nn.Linear(width, slots, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.write_norm = nn.LayerNorm(slots)
        self.value_norm = nn.LayerNorm(width)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read and write weights `[..., m]`, values `[..., D]`; float32 at least."""
        read = wide(self.read(x)).unflatten(-1, (self.heads, self.slots)).softmax(-1).mean(-2)
        return read, wide(self.write_norm(self.write(x))), wide(self.value_norm(self.value(x)))

    def init_state(self, batch: int) -> State:
        """Empty slots `[B, m, D]`, float32 at least, and the number of tokens."""
        slots = wide(self.value.weight).new_zeros(batch, self.slots, self.width)
        return slots, torch.zeros((), dtype=torch.long)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        slots, count = self.checked_state(state, x.shape[0])
        time = x.shape[1]
        a, k, v = (u[:, :, None] for u in self._project(x))
        with torch.autocast(x.device.type, enabled=False):
            y, slots = linear_attention(a, k, v, slots[:, None], self.chunk)
            tokens = torch.arange(1, time + 1, device=x.device) + count.to(x.device)
            y = y[:, :, 0] * tokens.to(y.dtype).rsqrt()[:, None]
        return y.to(x.dtype), (slots[:, 0], count + time)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        slots, count = self.checked_state(state, x.shape[0])
        a, k, v = self._project(x)
        slots, count = torch.addcmul(slots, k[..., None], v[..., None, :]), count + 1
        y = (a[..., None, :] @ slots)[..., 0, :] * int(count) ** -0.5
        return y.to(x.dtype), (slots, count)

    def parameters_count(self) -> Any:
        """D m H, D m and D² in the projections, m H biases, 2 (m + D) in the norms."""
        m, d = self.slots, self.width
        return d * m * (self.heads + 1) + d**2 + m * self.heads + 2 * (m + d)

    def _projection_flops(self) -> Any:
        return 2 * self.width * (self.slots * (self.heads + 1) + self.width)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: m D."""
        return self.slots * self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention of one head with K = m and V = D."""
        return batch * (t * self._projection_flops() + linear_attention_flops(t, self.chunk, self.slots, self.width))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 m D: write the slots, read them."""
        return batch * (self._projection_flops() + 4 * self.slots * self.width)

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
