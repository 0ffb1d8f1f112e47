"""What the delta-rule mixers share: projections, short convolution, the recurrence, head norm, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._delta import delta_rule, delta_rule_flops, delta_rule_training_flops
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class DeltaMixer(Mixer):
    """Delta rule with queries, keys and values from short convolutions; subclasses add a decay and an output gate.

    `q, k = L2(SiLU(Conv(W x)))` and `v = SiLU(Conv(W_v x))`, `β = σ(W_β x)` per head, or 2σ with `negative`, then
    `S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ`, `o_t = S_tᵀ q_t`, and `y = W_o (RMSNorm(o) ⊙ gate)`,
    the norm per head. L2 divides by `√(‖u‖² + 10⁻⁶)`.

    Parameters
    ----------
    width : int
        Model width D.
    heads, value_heads : int
        Numbers of query and key heads H and of value heads H_v, a multiple of H; each value head has its own β, decay
        and state. Value head h reads query and key head ⌊h H / H_v⌋.
    key_width, value_width : int
        Widths K of queries and keys and V of values, per head.
    conv_width : int or None
        Taps of the causal depthwise convolution over q, k and v; None: none, and then one layer cannot bind a key to
        the next token.
    negative : bool
        β in (0, 2), so that the transition has eigenvalues in (-1, 1) instead of (0, 1) (Grazzi et al. 2024).
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    channels: bool = False
    """Whether the decay is per channel of the keys."""

    def __init__(
        self,
        width: int,
        heads: int,
        value_heads: int,
        key_width: int,
        value_width: int,
        conv_width: int | None,
        negative: bool,
        chunk: int,
    ):
        super().__init__()
        if chunk < 1 or (self.channels and chunk & (chunk - 1)):
            raise ValueError(f"chunk: a {'power of two' if self.channels else 'positive number'}, got {chunk}")
        if value_heads % heads:
            raise ValueError(f"value_heads: must be a multiple of heads, got heads {heads}, value_heads {value_heads}")
        self.width, self.heads, self.value_heads = width, heads, value_heads
        self.key_width, self.value_width = key_width, value_width
        self.negative, self.chunk, self.shift = negative, chunk, conv_width is not None and conv_width > 1
        self.qkv = nn.Linear(width, self._channels_count(), bias=False)
        self.conv = None if conv_width is None else ShortConvolution(self._channels_count(), conv_width, bias=False)
        self.beta = nn.Linear(width, value_heads, bias=False)
        self.norm = nn.RMSNorm(value_width, eps=1e-5)
        self.out = nn.Linear(value_heads * value_width, width, bias=False)

    def _log_decay(self, x: Tensor) -> Tensor | None:
        """`[..., D]` to `ln α`, at most 0, `[..., H_v, 1 or K]`; None: no decay."""
        return None

    def _gate(self, x: Tensor) -> Tensor | None:
        """`[..., D]` to what multiplies the normalised heads, `[..., H_v V]`; None: nothing."""
        return None

    def _inputs(self, x: Tensor, recent: State) -> tuple[Tensor, Tensor, Tensor, Tensor, State]:
        """q, k `[..., H_v, K]`, v `[..., H_v, V]`, β `[..., H_v, 1]`, and the new convolution state."""
        u = self.qkv(x)
        if self.conv is not None:
            u, tail = (self.conv.prefill if x.ndim == 3 else self.conv.step)(u, recent[0])
            recent = (tail,)
        keys = self.heads * self.key_width
        q, k, v = F.silu(wide(u)).split([keys, keys, self.value_heads * self.value_width], -1)
        q, k = (unit(w.unflatten(-1, (self.heads, -1))) for w in (q, k))
        if self.value_heads > self.heads:
            q, k = (w.repeat_interleave(self.value_heads // self.heads, -2) for w in (q, k))
        beta = torch.sigmoid(wide(self.beta(x)))[..., None]
        return q, k, v.unflatten(-1, (self.value_heads, -1)), 2 * beta if self.negative else beta, recent

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        gate = self._gate(x)
        o = self.norm(o).flatten(-2)
        return self.out((o if gate is None else o * gate).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """Zero matrices `[B, H_v, K, V]`, float32 at least, and the last inputs of the convolution `[B, k - 1, X]`."""
        weight = wide(self.qkv.weight)
        matrix = weight.new_zeros(batch, self.value_heads, self.key_width, self.value_width)
        return (matrix,) if self.conv is None else (matrix, self.conv.init_state(batch))

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, *recent = self.checked_state(state, x.shape[0])
        q, k, v, beta, recent = self._inputs(x, tuple(recent))
        log_decay = self._log_decay(x)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = delta_rule(q, k, v, beta, matrix, self.chunk, log_decay)
        return self._finish(o, x), (matrix, *recent)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, *recent = self.checked_state(state, x.shape[0])
        q, k, v, beta, recent = self._inputs(x, tuple(recent))
        log_decay = self._log_decay(x)
        if log_decay is not None:
            matrix = matrix * log_decay.exp()[..., None]
        correction = beta * (v - (k[..., None, :] @ matrix)[..., 0, :])
        matrix = torch.addcmul(matrix, k[..., None], correction[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], x), (matrix, *recent)

    def _channels_count(self) -> Any:
        """Channels X of q, k and v: 2 H K + H_v V."""
        return 2 * self.heads * self.key_width + self.value_heads * self.value_width

    def _weights(self) -> Any:
        """Elements of the matrices applied to each token."""
        return self.width * (self._channels_count() + self.value_heads + self.value_heads * self.value_width)

    def _taps(self) -> int:
        return 0 if self.conv is None else self.conv.width

    def parameters_count(self) -> Any:
        """D (2 H K + 2 H_v V + H_v) in matrices, k X in the convolution, V in the norm."""
        return self._weights() + self._taps() * self._channels_count() + self.value_width

    def _matrix_elements(self) -> Any:
        return self.value_heads * self.key_width * self.value_width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: H_v K V, and (k - 1) (2 H K + H_v V) for the convolution."""
        return self._matrix_elements() + max(self._taps() - 1, 0) * self._channels_count()

    def _token_flops(self) -> Any:
        """Of one token, without the recurrence: projections and convolution."""
        return 2 * (self._weights() + self._taps() * self._channels_count())

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolution, and the chunked delta rule of each value head."""
        rule = delta_rule_flops(t, self.chunk, self.key_width, self.value_width, self.channels)
        return batch * (t * self._token_flops() + self.value_heads * rule)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections, and the delta rule's own count."""
        rule = delta_rule_training_flops(t, self.chunk, self.key_width, self.value_width, self.channels)
        return batch * (3 * t * self._token_flops() + self.value_heads * rule)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolution, and 6 K V a head: predict, correct, read."""
        return batch * (self._token_flops() + 6 * self._matrix_elements())

    def dataflow(self) -> Dataflow:
        spans = () if self.conv is None else (Span(0, self._taps(), self._channels_count()),)
        return Dataflow(spans, self._matrix_elements())


def unit(x: Tensor) -> Tensor:
    """`x / √(‖x‖² + 10⁻⁶)` along the last axis."""
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def initial_time_steps(count: int) -> Tensor:
    """softplus⁻¹ of steps spread log-uniformly over [10⁻³, 10⁻¹] at random, `[count]` (Gu and Dao 2023)."""
    steps = torch.empty(count).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return steps + torch.log(-torch.expm1(-steps))
