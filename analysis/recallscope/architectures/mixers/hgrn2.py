"""HGRN2: gated linear attention whose key is what the decay leaves free."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._channel_decay import (
    channel_decay_attention,
    channel_decay_flops,
    checked_chunk,
)
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class HGRN2(Mixer):
    """Gated linear RNN with state expansion (Qin et al. 2024): `S_t = diag(f_t) S_{t-1} + (1 - f_t) v_tᵀ`.

    `f = β + (1 - β) σ(W_f x)`, `o_t = S_tᵀ SiLU(W_q x_t)`, `y = W_o RMSNorm(o)`. Forgetting and writing are tied: a
    channel takes up as much of the new value as it drops of the old ones. In the paper β rises with depth, from a table
    that all layers share and learn; a mixer stands alone, so here β is a constant.

    Parameters
    ----------
    width : int
        Model width D.
    state_size : int or None
        Rows N of a head's state, which is also its width, a divisor of D; None: 128, or D if that is less.
    lower_bound : float
        β, the least decay, from 0 to less than 1.
    chunk : int
        Tokens per chunk of the parallel form, a power of two; changes speed, not results.
    """

    def __init__(self, width: int, state_size: int | None = None, lower_bound: float = 0.0, chunk: int = 64):
        super().__init__()
        self.width, self.chunk, self.lower_bound = width, checked_chunk(chunk), lower_bound
        self.state_size = min(128, width) if state_size is None else state_size
        if width % self.state_size:
            raise ValueError(f"state_size: must divide the width, got width {width} and state_size {self.state_size}")
        if not 0 <= lower_bound < 1:
            raise ValueError(f"lower_bound: from 0 to less than 1, got {lower_bound}")
        self.heads = width // self.state_size
        self.qfv = nn.Linear(width, 3 * width, bias=False)
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q, k = 1 - f, v and ln f, each `[..., H, N]`."""
        q, f, v = wide(self.qfv(x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        log_decay = F.logsigmoid(f)
        if self.lower_bound:
            rest = log_decay + math.log1p(-self.lower_bound)
            log_decay = torch.logaddexp(rest, torch.full_like(rest, math.log(self.lower_bound)))
        return F.silu(q), (1 - self.lower_bound) * torch.sigmoid(-f), v, log_decay

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        return self.out(self.norm(o.flatten(-2).to(self.norm.weight.dtype)).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """Zero matrices `[B, H, N, N]`, float32 at least."""
        return (wide(self.out.weight).new_zeros(batch, self.heads, self.state_size, self.state_size),)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        (matrix,) = self.checked_state(state, x.shape[0])
        q, k, v, log_decay = self._project(x)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = channel_decay_attention(q, k, v, matrix, log_decay, self.chunk)
        return self._finish(o, x), (matrix,)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (matrix,) = self.checked_state(state, x.shape[0])
        q, f, v = wide(self.qfv(x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        f = self.lower_bound + (1 - self.lower_bound) * torch.sigmoid(f)
        matrix = torch.addcmul(matrix * f[..., None], (1 - f)[..., None], v[..., None, :])
        return self._finish((F.silu(q)[..., None, :] @ matrix)[..., 0, :], x), (matrix,)

    def parameters_count(self) -> Any:
        """4 D² + D."""
        return 4 * self.width**2 + self.width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: D N."""
        return self.width * self.state_size

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D² a token, and linear attention."""
        attention = channel_decay_flops(t, self.chunk, self.state_size, self.state_size)
        return batch * (8 * t * self.width**2 + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D², and 4 D N: add to the state, read it."""
        return batch * (8 * self.width**2 + 4 * self.state_elements(t))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
