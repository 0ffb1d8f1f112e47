"""TTT-Linear: the state is a small model, trained on every mini-batch of tokens to predict values from keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class TTTLinear(Mixer):
    """TTT-Linear (Sun et al. 2024): one inner model `f(z; W) = z + LN(Wᵀ z)` per head, trained while it is used.

    `ℓ_t = ‖f(k_t; W) - v_t‖²`, `W_t = W_b - Σ_{s = b+1..t} η_s ∇ℓ_s(W_b)`, `o_t = f(q_t; W_t)`, where b is where the
    mini-batch of token t began: gradients within one are all taken at its start. `η_t = η₀ σ(w_ηᵀ x_t) / K` per head.
    LN is a layer norm over a head, with gain and bias of its own that the inner training leaves alone, like W_0.
    `∇ℓ_s = k_s e_sᵀ`, so a mini-batch that has begun is kept as its pairs (k, η e), fewer elements than a second W: 2 K
    each head and token, until they are added to W.

    Reconstruction: the paper does not fix what is around it for every backbone. Here q and k are normalised to √K,
    without rotation or convolution, and `y = W_o LN(o)`, a layer norm per head.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; K = D / H.
    batch_tokens : int
        Tokens per mini-batch b of inner training. It changes results: the gradients are as old as the mini-batch.
    rate : float
        η₀.
    """

    def __init__(self, width: int, heads: int = 4, batch_tokens: int = 16, rate: float = 1.0):
        super().__init__()
        check_heads(width, heads)
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens: at least 1 token, got {batch_tokens}")
        self.width, self.heads, self.head_width = width, heads, width // heads
        self.batch_tokens, self.rate = batch_tokens, rate
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.learning_rate = nn.Linear(width, heads)
        self.start = nn.Parameter(0.02 * torch.randn(heads, self.head_width, self.head_width))
        self.gain = nn.Parameter(torch.ones(heads, 1, self.head_width))
        self.bias = nn.Parameter(torch.zeros(heads, 1, self.head_width))
        self.norm = nn.LayerNorm(self.head_width)
        self.out = nn.Linear(width, width, bias=False)

    def _inputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`[B, T, D]` to q, k, v `[B, H, T, K]` and η `[B, H, T, 1]`."""
        q, k, v = wide(self.qkv(x)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)  # each [B, H, T, K]
        q, k = (u * (u.square().mean(-1, keepdim=True) + 1e-6).rsqrt() for u in (q, k))
        rate = self.rate / self.head_width * torch.sigmoid(wide(self.learning_rate(x)))
        return q, k, v, rate.transpose(1, 2)[..., None]

    def _model(self, z: Tensor, hidden: Tensor) -> Tensor:
        """f, from z and `Wᵀ z`."""
        return z + standardise(hidden)[0] * self.gain + self.bias

    def _error(self, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
        """e, the gradient of ℓ at `hidden = Wᵀ k`: through the layer norm."""
        normed, deviation = standardise(hidden)
        grad = 2 * (k + normed * self.gain + self.bias - v) * self.gain
        along = (grad * normed).mean(-1, keepdim=True)
        return (grad - grad.mean(-1, keepdim=True) - along * normed) / deviation

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        o = F.layer_norm(o, o.shape[-1:], wide(self.norm.weight), wide(self.norm.bias), self.norm.eps)
        return self.out(o.transpose(1, 2).flatten(-2).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """W_0 `[B, H, K, K]`, and the pairs of the mini-batch that has begun, none: `[B, 0, H, 2 K]`."""
        matrix = wide(self.start).expand(batch, -1, -1, -1)
        return matrix, matrix.new_zeros(batch, 0, self.heads, 2 * self.head_width)

    def _checked(self, state: State | None, batch: int) -> State:
        matrix, pairs = self.checked_state(state, batch)
        if pairs.shape[1] >= self.batch_tokens:
            raise ValueError(f"state: pairs of less than {self.batch_tokens} tokens, got {pairs.shape[1]}")
        return matrix, pairs

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, pairs = self._checked(state, x.shape[0])
        inputs = self._inputs(x)
        old, errors = pairs.transpose(1, 2).chunk(2, -1)  # [B, H, m, K]
        outputs, begin, time = [], 0, x.shape[1]
        with torch.autocast(x.device.type, enabled=False):
            while begin < time:  # one mini-batch, or what is left of it
                end = min(time, begin + self.batch_tokens - old.shape[2])
                q, k, v, rate = (u[:, :, begin:end] for u in inputs)
                error = rate * self._error(k, v, k @ matrix)
                old, errors = torch.cat([old, k], 2), torch.cat([errors, error], 2)
                scores = (q @ old.transpose(-1, -2)).tril(old.shape[2] - k.shape[2])
                outputs.append(self._model(q, q @ matrix - scores @ errors))
                if old.shape[2] == self.batch_tokens:
                    matrix = matrix - old.transpose(-1, -2) @ errors
                    old, errors = old[:, :, :0], errors[:, :, :0]
                begin = end
            pairs = torch.cat([old, errors], -1).transpose(1, 2)
        return self._finish(torch.cat(outputs, 2), x), (matrix, pairs)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, pairs = self._checked(state, x.shape[0])
        q, k, v, rate = self._inputs(x[:, None])
        error = rate * self._error(k, v, k @ matrix)
        pairs = torch.cat([pairs, torch.cat([k, error], -1).transpose(1, 2)], 1)
        keys, errors = pairs.transpose(1, 2).chunk(2, -1)
        current = matrix - keys.transpose(-1, -2) @ errors
        y = self._finish(self._model(q, q @ current), x[:, None])[:, 0]
        return y, (current, pairs[:, :0]) if pairs.shape[1] == self.batch_tokens else (matrix, pairs)

    def _weights(self) -> Any:
        return 4 * self.width**2 + self.width * self.heads

    def _matrix_elements(self) -> Any:
        return self.width * self.head_width

    def parameters_count(self) -> Any:
        """4 D² + D (H + K + 2) + H + 2 K: projections, rates, W_0 and norms."""
        return self._weights() + self._matrix_elements() + 2 * self.width + self.heads + 2 * self.head_width

    def state_elements(self, t: Any) -> Any:
        """H K² and, of the mini-batch that has begun, H 2 K (t mod b)."""
        return self._matrix_elements() + 2 * self.width * (t % self.batch_tokens)

    def write_elements(self, t: Any) -> Any:
        """A pair, 2 H K, or W when `t` ends a mini-batch."""
        ends = 1 + t // self.batch_tokens - ceil_div(t, self.batch_tokens)
        return 2 * self.width * (1 - ends) + self._matrix_elements() * ends

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections; a head and token, 4 K² for `Wᵀ k` and `Wᵀ q`, 4 m K in a mini-batch of m, 2 K² to end it."""
        b, width = self.batch_tokens, self.width
        whole, rest = t // b, t % b
        inside = 4 * width * (whole * b**2 + rest**2)
        return batch * (t * (2 * self._weights() + 4 * self._matrix_elements()) + inside + whole * self._end_flops())

    def _end_flops(self) -> Any:
        """Of the update that ends a mini-batch."""
        return 2 * self.batch_tokens * self._matrix_elements()

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times that, but nothing comes back from a W that no token has used."""
        unused = 1 + t // self.batch_tokens - ceil_div(t, self.batch_tokens)
        return 3 * self.prefill_flops(t, batch) - 2 * batch * unused * self._end_flops()

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and `4 K² + 2 m K²` a head for the m-th token of a mini-batch."""
        m = (t - 1) % self.batch_tokens + 1
        return batch * (2 * self._weights() + (4 + 2 * m) * self._matrix_elements())

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.batch_tokens, 2 * self.width),), self._matrix_elements())


def standardise(x: Tensor) -> tuple[Tensor, Tensor]:
    """`(x - mean) / deviation` along the last axis, and the deviation `√(variance + 10⁻⁶)`."""
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return centred / deviation, deviation
