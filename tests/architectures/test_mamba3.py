"""Mamba-3 against a state with complex decays, token by token, and known special cases."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.mixers import Mamba3
from torch.nn import functional as F

WIDTH = 32


def make(mixer: Mamba3) -> Mamba3:
    generator = torch.Generator().manual_seed(3)
    for parameter in mixer.parameters():  # gains and biases too, where they would not show
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int) -> torch.Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def normed(u: torch.Tensor, norm: torch.nn.RMSNorm) -> torch.Tensor:
    return u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight


def projected(mixer: Mamba3, u: torch.Tensor) -> list[torch.Tensor]:
    """z, x, B, C, δ, α, τ, ω."""
    inner, size, heads, rank = mixer.inner, mixer.state_size, mixer.heads, mixer.rank
    widths = [inner, inner, rank * size, rank * size, heads, heads, heads, size // 4]
    z, x, b, c, *rest = (u @ mixer.input.weight.T).split(widths, -1)
    b, c = normed(b.unflatten(-1, (rank, size)), mixer.b_norm), normed(c.unflatten(-1, (rank, size)), mixer.c_norm)
    return [z, x.unflatten(-1, (heads, -1)), b, c, *rest]


def complex_channels(u: torch.Tensor) -> torch.Tensor:
    """`[..., N]`: N/4 complex channels from the first half, then the other half as it is."""
    quarter = u.shape[-1] // 4
    turning = torch.complex(u[..., :quarter], u[..., quarter : 2 * quarter])
    return torch.cat([turning, u[..., 2 * quarter :].to(turning.dtype)], -1)


def complex_reference(mixer: Mamba3, u: torch.Tensor) -> torch.Tensor:
    """`h_t = a_t e^{-iΔω} (h_{t-1} + (1 - λ) Δ B_{t-1} x_{t-1}) + λ Δ B_t x_t`, `o = Re(conj(C) h)`; loops over all."""
    z, x, b, c, delta, alpha, tau, omega = projected(mixer, u)
    step, mix = F.softplus(delta + mixer.step_bias), torch.sigmoid(tau)
    decay = torch.exp(-step * F.softplus(alpha))
    outputs = torch.zeros(*u.shape[:2], mixer.heads, mixer.head_width, dtype=torch.float64)
    for batch in range(u.shape[0]):
        for h in range(mixer.heads):
            state = torch.zeros(3 * mixer.state_size // 4, mixer.head_width, dtype=torch.complex128)
            last = torch.zeros_like(state)
            for t in range(u.shape[1]):
                turn = torch.polar(torch.ones(len(omega[0, 0])).double(), -step[batch, t, h] * omega[batch, t])
                factor = decay[batch, t, h] * torch.cat([turn, torch.ones(mixer.state_size // 2)])
                new = torch.zeros_like(state)
                for r in range(mixer.rank):
                    value = x[batch, t, h] * (mixer.spread[r, h] if mixer.rank > 1 else 1)
                    new += torch.outer(complex_channels(b[batch, t, r] + mixer.b_bias[r, h]), value.to(state.dtype))
                weight = step[batch, t, h] * mix[batch, t, h]
                state = factor[:, None] * (state + (step[batch, t, h] - weight) * last) + weight * new
                last = new
                for r in range(mixer.rank):
                    query = complex_channels(c[batch, t, r] + mixer.c_bias[r, h])
                    read = (query.conj() @ state).real
                    outputs[batch, t, h] += read * (mixer.gather[r, h] if mixer.rank > 1 else 1)
    y = (outputs + mixer.skip[:, None] * x).flatten(2) * F.silu(z)
    return y @ mixer.out.weight.T


@pytest.mark.parametrize(
    "shape",
    [
        {"head_width": 16, "state_size": 8, "chunk": 5},
        {"expand": 1, "head_width": 8, "state_size": 12, "rank": 3, "chunk": 4},
    ],
)
def test_mamba3_against_a_state_with_complex_decays(shape):
    mixer, x = make(Mamba3(WIDTH, **shape)), inputs(13)
    with torch.no_grad():
        torch.testing.assert_close(mixer(x), complex_reference(mixer, x), rtol=0, atol=1e-10)


def set_rows(mixer: Mamba3, which: int, value: float) -> None:
    """The projection to the part number `which` (in the order z, x, B, C, δ, α, τ, ω) gives `value · u_0`."""
    start = sum(mixer._sizes()[:which])
    rows = mixer.input.weight.data[start : start + mixer._sizes()[which]]
    rows.zero_()
    rows[:, 0] = value


def test_one_tap_without_rotation_is_a_sum_over_pairs():
    """λ = 1 and ω = 0: Mamba-2's recurrence."""
    mixer, x = make(Mamba3(WIDTH, head_width=16, state_size=8, chunk=4)), inputs(11)
    x[..., 0] = 1.0
    set_rows(mixer, 6, 60.0)
    set_rows(mixer, 7, 0.0)
    with torch.no_grad():
        z, v, b, c, delta, alpha, _, _ = projected(mixer, x)
        step = F.softplus(delta + mixer.step_bias)
        total = (-step * F.softplus(alpha)).cumsum(1)
        b, c = b + mixer.b_bias[0], c + mixer.c_bias[0]  # [B, T, H, N]
        weight = torch.exp(total[:, :, None] - total[:, None]) * step[:, None]  # [B, t, s, H]
        weight = weight * torch.einsum("bthn,bshn->btsh", c, b) * torch.ones(11, 11).tril()[..., None]
        o = torch.einsum("btsh,bshp->bthp", weight, v)
        want = ((o + mixer.skip[:, None] * v).flatten(2) * F.silu(z)) @ mixer.out.weight.T
        torch.testing.assert_close(mixer(x), want, rtol=0, atol=1e-10)


