"""Mixers with decays: their shared algorithms, and each against sums over pairs of tokens, as the papers write them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import GLA, HGRN2, RGLRU, RWKV4, RWKV6, Mamba, Mamba2
from recallscope.architectures.mixers._channel_decay import channel_decay_attention, channel_decay_scores
from recallscope.architectures.mixers._linear import linear_attention
from recallscope.architectures.mixers._scan import scan, scan_, scan_flops
from recallscope.architectures.mixers._selective_scan import selective_scan
from recallscope.architectures.mixers._short_convolution import ShortConvolution
from torch.nn import functional as F

WIDTH, LENGTHS = 32, (1, 2, 7, 16, 37)


def rand(*shape: int, seed: int = 0, gradient: bool = True) -> torch.Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.requires_grad_(gradient)


def assert_equal(got: torch.Tensor, want: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """Values, and gradients of a weighted sum."""
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    weights = rand(*want.shape, seed=9, gradient=False)
    gradients = [torch.autograd.grad((y * weights).sum(), inputs, retain_graph=True) for y in (got, want)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_short_convolution_is_a_depthwise_convolution(width, bias):
    conv, x, before = ShortConvolution(6, width, bias).double(), rand(3, 11, 6), rand(3, width - 1, 6, seed=1)
    padded = torch.cat([before, x], 1).transpose(1, 2)
    want = F.conv1d(padded, conv.weight.t()[:, None], conv.bias, groups=6).transpose(1, 2)
    with count_flops() as forward:
        y, last = conv.prefill(x, before)
    assert_equal(y, want, [x, *([before] if width > 1 else []), *conv.parameters()])
    with count_flops() as backward:
        y.sum().backward()
    assert forward.flops == 33 * conv.flops() and backward.flops == 2 * forward.flops
    assert torch.equal(last, torch.cat([before, x], 1)[:, 11:])
    assert conv.parameters_count() == sum(p.numel() for p in conv.parameters())
    state, outputs = before, []
    for t in range(11):
        y, state = conv.step(x[:, t], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), want)
    assert torch.equal(state, last) and state[0].numel() == conv.state_elements()


@pytest.mark.parametrize("chunk", [1, 2, 8, 64])
@pytest.mark.parametrize("time", [1, 2, 3, 5, 8, 17, 64])
def test_scan_equals_the_loop(time, chunk):
    a, b, h = rand(2, time, 3, 2), rand(2, time, 3, 2, seed=1), rand(2, 3, 2, seed=2)
    with torch.no_grad():
        a[:, time // 2] = 0.0
    loop = [h]
    for t in range(time):
        loop.append(a[:, t] * loop[-1] + b[:, t])
    with count_flops() as forward:
        states = scan(a, b, h, chunk)
    assert_equal(states, torch.stack(loop[1:], 1), [a, b, h])
    with count_flops() as backward:
        states.sum().backward()
    assert forward.flops == backward.flops == 12 * scan_flops(time, chunk)
    with torch.no_grad():
        back = scan_(a.flip(1), b.flip(1), h, reverse=True)
        torch.testing.assert_close(back.flip(1), torch.stack(loop[1:], 1))


@pytest.mark.parametrize("chunk", [1, 4, 16])
@pytest.mark.parametrize("time", [1, 6, 16, 19])
def test_selective_scan_equals_the_loop(time, chunk):
    step, rate = rand(2, time, 3).exp(), rand(4, 3, seed=1).exp()
    x, b, c, h = rand(2, time, 3, seed=2), rand(2, time, 4, seed=3), rand(2, time, 4, seed=4), rand(2, 4, 3, seed=5)
    step, rate = step.detach().requires_grad_(), rate.detach().requires_grad_()
    state, outputs = h, []
    for t in range(time):
        state = torch.exp(-step[:, t, None] * rate) * state + b[:, t, :, None] * x[:, t, None]
        outputs.append((state * c[:, t, :, None]).sum(1))
    y, last = selective_scan(step, x, rate, b, c, h, chunk)
    got, want = (torch.cat([u, s], 1) for u, s in ((y, last), (torch.stack(outputs, 1), state)))
    assert_equal(got, want, [step, x, rate, b, c, h])


@pytest.mark.parametrize("size", [1, 2, 16])
def test_scores_by_halving_equal_those_of_all_pairs(size):
    q, k = rand(2, 3, size, 5), rand(2, 3, size, 5, seed=1)
    total = (-3 * rand(2, 3, size, 5, seed=2, gradient=False).exp()).cumsum(-2).requires_grad_()
    with count_flops() as forward:
        scores = channel_decay_scores(q, k, total)
    ratios = (total[..., :, None, :] - total[..., None, :, :]).exp() * torch.ones(size, size).tril()[..., None]
    assert_equal(scores, torch.einsum("...ic,...jc,...ijc->...ij", q, k, ratios), [q, k, total])
    with count_flops() as backward:
        scores.sum().backward()
    assert backward.flops == 2 * forward.flops == 2 * 6 * size * (size - 1) * 5


def test_channel_decay_has_no_decay_and_every_decay_as_limits():
    q, k, v = (rand(2, 21, 3, 4, seed=seed, gradient=False) for seed in range(3))
    state = rand(2, 3, 4, 4, seed=3, gradient=False)
    got, want = channel_decay_attention(q, k, v, state, 0 * k, 8), linear_attention(q, k, v, state, 8)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)
    for log_decay in (-50.0, -1e5, -1e30):  # only the current token is left
        o, last = channel_decay_attention(q, k, v, state, torch.full_like(k, log_decay), 8)
        torch.testing.assert_close(o, (q * k).sum(-1, keepdim=True) * v)
        torch.testing.assert_close(last, k[:, -1, :, :, None] * v[:, -1, :, None])


def test_one_strong_decay_leaves_the_digits_of_the_others():
    q, k, v = (rand(1, 64, 1, 4, seed=seed, gradient=False) for seed in range(3))
    log_decay = torch.full_like(k, -0.01)
    log_decay[:, 5] = -1e8
    state = torch.zeros(1, 1, 4, 4).double()
    want, _ = channel_decay_attention(q, k, v, state, log_decay, 64)
    q, k, v, state, log_decay = (u.float() for u in (q, k, v, state, log_decay))
    got, _ = channel_decay_attention(q, k, v, state, log_decay, 64)
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-4)


def convolved(conv: ShortConvolution, u: torch.Tensor) -> torch.Tensor:
    """The convolution as a sum over shifted inputs, and SiLU."""
    u, time = F.pad(u, (0, 0, conv.width - 1, 0)), u.shape[1]
    y = torch.stack([conv.weight[j] * u[:, j : j + time] for j in range(conv.width)]).sum(0)
    return y if conv.bias is None else y + conv.bias


def rms(u: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def between(log_decay: torch.Tensor, i: int, t: int) -> torch.Tensor:
    """What is left at t of what came in at i: the decays after i, up to t."""
    return log_decay[:, i + 1 : t + 1].sum(1).exp()


def mamba2_reference(m: Mamba2, u: torch.Tensor, t: int) -> torch.Tensor:
    z, mixed, step = m.input(u).split([m.inner, m.conv.channels, m.heads], -1)
    x, b, c = F.silu(convolved(m.conv, mixed)).split([m.inner] + 2 * [m.groups * m.state_size], -1)
    group = [h * m.groups // m.heads for h in range(m.heads)]
    x = x.unflatten(-1, (m.heads, -1))
    b, c = (v.unflatten(-1, (m.groups, -1))[:, :, group] for v in (b, c))
    step = torch.log1p(torch.exp(step + m.step_bias))
    log_decay = -step * m.log_rate.exp()
    y = m.skip[:, None] * x[:, t]
    for i in range(t + 1):
        weight = (c[:, t] * b[:, i]).sum(-1) * between(log_decay, i, t) * step[:, i]
        y = y + weight[..., None] * x[:, i]
    gated = (y.flatten(1) * F.silu(z[:, t])).unflatten(-1, (m.groups, -1))
    return m.out(rms(gated, m.gain.unflatten(-1, (m.groups, -1))).flatten(1))


def gla_reference(m: GLA, x: torch.Tensor, t: int) -> torch.Tensor:
    qkv = m.qkv(x) if m.conv is None else F.silu(convolved(m.conv, m.qkv(x)))
    keys = m.heads * m.key_width
    q, k, v = (u.unflatten(-1, (m.heads, -1)) for u in qkv.split([keys, keys, m.heads * m.value_width], -1))
    decay = torch.sigmoid(m.decay_up(m.decay_down(x))) ** (1 / m.gate_root)
    log_decay = decay.log().unflatten(-1, (m.heads, -1))
    o = torch.zeros_like(v[:, t])
    for i in range(t + 1):
        o = o + (q[:, t] * between(log_decay, i, t) * k[:, i]).sum(-1, keepdim=True) * v[:, i]
    o = rms(o / math.sqrt(m.key_width), m.norm.weight)
    return m.out(o.flatten(1) * F.silu(m.gate(x[:, t])))


def hgrn2_reference(m: HGRN2, x: torch.Tensor, t: int) -> torch.Tensor:
    q, f, v = (u.unflatten(-1, (m.heads, -1)) for u in m.qfv(x).chunk(3, -1))
    f = m.lower_bound + (1 - m.lower_bound) * torch.sigmoid(f)
    o = torch.zeros_like(v[:, t])
    for i in range(t + 1):
        o = o + (F.silu(q[:, t]) * between(f.log(), i, t) * (1 - f[:, i])).sum(-1, keepdim=True) * v[:, i]
    return m.out(rms(o.flatten(1), m.norm.weight))


def mamba_reference(m: Mamba, x: torch.Tensor, t: int) -> torch.Tensor:
    u, z = m.input(x).chunk(2, -1)
    u = F.silu(convolved(m.conv, u))
    step, b, c = m.select(u).split([m.step_rank, m.state_size, m.state_size], -1)
    step = torch.log1p(m.step_up(step).exp())
    y = m.skip * u[:, t]
    for i in range(t + 1):
        decay = torch.exp(-step[:, i + 1 : t + 1].sum(1)[:, None] * m.log_rate.exp())  # [B, N, I]
        y = y + (c[:, t, :, None] * decay * b[:, i, :, None]).sum(1) * step[:, i] * u[:, i]
    return m.out(y * F.silu(z[:, t]))


def rg_lru_reference(m: RGLRU, x: torch.Tensor, t: int) -> torch.Tensor:
    gate, u = m.input(x).chunk(2, -1)
    u = convolved(m.conv, u)
    size = m.inner // m.blocks
    enter, forget = (torch.block_diag(*m.gates[..., part]) for part in (slice(0, size), slice(size, None)))
    bias_enter, bias_forget = (b.flatten() for b in m.gates_bias.chunk(2, -1))
    a = torch.sigmoid(-m.rate) ** (8 * torch.sigmoid(u @ forget + bias_forget))
    entered = (1 - a**2).sqrt() * torch.sigmoid(u @ enter + bias_enter) * u
    h = sum(a[:, i + 1 : t + 1].prod(1) * entered[:, i] for i in range(t + 1))
    return m.out(F.gelu(gate[:, t]) * h)


def shifted(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, 0, 1, 0))[:, :-1]


def rwkv4_reference(m: RWKV4, x: torch.Tensor, t: int) -> torch.Tensor:
    r, k, v = (mu * x + (1 - mu) * shifted(x) for mu in m.mix)
    r, k, v = m.receptance(r), m.key(k), m.value(v)
    weight = torch.exp(m.bonus + k[:, t])
    above, below = weight * v[:, t], weight
    for i in range(t):
        weight = torch.exp(-(t - 1 - i) * m.decay.exp() + k[:, i])
        above, below = above + weight * v[:, i], below + weight
    return m.out(torch.sigmoid(r[:, t]) * above / below)


def rwkv6_reference(m: RWKV6, x: torch.Tensor, t: int) -> torch.Tensor:
    change = shifted(x) - x
    low = torch.tanh(m.mix_down(x + change * m.mix_in)).chunk(5, -1)
    r, w, k, v, g = (x + change * (m.mix[j] + low[j] @ m.mix_up[j]) for j in range(5))
    w = torch.exp(-torch.exp(m.decay + m.decay_up(torch.tanh(m.decay_down(w)))))
    r, k, v, w = (
        u.unflatten(-1, (m.heads, -1)) for u in (m.receptance(r)[:, t], m.key(k), m.value(v), w.clamp(min=1e-300))
    )
    o = (r * m.bonus.unflatten(0, (m.heads, -1)) * k[:, t]).sum(-1, keepdim=True) * v[:, t]
    for i in range(t):
        o = o + (r * between(w.log(), i, t - 1) * k[:, i]).sum(-1, keepdim=True) * v[:, i]
    o = (o - o.mean(-1, keepdim=True)) / (o.var(-1, keepdim=True, correction=0) + 64e-5).sqrt()
    return m.out((o.flatten(1) * m.norm.weight + m.norm.bias) * F.silu(m.gate(g[:, t])))


CASES: list[tuple[Any, Any]] = [
    (lambda: Mamba2(WIDTH, head_width=16, state_size=6, groups=2, chunk=8), mamba2_reference),
    (lambda: Mamba2(WIDTH, chunk=16), mamba2_reference),
    (lambda: GLA(WIDTH, chunk=8), gla_reference),
    (lambda: GLA(WIDTH, heads=2, key_width=5, gate_root=3.0, conv_width=3), gla_reference),
    (lambda: HGRN2(WIDTH, 8, chunk=4), hgrn2_reference),
    (lambda: HGRN2(WIDTH, 16, lower_bound=0.5), hgrn2_reference),
    (lambda: Mamba(WIDTH, state_size=5, chunk=8), mamba_reference),
    (lambda: RGLRU(WIDTH, 24, blocks=3, chunk=8), rg_lru_reference),
    (lambda: RWKV4(WIDTH, chunk=8), rwkv4_reference),
    (lambda: RWKV6(WIDTH, head_width=16, mix_rank=3, decay_rank=4, chunk=8), rwkv6_reference),
]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("build, reference", CASES, ids=lambda f: f.__name__)
def test_against_the_sum_over_pairs(build, reference, length):
    torch.manual_seed(0)
    mixer = build().double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        x = rand(2, length, WIDTH)
        want = torch.stack([reference(mixer, x, t) for t in range(length)], 1)
        torch.testing.assert_close(mixer(x), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("build, reference", CASES, ids=lambda f: f.__name__)
def test_half_precision_keeps_its_sums_in_single(build, reference):
    torch.manual_seed(0)
    mixer, x = build(), torch.randn(2, 40, WIDTH)
    with torch.no_grad():
        want = mixer(x)
        with torch.autocast("cpu", torch.bfloat16):
            mixed, _ = mixer.prefill(x)
        mixer.bfloat16()
        half, state = mixer.prefill(x.bfloat16())
        y, after = mixer.step(x[:, 0].bfloat16(), state)
    assert mixed.dtype == half.dtype == y.dtype == torch.bfloat16 and state[-1].dtype == torch.float32
    assert [u.dtype for u in after] == [u.dtype for u in state]
    for got in (mixed, half):
        torch.testing.assert_close(got.float(), want, rtol=0.0, atol=0.05 * want.abs().max().item())


def test_large_keys_of_rwkv4_do_not_overflow():
    torch.manual_seed(0)
    mixer, x = RWKV4(WIDTH), torch.randn(2, 90, WIDTH)
    with torch.no_grad():
        mixer.key.weight *= 1e4  # exponents far beyond what float32 can hold
        y, state = mixer.prefill(x)
        want, carried = [], mixer.init_state(2)
        for t in range(90):
            one, carried = mixer.step(x[:, t], carried)
            want.append(one)
    assert state[2].abs().max() > 1e3
    torch.testing.assert_close(y, torch.stack(want, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "build, elements",
    [
        (lambda: Mamba(2048), 77_824),
        (lambda: Mamba2(2048, state_size=128), 537_344),
        (lambda: GLA(2048, heads=4, key_width=256, value_width=512), 524_288),
        (lambda: GLA(2048), 524_288),
        (lambda: HGRN2(2048), 2048 * 128),
        (lambda: RGLRU(2048), 4 * 2048),
        (lambda: RWKV4(2048), 10_240 - 2048),  # the usual 5 D counts the token shift of the channel mixing
        (lambda: RWKV6(2048), 2048 * 64 + 2048),
    ],
)
def test_states_at_published_shapes(build, elements):
    with torch.device("meta"):
        mixer = build()
    for t in (4096, 131_072):
        assert mixer.state_elements(t) == elements
    if isinstance(mixer, Mamba):
        d, inner = 2048, 4096
        assert mixer.parameters_count() == 6 * d**2 + inner * (2 * 128 + 3 * 16 + 4 + 3)


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: ShortConvolution(8, 0), "width: at least 1 tap, got 0"),
        (lambda: Mamba2(32, head_width=48), "head_width: must divide the inner width 64, got 48"),
        (lambda: Mamba2(32, head_width=16, groups=3), "groups: must divide the 4 heads, got 3"),
        (lambda: GLA(36, heads=8), "heads: 2 heads must divide the width, got width 36 and heads 8"),
        (lambda: GLA(32, gate_root=0.0), "gate_root: above 0, got 0.0"),
        (lambda: GLA(32, chunk=24), "chunk: a power of two, got 24"),
        (lambda: HGRN2(32, 12), "state_size: must divide the width, got width 32 and state_size 12"),
        (lambda: HGRN2(32, lower_bound=1.0), "lower_bound: from 0 to less than 1, got 1.0"),
        (lambda: Mamba(32, state_size=0), "state_size: at least 1, got 0"),
        (lambda: Mamba(32, chunk=0), "chunk: a power of two, got 0"),
        (lambda: RGLRU(32, 30), "blocks: must divide the 30 recurrent channels, got 4"),
        (lambda: RWKV4(32, chunk=3), "chunk: a power of two, got 3"),
        (lambda: RWKV6(32), "head_width: must divide the width, got width 32 and head_width 64"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
