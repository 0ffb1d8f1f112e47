"""Kimi delta attention: the delta rule with a decay for each channel of the keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._delta_mixer import DeltaMixer, initial_time_steps
from recallscope.architectures.mixers._mixer import check_heads
from recallscope.architectures.mixers._rotary import wide


class KDA(DeltaMixer):
    """`S_t = (I - β_t k_t k_tᵀ) diag(α_t) S_{t-1} + β_t k_t v_tᵀ` (Kimi Team 2025).

    `α = exp(-e^{A} softplus(W₂ W₁ x + b))` per channel, A learned per head and b per channel; the output is gated:
    `y = W_o (RMSNorm(S_tᵀ q_t) ⊙ σ(W_{g2} W_{g1} x))`. Both gates pass through the width V of a head. The rest: see
    `DeltaMixer`; by default K = V = D / H.
    """

    channels = True

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        *,
        conv_width: int | None = 4,
        negative: bool = False,
        chunk: int = 32,
    ):
        if key_width is None or value_width is None:
            check_heads(width, heads)
        key_width, value_width = key_width or width // heads, value_width or width // heads
        super().__init__(width, heads, heads, key_width, value_width, conv_width, negative, chunk)
        self.decay_in = nn.Linear(width, value_width, bias=False)
        self.decay_out = nn.Linear(value_width, heads * key_width, bias=False)
        self.decay_bias = nn.Parameter(initial_time_steps(heads * key_width))
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.gate_in = nn.Linear(width, value_width, bias=False)
        self.gate_out = nn.Linear(value_width, heads * value_width, bias=False)

    def _log_decay(self, x: Tensor) -> Tensor:
        step = F.softplus(wide(self.decay_out(self.decay_in(x))) + self.decay_bias)
        return -wide(self.log_rate).exp()[:, None] * step.unflatten(-1, (self.heads, -1))

    def _gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.gate_out(self.gate_in(x)))

    def _weights(self) -> Any:
        gates = 2 * self.width + self.heads * (self.key_width + self.value_width)
        return super()._weights() + self.value_width * gates

    def parameters_count(self) -> Any:
        """D (2 H K + 2 H V + H + 2 V) + H V (K + V) in matrices, k X + V + H (K + 1) elsewhere."""
        return super().parameters_count() + self.heads * (self.key_width + 1)
