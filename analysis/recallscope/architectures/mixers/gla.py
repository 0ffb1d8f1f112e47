"""Gated linear attention: a matrix state whose rows decay at rates that each token sets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._channel_decay import (
    channel_decay_attention,
    channel_decay_flops,
    checked_chunk,
)
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class GLA(Mixer):
    """Gated linear attention (Yang et al. 2024, arXiv 2312.06635): `S_t = diag(α_t) S_{t-1} + k_t v_tᵀ`.

    `o_t = S_tᵀ q_t / √K`, the decay `α = σ(W_2 W_1 x + b)^{1/16}`, one number for each channel of the keys, through a
    bottleneck, and `y = W_o (RMSNorm(o) ⊙ SiLU(W_g x))`, the norm taken over each head. No positions.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H.
    key_width, value_width : int or None
        Widths K and V of a head; None: D / (2 H) and D / H.
    gate_rank : int
        Width of the bottleneck in the decay's projection.
    gate_root : float
        Which root of the sigmoid the decay is (16 in the paper): higher is slower decay.
    conv_width : int or None
        Taps of a short convolution over q, k and v, followed by SiLU; None: no convolution (the paper).
    chunk : int
        Tokens per chunk of the parallel form, a power of two; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        gate_rank: int = 16,
        gate_root: float = 16.0,
        conv_width: int | None = None,
        chunk: int = 64,
    ):
        super().__init__()
        if (key_width is None and width % (2 * heads)) or (value_width is None and width % heads):
            raise ValueError(f"heads: 2 heads must divide the width, got width {width} and heads {heads}")
        if gate_root <= 0:
            raise ValueError(f"gate_root: above 0, got {gate_root}")
        self.width, self.heads, self.chunk = width, heads, checked_chunk(chunk)
        self.key_width, self.value_width = key_width or width // (2 * heads), value_width or width // heads
        self.gate_rank, self.gate_root = gate_rank, gate_root
        keys, values = heads * self.key_width, heads * self.value_width
        self.qkv = nn.Linear(width, 2 * keys + values, bias=False)
        self.conv = None if conv_width is None else ShortConvolution(2 * keys + values, conv_width, bias=False)
        self.shift = conv_width is not None and conv_width > 1
        self.decay_down = nn.Linear(width, gate_rank, bias=False)
        self.decay_up = nn.Linear(gate_rank, keys)
        self.gate = nn.Linear(width, values, bias=False)
        self.norm = nn.RMSNorm(self.value_width, eps=1e-5)
        self.out = nn.Linear(values, width, bias=False)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, scaled, and k `[..., H, K]`; v `[..., H, V]`."""
        keys = self.heads * self.key_width
        q, k, v = wide(qkv if self.conv is None else F.silu(qkv)).split([keys, keys, self.heads * self.value_width], -1)
        q, k, v = (u.unflatten(-1, (self.heads, -1)) for u in (q, k, v))
        return q * self.key_width**-0.5, k, v

    def _log_decay(self, x: Tensor) -> Tensor:
        """ln α `[..., H, K]`."""
        gate = F.logsigmoid(wide(self.decay_up(self.decay_down(x)))) / self.gate_root
        return gate.unflatten(-1, (self.heads, -1))

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        return self.out(self.norm(o.to(self.norm.weight.dtype)).flatten(-2).to(x.dtype) * F.silu(self.gate(x)))

    def init_state(self, batch: int) -> State:
        """Zero matrices `[B, H, K, V]`, float32 at least, after the convolution's last inputs if there is one."""
        matrix = wide(self.out.weight).new_zeros(batch, self.heads, self.key_width, self.value_width)
        return (matrix,) if self.conv is None else (self.conv.init_state(batch), matrix)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        *recent, matrix = self.checked_state(state, x.shape[0])
        qkv = self.qkv(x)
        if self.conv is not None:
            qkv, recent[0] = self.conv.prefill(qkv, recent[0])
        q, k, v = self._split(qkv)
        log_decay = self._log_decay(x)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = channel_decay_attention(q, k, v, matrix, log_decay, self.chunk)
        return self._finish(o, x), (*recent, matrix)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        *recent, matrix = self.checked_state(state, x.shape[0])
        qkv = self.qkv(x)
        if self.conv is not None:
            qkv, recent[0] = self.conv.step(qkv, recent[0])
        q, k, v = self._split(qkv)
        matrix = torch.addcmul(matrix * self._log_decay(x).exp()[..., None], k[..., None], v[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], x), (*recent, matrix)

    def _weights(self) -> Any:
        """D (2 H K + 3 H V + R) + R H K."""
        keys, values = self.heads * self.key_width, self.heads * self.value_width
        return self.width * (2 * keys + 3 * values + self.gate_rank) + self.gate_rank * keys

    def parameters_count(self) -> Any:
        """The projections' weights, the decay's bias, norm and convolution."""
        conv = 0 if self.conv is None else self.conv.parameters_count()
        return self._weights() + self.heads * self.key_width + self.value_width + conv

    def _matrix(self) -> Any:
        return self.heads * self.key_width * self.value_width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: H K V, and the convolution's inputs."""
        return self._matrix() + (0 if self.conv is None else self.conv.state_elements())

    def write_elements(self, t: Any) -> Any:
        """The matrix, and one input of the convolution."""
        return self._matrix() + (0 if self.conv is None else self.conv.channels)

    def _flops(self) -> Any:
        """Of one token, but for the state: projections and convolution."""
        return 2 * self._weights() + (0 if self.conv is None else self.conv.flops())

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention."""
        attention = channel_decay_flops(t, self.chunk, self.key_width, self.value_width)
        return batch * (t * self._flops() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K V: add to the state, read it."""
        return batch * (self._flops() + 4 * self._matrix())

    def dataflow(self) -> Dataflow:
        spans = () if self.conv is None else (Span(0, self.conv.width, self.conv.channels),)
        return Dataflow(spans, self._matrix())
