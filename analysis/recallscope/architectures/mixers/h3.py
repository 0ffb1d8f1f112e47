"""H3: a shift, a product, and a diagonal state-space model: the recall circuit that gated convolutions came from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import ceil_div, minimum, padded
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._short_convolution import ShortConvolution


class H3(Mixer):
    """`y = W_out (q ⊙ SSM_diag(SSM_shift(k) ⊙ v))` (Fu, Dao et al. 2022, arXiv 2212.14052, Section 3).

    Heads have one channel; wider ones, left out, multiply the state by their width with their products k vᵀ.

    The shift model is a filter of `taps` learned taps a channel. The diagonal one (S4D, Gu et al. 2022, arXiv
    2206.11893) has N / 2 complex states a channel, with rates `A = -e^a + iω`, input 1 and a step Δ of its own:

    `h_t = λ ⊙ h_{t-1} + (λ - 1) / A ⊙ u_t`, `λ = e^{ΔA}`, `y_t = 2 Re(c · h_t) + d u_t`.

    The parallel form materialises the filter `2 Re(c · λ^j (λ - 1) / A)` for the taps of one chunk, and passes the
    state on between chunks. At first ω = 0, π, 2π, ..., -Re A = 1/2, and Δ is spread over 0.001 to 0.1.

    Parameters
    ----------
    width : int
        Model width D.
    state_size : int
        Real numbers N of the diagonal state a channel, even.
    taps : int
        Taps of the shift model; the paper has as many as N.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(self, width: int, state_size: int = 64, taps: int = 4, chunk: int = 64):
        super().__init__()
        if state_size < 2 or state_size % 2:
            raise ValueError(f"state_size: even, at least 2, got {state_size}")
        if taps < 1:
            raise ValueError(f"taps: at least 1, got {taps}")
        if chunk < 1:
            raise ValueError(f"chunk: at least 1 token, got {chunk}")
        self.width, self.state_size, self.taps, self.chunk = width, state_size, taps, chunk
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.key_filter = ShortConvolution(width, taps, bias=False)
        pairs = state_size // 2
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)))
        self.filter_log_rate = nn.Parameter(torch.full((width, pairs), math.log(0.5)))
        self.filter_frequency = nn.Parameter(math.pi * torch.arange(pairs).float().repeat(width, 1))
        self.filter_readout = nn.Parameter(torch.randn(width, pairs, 2) * math.sqrt(0.5))
        self.skip = nn.Parameter(torch.ones(width))
        self.out = nn.Linear(width, width, bias=False)

    @property
    def shift(self) -> bool:  # type: ignore[override]
        return self.taps > 1

    def _system(self) -> tuple[Tensor, Tensor, Tensor]:
        """ln λ, the input's factor (λ - 1) / A and the readout 2 c: complex, `[D, N/2]`."""
        rate, frequency = -wide(self.filter_log_rate).exp(), wide(self.filter_frequency)
        a = torch.complex(rate, frequency)
        log_decay = a * wide(self.log_step).exp()[:, None]
        return log_decay, _exp_minus_one(log_decay) / a, 2 * torch.view_as_complex(wide(self.filter_readout))

    def init_state(self, batch: int) -> State:
        """The last `taps` - 1 keys `[B, taps - 1, D]`; zero states `[B, D, N]`, Re and Im in turn, float32 at least."""
        return self.key_filter.init_state(batch), wide(self.skip).new_zeros(batch, self.width, self.state_size)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        recent, matrix = self.checked_state(state, x.shape[0])
        q, k, v = self.qkv(x).chunk(3, -1)
        k, recent = self.key_filter.prefill(k, recent)
        with torch.autocast(x.device.type, enabled=False):
            u = wide(k * v)
            mixed, matrix = self._scan(u, matrix)
            y = wide(q) * (mixed + wide(self.skip) * u)
        return self.out(y.to(x.dtype)), (recent, matrix)

    def _scan(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`2 Re(c · h_t)` of `u` `[B, T, D]`, and the last state; matrices `[C, C]`, `[N, C]`, `[C, N]` a channel."""
        batch, time = u.shape[:2]
        size = min(self.chunk, time)
        chunks = -(-time // size)
        log_decay, inject, readout = self._system()
        powers = (log_decay[..., None] * torch.arange(size + 1, device=u.device)).exp()  # λ^j, [D, N/2, C + 1]
        write = _real(inject[..., None] * powers[..., :size].flip(-1))  # what h at the chunk's end holds of u_j
        read = _real((readout[..., None] * powers[..., 1:]).conj())  # Re(c h) = Re c Re h - Im c Im h
        taps = (_real((readout * inject)[..., None] * powers[..., :size]))[:, ::2].sum(1)  # [D, C]
        distance = torch.arange(size, device=u.device)[:, None] - torch.arange(size, device=u.device)
        within = taps[:, distance.clamp(min=0)].tril()  # [D, C, C]

        u = nn.functional.pad(u, (0, 0, 0, chunks * size - time)).unflatten(1, (chunks, size)).permute(3, 2, 1, 0)
        last = time - (chunks - 1) * size  # tokens of the last chunk
        updates = (write @ u[:, :, :-1].flatten(2)).unflatten(-1, (chunks - 1, batch))  # [D, N, n - 1, B]
        final = write[..., size - last :] @ u[:, :last, -1]  # [D, N, B]
        before = [state.permute(1, 2, 0)]
        for n in range(chunks - 1):
            before.append(_times(powers[..., size], before[-1]) + updates[:, :, n])
        state = _times(powers[..., last], before[-1]) + final
        y = within @ u.flatten(2) + read.transpose(1, 2) @ torch.stack(before, 2).flatten(2)
        y = y.unflatten(-1, (chunks, batch)).permute(3, 2, 1, 0).flatten(1, 2)[:, :time]
        return y, state.permute(2, 0, 1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        recent, matrix = self.checked_state(state, x.shape[0])
        q, k, v = self.qkv(x).chunk(3, -1)
        k, recent = self.key_filter.step(k, recent)
        log_decay, inject, readout = self._system()
        u = wide(k * v)
        kept = log_decay.exp() * torch.view_as_complex(matrix.unflatten(-1, (-1, 2)).contiguous())
        matrix = torch.addcmul(torch.view_as_real(kept), u[..., None, None], torch.view_as_real(inject)).flatten(-2)
        read = torch.view_as_real(readout.conj().resolve_conj()).flatten(-2)  # [D, N]
        mixed = (read[None, :, None] @ matrix[..., None])[..., 0, 0]
        return self.out((wide(q) * (mixed + wide(self.skip) * u)).to(x.dtype)), (recent, matrix)

    def parameters_count(self) -> Any:
        """4 D², D `taps`, and of the diagonal models 2 N + 2 a channel."""
        return 4 * self.width**2 + self.key_filter.parameters_count() + (2 * self.state_size + 2) * self.width

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: D (N + `taps` - 1)."""
        return self.width * self.state_size + self.key_filter.state_elements()

    def write_elements(self, t: Any) -> Any:
        """The diagonal state, and one key: D (N + 1)."""
        return self.width * (self.state_size + min(self.taps - 1, 1))

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D², shift 2 `taps` D, write 2 N D a token; of whole chunks, within 2 C D and read 2 N D."""
        size = minimum(self.chunk, t)
        chunks = padded(t, self.chunk) * 2 * self.width * (size + self.state_size)
        return batch * (t * (8 * self.width**2 + self.key_filter.flops() + 2 * self.width * self.state_size) + chunks)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products, but once the last chunk's write, which no output reads.

        And twice the read of a single chunk: the zero state before it needs no gradient.
        """
        size, chunks = minimum(self.chunk, t), ceil_div(t, self.chunk)
        last = t - (chunks - 1) * self.chunk
        less = 4 * last + 2 * size * (1 - minimum(chunks - 1, 1))
        return 3 * self.prefill_flops(t, batch) - batch * less * self.width * self.state_size

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections 8 D², shift 2 `taps` D, state 4 N D: add to it, read it."""
        return batch * (8 * self.width**2 + self.key_filter.flops() + 4 * self.width * self.state_size)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.taps, self.width),), self.width * self.state_size)


def _exp_minus_one(z: Tensor) -> Tensor:
    """`e^z - 1` without cancellation at small z, where slow channels live."""
    re = torch.expm1(z.real) * z.imag.cos() - 2 * (z.imag / 2).sin().square()
    return torch.complex(re, z.real.exp() * z.imag.sin())


def _real(z: Tensor) -> Tensor:
    """Complex `[D, N/2, C]` to real `[D, N, C]`, Re and Im in turn."""
    return torch.view_as_real(z.resolve_conj()).permute(0, 1, 3, 2).flatten(1, 2)


def _times(decay: Tensor, state: Tensor) -> Tensor:
    """λ h, complex λ `[D, N/2]` and h `[D, N, B]`, Re and Im in turn."""
    re, im = state.unflatten(1, (-1, 2)).unbind(2)
    a, b = decay.real[..., None], decay.imag[..., None]
    return torch.stack([a * re - b * im, a * im + b * re], 2).flatten(1, 2)
