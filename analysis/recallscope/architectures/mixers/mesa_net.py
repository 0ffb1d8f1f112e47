"""MesaNet: the state reads out the least-squares regression of the values on the keys seen so far."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._conjugate_gradients import Solve
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum, padded
from recallscope.architectures.mixers._delta_mixer import DeltaMixer, initial_time_steps
from recallscope.architectures.mixers._linear import (
    carry,
    decay_ratios,
    from_chunks,
    into_chunks,
    linear_attention,
    linear_attention_flops,
)
from recallscope.architectures.mixers._mixer import State, check_heads
from recallscope.architectures.mixers._rotary import wide

RIDGE = 0.25
"""Least element of Λ: bounds the condition of the systems."""


class MesaNet(DeltaMixer):
    """`o_t = S_tᵀ (R_t + Λ)⁻¹ q_t`, `S_t = γ S_{t-1} + β k vᵀ`, `R_t = γ R_{t-1} + β k kᵀ` (von Oswald et al. 2025).

    The system is solved by a fixed number of conjugate-gradient steps from zero, for all tokens of all chunks at once:
    R_t is never formed in `prefill`, its product with a vector is linear attention with keys as values. Gradients are
    those of the exact solution, from a second solve of as many steps. Λ > ¼ is diagonal, learned per head;
    `γ = exp(-e^{A} softplus(w_γᵀ x + b))` per head. q, k, v, β, norm, other parameters: see `DeltaMixer`; no gate, and
    by default K = V = D / H. Exact, but for rounding, once `iterations` reaches K.

    Parameters
    ----------
    iterations : int
        Conjugate-gradient steps of each solve (up to 30 in the paper; 16 leave an error near 1e-3 at condition 20).
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        *,
        iterations: int = 16,
        conv_width: int | None = 4,
        chunk: int = 64,
    ):
        if key_width is None or value_width is None:
            check_heads(width, heads)
        if iterations < 1:
            raise ValueError(f"iterations: at least 1, got {iterations}")
        key_width, value_width = key_width or width // heads, value_width or width // heads
        super().__init__(width, heads, heads, key_width, value_width, conv_width, False, chunk)
        self.iterations = iterations
        self.decay = nn.Linear(width, heads, bias=False)
        self.decay_bias = nn.Parameter(initial_time_steps(heads))
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.ridge = nn.Parameter(torch.full((heads, key_width), math.log(math.expm1(1 - RIDGE))))  # Λ = 1

    def _log_decay(self, x: Tensor) -> Tensor:
        rate = wide(self.log_rate).exp()
        return (-rate * F.softplus(wide(self.decay(x)) + self.decay_bias))[..., None]

    def _diagonal(self) -> Tensor:
        """Λ, `[H, 1, K]`."""
        return (RIDGE + F.softplus(wide(self.ridge)))[:, None]

    def init_state(self, batch: int) -> State:
        """Zero R `[B, H, K, K]` before what other delta mixers keep."""
        rest = super().init_state(batch)
        return rest[0].new_zeros(batch, self.heads, self.key_width, self.key_width), *rest

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        gram, matrix, *recent = self.checked_state(state, x.shape[0])
        q, k, v, beta, recent = self._inputs(x, tuple(recent))
        log_decay = self._log_decay(x)
        with torch.autocast(x.device.type, enabled=False):
            solved, gram = self._solve_in_chunks(q, k, beta, gram, log_decay)
            o, matrix = linear_attention(solved, k, beta * v, matrix, self.chunk, log_decay)
        return self._finish(o, x), (gram, matrix, *recent)

    def _solve_in_chunks(
        self, q: Tensor, k: Tensor, beta: Tensor, gram: Tensor, log_decay: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`(R_t + Λ)⁻¹ q_t` `[B, T, H, K]`, and R after the last token."""
        time = q.shape[1]
        q, k, beta, log_decay = (into_chunks(u, min(self.chunk, time)) for u in (q, k, beta, log_decay))
        total = log_decay.cumsum(-2)  # [B, N, H, C, 1]
        weights = decay_ratios(total) * beta.transpose(-1, -2)
        left = total[..., -1:, :]
        updates = (k * beta * (left - total).exp()).transpose(-1, -2) @ k
        before, gram = carry(updates, gram, left.exp())
        solved = Solve.apply(_gram_in_chunks, self.iterations, q, self._diagonal(), k, weights, total.exp(), before)
        return from_chunks(solved, time), gram  # type: ignore[arg-type]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        gram, matrix, *recent = self.checked_state(state, x.shape[0])
        q, k, v, beta, recent = self._inputs(x, tuple(recent))
        decay, k = self._log_decay(x).exp()[..., None], k[..., None]
        gram = torch.addcmul(gram * decay, k, (beta[..., None] * k).transpose(-1, -2))
        matrix = torch.addcmul(matrix * decay, k, (beta * v)[..., None, :])
        solved = Solve.apply(_gram, self.iterations, q[..., None, :], self._diagonal(), gram)
        return self._finish((solved @ matrix)[..., 0, :], x), (gram, matrix, *recent)  # type: ignore[operator]

    def _weights(self) -> Any:
        return super()._weights() + self.width * self.heads

    def parameters_count(self) -> Any:
        """D (2 H K + 2 H V + 2 H) in matrices, k X in the convolution, V + 2 H + H K in norm, decay and Λ."""
        return super().parameters_count() + self.heads * (2 + self.key_width)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: H K (V + K), and (k - 1) (2 H K + H V) for the convolution."""
        return super().state_elements(t) + self.heads * self.key_width**2

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections; `2 K² + n (4 C K + 2 K²)` a head and token for R and the solve; linear attention."""
        chunk, key = minimum(self.chunk, t), self.key_width
        solve = padded(t, chunk) * (2 * key**2 + self.iterations * (4 * chunk * key + 2 * key**2))
        read = linear_attention_flops(t, chunk, key, self.value_width)
        return batch * (t * self._token_flops() + self.heads * (solve + read))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times all but the solve; that is n steps forward, n backward, one more product and its gradients.

        A single chunk has no gradient for the state before it, nor from the one after it.
        """
        chunk, key = minimum(self.chunk, t), self.key_width
        single = maximum(0, 2 - ceil_div(t, chunk)) * padded(t, chunk) * 6 * (key**2 + key * self.value_width)
        product = 4 * chunk * key + 2 * key**2
        backward = product + 6 * chunk * key + 4 * key**2 - self.iterations * product
        each = self.heads * (padded(t, chunk) * backward - single)
        return 3 * self.prefill_flops(t, batch) + batch * each

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, convolution, and `4 K V + 2 K² (n + 1)` a head."""
        each = 4 * self.key_width * self.value_width + 2 * self.key_width**2 * (self.iterations + 1)
        return batch * (self._token_flops() + self.heads * each)

    def dataflow(self) -> Dataflow:
        spans = () if self.conv is None else (Span(0, self._taps(), self._channels_count()),)
        return Dataflow(spans, self.heads * self.key_width * (self.key_width + self.value_width))


def _gram(x: Tensor, ridge: Tensor, gram: Tensor) -> Tensor:
    """`(R + Λ) x`, x as rows `[..., 1, K]`."""
    return x @ gram + ridge * x


def _gram_in_chunks(x: Tensor, ridge: Tensor, k: Tensor, weights: Tensor, past: Tensor, before: Tensor) -> Tensor:
    """`(R_t + Λ) x_t` of every token t of every chunk, `[..., C, K]`: its own R, from the state before the chunk."""
    return (x @ k.transpose(-1, -2) * weights) @ k + (x * past) @ before + ridge * x
