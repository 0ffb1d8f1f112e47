"""Gated DeltaNet: the delta rule with a decay, so that it forgets in bulk and replaces in detail."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._delta_mixer import DeltaMixer, initial_time_steps
from recallscope.architectures.mixers._rotary import wide


class GatedDeltaNet(DeltaMixer):
    """`S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ` (Yang et al. 2024, arXiv 2412.06464).

    `α = exp(-e^{A} softplus(w_aᵀ x + b))`, a scalar per value head, with A and b learned per head. Queries are scaled
    by K^-½, and the normalised output is gated: `y = W_o (RMSNorm(S_tᵀ q_t) ⊙ SiLU(W_g x))`. The rest: see
    `DeltaMixer`. By default K = ¾ D / H and V = 2 K, which takes 6 D² weights.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        value_heads: int | None = None,
        key_width: int | None = None,
        value_width: int | None = None,
        *,
        conv_width: int | None = 4,
        negative: bool = False,
        chunk: int = 64,
    ):
        if key_width is None and 3 * width % (4 * heads):
            raise ValueError(f"heads: must divide 3/4 of the width, got width {width} and heads {heads}")
        key_width, value_heads = key_width or 3 * width // (4 * heads), value_heads or heads
        value_width = value_width or 2 * key_width
        super().__init__(width, heads, value_heads, key_width, value_width, conv_width, negative, chunk)
        self.decay = nn.Linear(width, value_heads, bias=False)
        self.decay_bias = nn.Parameter(initial_time_steps(value_heads))
        self.log_rate = nn.Parameter(torch.empty(value_heads).uniform_(1, 16).log())
        self.gate = nn.Linear(width, value_heads * value_width, bias=False)

    def _inputs(self, x: Tensor, recent: Any) -> Any:
        q, *rest = super()._inputs(x, recent)
        return q * self.key_width**-0.5, *rest

    def _log_decay(self, x: Tensor) -> Tensor:
        rate = wide(self.log_rate).exp()
        return (-rate * F.softplus(wide(self.decay(x)) + self.decay_bias))[..., None]

    def _gate(self, x: Tensor) -> Tensor:
        return F.silu(self.gate(x))

    def _weights(self) -> Any:
        return super()._weights() + self.width * self.value_heads * (self.value_width + 1)

    def parameters_count(self) -> Any:
        """D (2 H K + 3 H_v V + 2 H_v) in matrices, k X in the convolution, V + 2 H_v in the norm and the decay."""
        return super().parameters_count() + 2 * self.value_heads