def test_what_is_bound_to_a_key_depends_on_the_next_token():
    """A change of λ_{s+1} alone moves later outputs by a multiple of `(C·B_s) x_s`, the key before it."""
    mixer, x = make(Mamba3(WIDTH, expand=1, head_width=32, state_size=8)), inputs(6)
    set_rows(mixer, 6, 0.0)
    column = 5
    mixer.input.weight.data[:, column] = 0  # the input's channel 5 is read by λ alone
    start = sum(mixer._sizes()[:6])
    mixer.input.weight.data[start : start + mixer.heads, column] = 1.0
    changed = x.clone()
    changed[:, 3, column] += 1.0
    with torch.no_grad():
        _, (before, *_) = mixer.prefill(x[:, :4])
        _, (after, *_) = mixer.prefill(changed[:, :4])
        _, (_, b2, x2, _) = mixer.prefill(x[:, :3])
        _, (_, b3, x3, _) = mixer.prefill(x[:, :4])
        keys = torch.stack([b2[:, 0, 0], b3[:, 0, 0]], -1)
        values = torch.stack([x2[:, 0], x3[:, 0]], -2)
        moved = (after - before)[:, 0]
        scale = torch.linalg.lstsq(keys, moved).solution @ torch.linalg.pinv(values)
    torch.testing.assert_close(keys @ scale @ values, moved, rtol=0, atol=1e-10)
    diagonal = scale.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(scale, torch.diag_embed(diagonal), rtol=0, atol=1e-10)
    assert (diagonal[:, 0] < -1e-5).all() and (diagonal[:, 1] > 1e-5).all()


def test_angles_stay_small():
    mixer, x = make(Mamba3(WIDTH, head_width=16, state_size=8)), 30 * inputs(300)
    with torch.no_grad():
        whole, (*_, angle) = mixer.prefill(x)
        _, state = mixer.prefill(x[:, :250])
        rest, _ = mixer.prefill(x[:, 250:], state)
    assert (angle >= 0).all() and (angle < 2 * math.pi).all()
    torch.testing.assert_close(rest, whole[:, 250:], rtol=0, atol=1e-10 * whole.abs().max().item())


def test_strong_decay_underflows():
    mixer = Mamba3(WIDTH, head_width=16, state_size=8)
    x = torch.randn(2, 200, WIDTH, generator=torch.Generator().manual_seed(0))
    x[..., 0] = 1.0
    set_rows(mixer, 5, 1e6)
    y = mixer(x.requires_grad_())
    y.square().sum().backward()
    assert y.isfinite().all() and x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("t", [4096, 131072])
def test_state_size_at_full_shape(t):
    with torch.device("meta"):
        mixer, many = Mamba3(2048), Mamba3(2048, rank=4)
    assert mixer.state_elements(t) == 538_624
    assert many.state_elements(t) == 538_624 + 3 * 64 * 128
    assert many.decode_flops(t) - 2 * many._weights() == 4 * (mixer.decode_flops(t) - 2 * mixer._weights())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"head_width": 48}, "head_width: must divide the inner width 64, got 48"),
        ({"head_width": 16, "state_size": 6}, "state_size: a multiple of 4, got 6"),
        ({"head_width": 16, "rank": 0}, "rank: at least 1, got 0"),
    ],
)
def test_bad_shapes(options, message):
    with pytest.raises(ValueError, match=message):
        Mamba3(WIDTH, **options)
