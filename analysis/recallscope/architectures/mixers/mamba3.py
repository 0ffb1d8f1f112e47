"""Mamba-3: a state with scalar decay, written by the trapezoidal rule, whose keys and queries rotate as it runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._delta_mixer import initial_time_steps
from recallscope.architectures.mixers._linear import carry, from_chunks, into_chunks
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class Mamba3(Mixer):
    """Mamba-3 (ICLR 2026), without a convolution; `y = W_out ((o + D ⊙ x) ⊙ SiLU(z))`, and per head

    `S_t = a_t S_{t-1} + (1 - λ_t) Δ_t a_t B_{t-1} x_{t-1}ᵀ + λ_t Δ_t B_t x_tᵀ`, `o_t = S_tᵀ C_t`.

    `[z, x, B, C, δ, α, τ, ω] = W_in u`; `Δ = softplus(δ + b)`, `a = exp(-Δ softplus(α))` and `λ = σ(τ)` are one number
    a head; λ = 1 is Mamba-2's input. B and C, the same for all heads, are normed, get a bias of each head, and are then
    turned on half of their N channels by the angles `ϑ_t = ϑ_{t-1} + Δ_t ω_t`, as a state with complex decays would be.

    With rank R > 1 (the paper's MIMO), B and C are N × R and `B_t x_tᵀ` is `Σ_r B_r (x ⊙ m_r)ᵀ`, `o = Σ_r n_r ⊙ SᵀC_r`,
    m and n learned for each head: R times the products on the same state.

    `prefill` has one key a token: `B_s x_sᵀ` weighs `λ_s Δ_s + (1 - λ_{s+1}) Δ_{s+1}` for later tokens, `λ_s Δ_s` for
    its own. Reconstruction: which channels pair up, `(j, j + N/4)` of the first half, and where
    m and n enter. Public ports differ in the maps of α and ω.

    Parameters
    ----------
    width : int
        Model width D.
    expand, head_width : int
        Inner width I as a multiple of the model width; width P of its H = I / P heads.
    state_size : int
        Size N of the state of a channel, a multiple of 4.
    rank : int
        Rank R of what a token writes and reads; 1: SISO.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    shift = True  # what B_s writes weighs (1 - λ_{s+1}) Δ_{s+1}: a number a head that the next token sets

    def __init__(
        self, width: int, expand: int = 2, head_width: int = 64, state_size: int = 128, rank: int = 1, chunk: int = 64
    ):
        super().__init__()
        self.width, self.inner = width, expand * width
        if self.inner % head_width:
            raise ValueError(f"head_width: must divide the inner width {self.inner}, got {head_width}")
        if state_size < 4 or state_size % 4:
            raise ValueError(f"state_size: a multiple of 4, got {state_size}")
        if rank < 1:
            raise ValueError(f"rank: at least 1, got {rank}")
        self.heads, self.head_width, self.state_size = self.inner // head_width, head_width, state_size
        self.rank, self.many, self.angles, self.chunk = rank, rank > 1, state_size // 4, chunk
        self.input = nn.Linear(width, sum(self._sizes()), bias=False)
        self.step_bias = nn.Parameter(initial_time_steps(self.heads))
        self.b_norm, self.c_norm = nn.RMSNorm(state_size, eps=1e-5), nn.RMSNorm(state_size, eps=1e-5)
        self.b_bias, self.c_bias = (nn.Parameter(torch.ones(rank, self.heads, state_size)) for _ in range(2))
        if self.many:
            self.spread = nn.Parameter(torch.full((rank, self.heads, head_width), 1 / rank))
            self.gather = nn.Parameter(torch.ones(rank, self.heads, head_width))
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.out = nn.Linear(self.inner, width, bias=False)

    def _sizes(self) -> list[int]:
        """Of z, x, B, C, δ, α, τ and ω."""
        shared = self.rank * self.state_size
        return [self.inner, self.inner, shared, shared, self.heads, self.heads, self.heads, self.angles]

    def _parts(self, u: Tensor) -> tuple[Tensor, ...]:
        """z `[..., I]`, x `[..., H, P]`, B and C `[..., R, H, N]`, ln a, `(1 - λ) Δ`, `λ Δ` `[..., H, 1]`, `Δ ω`."""
        z, *rest = self.input(u).split(self._sizes(), -1)
        x, b, c, step, rate, mix, turn = (wide(one) for one in rest)
        b = self.b_norm(b.unflatten(-1, (self.rank, -1)))[..., None, :] + self.b_bias
        c = self.c_norm(c.unflatten(-1, (self.rank, -1)))[..., None, :] + self.c_bias
        step = F.softplus(step + self.step_bias)[..., None]
        now = torch.sigmoid(mix)[..., None] * step
        log_decay = -step * F.softplus(rate)[..., None]
        return z, x.unflatten(-1, (self.heads, -1)), b, c, log_decay, step - now, now, step * turn[..., None, :]

    def _turn(self, u: Tensor, angle: Tensor) -> Tensor:
        """`[..., R, H, N]` by `[..., H, N/4]`."""
        a, b, rest = u.split([self.angles, self.angles, 2 * self.angles], -1)
        cos, sin = angle.cos()[..., None, :, :], angle.sin()[..., None, :, :]
        return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)

    def _values(self, x: Tensor) -> Tensor:
        """`[..., H, P] -> [..., R, H, P]`."""
        x = x[..., None, :, :]
        return x * wide(self.spread) if self.many else x

    def _finish(self, o: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """From o `[..., R, H, P]`."""
        o = (o * self.gather).sum(-3) if self.many else o.squeeze(-3)
        return self.out(((o + self.skip[:, None] * x).flatten(-2) * F.silu(wide(z))).to(z.dtype))

    def init_state(self, batch: int) -> State:
        """Zeros: matrix `[B, H, N, P]`, turned B `[B, R, H, N]` and x `[B, H, P]` of the last token, angles."""
        weight, h, n = wide(self.out.weight), self.heads, self.state_size
        shapes = (h, n, self.head_width), (self.rank, h, n), (h, self.head_width), (h, self.angles)
        return tuple(weight.new_zeros(batch, *shape) for shape in shapes)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, last_b, last_x, angle = self.checked_state(state, x.shape[0])
        z, u, b, c, log_decay, before, now, turn = self._parts(x)
        with torch.autocast(x.device.type, enabled=False):
            angle = angle[:, None] + turn.cumsum(1)
            b, c, v = self._turn(b, angle), self._turn(c, angle), self._values(u)
            if state is not None:  # what the last token still has to write
                late = before[:, :1] * self._values(last_x)
                matrix = matrix + last_b.permute(0, 2, 3, 1) @ late.transpose(1, 2)
            later = now + F.pad(before[:, 1:], (0, 0, 0, 0, 0, 1))
            o, matrix = _two_weights(c, b, v, matrix, log_decay, now, later, self.chunk)
        return self._finish(o, u, z), (matrix, b[:, -1], u[:, -1], _wrapped(angle[:, -1]))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, last_b, last_x, angle = self.checked_state(state, x.shape[0])
        z, u, b, c, log_decay, before, now, turn = self._parts(x)
        decay, angle = log_decay.exp(), _wrapped(angle + turn)
        b, c = self._turn(b, angle), self._turn(c, angle)
        matrix = matrix * decay[..., None]
        for key, value in ((last_b, before * decay * last_x), (b, now * u)):
            for one, v in zip(key.unbind(1), self._values(value).unbind(1), strict=True):
                matrix = torch.addcmul(matrix, one[..., None], v[..., None, :])
        o = (c[..., None, :] @ matrix[:, None])[..., 0, :]
        return self._finish(o, u, z), (matrix, b, u, angle)

    def _weights(self) -> Any:
        return self.width * (sum(self._sizes()) + self.inner)

    def parameters_count(self) -> Any:
        """D (3 I + 2 R N + 3 H + N/4) in matrices; gains 2 N, biases 2 R H N, two numbers a head; 2 R I if R > 1."""
        vectors = 2 * self.state_size + 2 * self.rank * self.heads * self.state_size + 2 * self.heads
        return self._weights() + vectors + self.many * 2 * self.rank * self.heads * self.head_width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: I N + H (R N + P + N/4)."""
        last = self.rank * self.state_size + self.head_width
        return self.inner * self.state_size + self.heads * (last + self.angles)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 R I N + 2 C R² (H N + I) for each token of the whole chunks."""
        pairs = 2 * minimum(self.chunk, t) * self.rank**2 * (self.heads * self.state_size + self.inner)
        each = 4 * self.rank * self.inner * self.state_size + pairs
        return batch * (2 * t * self._weights() + padded(t, self.chunk) * each)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 6 R I N: two taps to write, one read."""
        return batch * (2 * self._weights() + 6 * self.rank * self.inner * self.state_size)

    def dataflow(self) -> Dataflow:
        last = self.heads * (self.rank * self.state_size + self.head_width)
        return Dataflow((Span(0, 2, last),), self.state_elements(1) - last)


def _wrapped(angle: Tensor) -> Tensor:
    """In [0, 2π): precision does not fall with length."""
    return torch.remainder(angle, 2 * torch.pi)


def _two_weights(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, log_decay: Tensor, own: Tensor, later: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Linear attention whose keys weigh `own` for their token's queries and `later` for all that follow, and in states.

    q, k `[B, T, R, H, N]`, v `[B, T, R, H, P]`, state `[B, H, N, P]`, log decay and weights `[B, T, H, 1]`; returns
    `[B, T, R, H, P]` and the state after the last token.
    """
    time, rank = q.shape[1:3]
    chunk = min(chunk, time)
    q, k, v = (into_chunks(u.flatten(1, 2), chunk * rank) for u in (q, k, v))  # rows: the ranks of a token in turn
    log_decay, own, later = (into_chunks(u, chunk) for u in (log_decay, own, later))
    total = log_decay.cumsum(-2)  # [B, n, H, C, 1]
    earlier = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).tril(-1)
    weight = (total - total.transpose(-1, -2)).masked_fill(~earlier, -torch.inf).exp() * later.transpose(-1, -2)
    weight = weight + torch.diag_embed(own[..., 0])
    start, end = total.exp(), (total[..., -1:, :] - total).exp() * later
    if rank > 1:
        weight, start, end = (u.repeat_interleave(rank, -2) for u in (weight, start, end))
        weight = weight.repeat_interleave(rank, -1)
    inside = ((q @ k.transpose(-1, -2)) * weight) @ v
    before, state = carry(k.transpose(-1, -2) @ (v * end), state, total[..., -1:, :].exp())
    return from_chunks(inside + (q @ before) * start, time * rank).unflatten(1, (time, rank)), state
