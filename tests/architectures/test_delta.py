"""Delta-rule, least-squares, Fenwick and inner-training mixers against loops written from the papers' equations."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.mixers._conjugate_gradients import conjugate_gradients
from recallscope.architectures.mixers._delta import delta_rule
from recallscope.architectures.mixers._fenwick import digits_below, live_levels, log_linear_attention
from recallscope.architectures.mixers._linear import linear_attention
from recallscope.architectures.mixers.rwkv7 import SLOWEST
from torch.nn import functional as F

WIDTH, BATCH, TIME = 16, 2, 37
SHAPE = BATCH, TIME, 3


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(name: str, **options: Any) -> Any:
    """The mixer in float64 with noise on all weights: zeros and ones would hide what is forgotten."""
    torch.manual_seed(0)
    mixer = MIXERS[name](WIDTH, **options).double().eval()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return mixer


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def operands(decay: str, strength: float = 1.0) -> tuple[Any, ...]:
    """q, k, v, β, a state and ln α, for 3 heads with K = 4 and V = 5."""
    q, k = random(*SHAPE, 4, seed=1), F.normalize(random(*SHAPE, 4, seed=2), dim=-1)
    v, beta = random(*SHAPE, 5, seed=3), 2 * random(*SHAPE, 1, seed=4).sigmoid()
    state, columns = random(BATCH, 3, 4, 5, seed=5), {"none": 0, "scalar": 1, "channel": 4}[decay]
    return q, k, v, beta, state, -strength * random(*SHAPE, columns, seed=6).square() if columns else None


def explicit_delta_rule(q, k, v, beta, state, log_decay):
    """`S ← (I - β k kᵀ) diag(α) S + β k vᵀ`, with the transition as a matrix."""
    outputs = []
    for t in range(q.shape[1]):
        kt, bt = k[:, t], beta[:, t, :, :, None]
        transition = torch.eye(k.shape[-1]).double() - bt * kt[..., None] * kt[..., None, :]
        if log_decay is not None:
            alpha = log_decay[:, t].exp().expand(kt.shape)
            transition = transition @ torch.diag_embed(alpha)
        state = transition @ state + bt * kt[..., None] * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("chunk", [1, 8, 64])
@pytest.mark.parametrize("decay", ["none", "scalar", "channel"])
def test_delta_rule_against_transition_matrices(decay, chunk, strength):
    *most, log_decay = operands(decay, strength)
    for got, want in zip(
        delta_rule(*most, chunk=chunk, log_decay=log_decay),
        explicit_delta_rule(*most, log_decay=log_decay),
        strict=True,
    ):
        close(got, want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", ["scalar", "channel"])
def test_strong_decay_has_finite_gradients(decay, dtype):
    arguments = [u.to(dtype).requires_grad_() for u in operands(decay, 1e4)]
    *most, log_decay = arguments
    o, _ = delta_rule(*most, chunk=16, log_decay=log_decay)
    o.sum().backward()
    assert all(u.grad is not None and u.grad.isfinite().all() for u in arguments)


def test_decays_of_zero_and_of_one_rate_are_what_simpler_ones_give():
    *most, scalar = operands("scalar")
    for simple, full in ((None, torch.zeros_like(scalar)), (scalar, scalar.expand(*SHAPE, 4))):
        for got, want in zip(*(delta_rule(*most, chunk=8, log_decay=u) for u in (full, simple)), strict=True):
            close(got, want)


def test_orthogonal_keys_make_the_delta_rule_additive():
    q, k, v, _, state, _ = operands("none")
    q, k, v = q[:, :4], torch.eye(4).double().expand(BATCH, 3, 4, 4).transpose(1, 2), v[:, :4]
    beta = torch.ones(BATCH, 4, 3, 1).double()
    got, want = delta_rule(q, k, v, beta, 0 * state, 64), linear_attention(q, k, v, 0 * state, 64)
    close(got[0], want[0])
    close(got[1], v.transpose(1, 2))  # β = 1: the value of each key is read back


def test_a_key_written_twice_keeps_the_second_value():
    _, k, v, beta, state, _ = operands("none")
    k = k[:, :1].expand(k.shape)
    o, _ = delta_rule(k, k, v, torch.ones_like(beta), state, 8)
    close(o, v)


def convolve(weight: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Taps `[k, X]` over `[B, T, X]`, the last on the token itself."""
    taps = len(weight)
    earlier = F.pad(u, (0, 0, taps - 1, 0))
    return sum(weight[j] * earlier[:, j : j + u.shape[1]] for j in range(taps))  # type: ignore[return-value]


def delta_inputs(mixer, x):
    """q, k, v, β of the value heads, from the weights."""
    u = x @ mixer.qkv.weight.T
    u = F.silu(u if mixer.conv is None else convolve(mixer.conv.weight, u))
    h, heads, key = mixer.heads, mixer.value_heads, mixer.key_width
    q, k, v = u[..., : h * key], u[..., h * key : 2 * h * key], u[..., 2 * h * key :].unflatten(-1, (heads, -1))
    q, k = (w.unflatten(-1, (h, key))[:, :, [i * h // heads for i in range(heads)]] for w in (q, k))
    q, k = (w / (w.square().sum(-1, keepdim=True) + 1e-6).sqrt() for w in (q, k))
    return q, k, v, (2 if mixer.negative else 1) * torch.sigmoid(x @ mixer.beta.weight.T)[..., None]


def rms(o: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return o / (o.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


@pytest.mark.parametrize(
    "name, options",
    [
        ("delta_net", {"heads": 2, "value_width": 6, "negative": True}),
        ("gated_delta_net", {"heads": 2, "value_heads": 4, "key_width": 4, "value_width": 6, "chunk": 8}),
        ("kda", {"heads": 2, "key_width": 4, "value_width": 6, "conv_width": None, "chunk": 8}),
    ],
)
def test_delta_mixers_against_the_equations(name, options):
    mixer, x = make(name, **options), random(BATCH, TIME, WIDTH)
    with torch.no_grad():
        q, k, v, beta = delta_inputs(mixer, x)
        log_decay, gate = None, 1.0
        if name == "gated_delta_net":
            step = F.softplus(x @ mixer.decay.weight.T + mixer.decay_bias)
            log_decay = (-mixer.log_rate.exp() * step)[..., None]
            q, gate = q / math.sqrt(mixer.key_width), F.silu(x @ mixer.gate.weight.T)
        if name == "kda":
            step = F.softplus(x @ (mixer.decay_out.weight @ mixer.decay_in.weight).T + mixer.decay_bias)
            log_decay = -mixer.log_rate.exp()[:, None] * step.unflatten(-1, (2, -1))
            gate = torch.sigmoid(x @ (mixer.gate_out.weight @ mixer.gate_in.weight).T)
        state = torch.zeros(BATCH, mixer.value_heads, mixer.key_width, mixer.value_width).double()
        o, _ = explicit_delta_rule(q, k, v, beta, state, log_decay)
        close(mixer(x), (rms(o, mixer.norm.weight).flatten(-2) * gate) @ mixer.out.weight.T)


def test_rwkv7_against_the_equations():
    mixer, x = make("rwkv7", heads=2, rank=3, gate_rank=5, chunk=8), random(BATCH, TIME, WIDTH)
    m = {name: p.detach() for name, p in mixer.named_parameters()}
    state, outputs, last = torch.zeros(BATCH, 2, 8, 8).double(), [], torch.zeros(BATCH, WIDTH).double()
    for xt in x.unbind(1):
        xr, xw, xk, xv, xa, xg = (xt + (last - xt) * mix for mix in m["mix"])
        last = xt
        r, k, v = (u @ m[f"{n}.weight"].T for u, n in ((xr, "receptance"), (xk, "key"), (xv, "value")))
        inner = torch.tanh(xw @ m["decay_in.weight"].T) @ m["decay_out.weight"].T + m["decay_out.bias"]
        w = torch.exp(-math.exp(-0.5) * torch.sigmoid(inner))
        assert w.log().min() >= SLOWEST
        a = torch.sigmoid(xa @ m["rate_in.weight"].T @ m["rate_out.weight"].T + m["rate_out.bias"])
        g = torch.sigmoid(xg @ m["gate_in.weight"].T) @ m["gate_out.weight"].T
        key = k * (1 + (a - 1) * m["replacement"])
        removed = (k * m["removal"]).view(BATCH, 2, 8)
        removed = removed / (removed.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        r, w, a, key, v = (u.view(BATCH, 2, 8) for u in (r, w, a, key, v))
        transition = torch.diag_embed(w) - (a * removed)[..., None] * removed[..., None, :]
        state = transition @ state + key[..., None] * v[..., None, :]
        o = torch.einsum("bhkv,bhk->bhv", state, r)
        o = (o - o.mean(-1, keepdim=True)) / (o.var(-1, keepdim=True, unbiased=False) + 8e-5).sqrt()
        o = o.flatten(1) * m["norm.weight"] + m["norm.bias"]
        o = o + ((r * key * m["bonus"]).sum(-1, keepdim=True) * v).flatten(1)
        outputs.append((o * g) @ m["out.weight"].T)
    with torch.no_grad():
        close(mixer(x), torch.stack(outputs, 1))


@pytest.mark.parametrize("ends", [0.0, 1.0])
def test_rwkv7_is_exact_at_its_strongest_and_weakest_decay(ends):
    mixer, x = make("rwkv7", heads=2, chunk=64).requires_grad_(False), random(BATCH, 130, WIDTH)
    mixer.decay_out.weight.zero_()
    mixer.decay_out.bias.fill_(-100.0 + 200.0 * ends)
    state, outputs = mixer.init_state(BATCH), []
    for t in range(130):
        y, state = mixer.step(x[:, t], state)
        outputs.append(y)
    close(mixer(x), torch.stack(outputs, 1))


def test_mesa_net_reads_the_least_squares_solution():
    """With as many steps as keys have channels, conjugate gradients are exact: weights from a dense solve."""
    mixer, x = make("mesa_net", heads=2, key_width=4, value_width=6, iterations=8, chunk=8), random(BATCH, TIME, WIDTH)
    with torch.no_grad():
        q, k, v, beta = delta_inputs(mixer, x)
        step = F.softplus(x @ mixer.decay.weight.T + mixer.decay_bias)
        total = (-mixer.log_rate.exp() * step).cumsum(1)[..., None]
        ridge = torch.diag_embed(0.25 + F.softplus(mixer.ridge))
        outputs = []
        for t in range(TIME):
            weight = beta[:, : t + 1] * (total[:, t, None] - total[:, : t + 1]).exp()
            gram = torch.einsum("bihk,bihl->bhkl", weight * k[:, : t + 1], k[:, : t + 1]) + ridge
            solved = torch.linalg.solve(gram, q[:, t])
            score = torch.einsum("bihk,bhk->bih", weight * k[:, : t + 1], solved)
            outputs.append(torch.einsum("bih,bihv->bhv", score, v[:, : t + 1]))
        o = rms(torch.stack(outputs, 1), mixer.norm.weight)
        close(mixer(x), o.flatten(-2) @ mixer.out.weight.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conjugate_gradients_survive_convergence(dtype):
    root, rhs = random(6, 6).to(dtype), random(3, 6, seed=1).to(dtype)
    rhs[0] = 0.0
    matrix = root @ root.T + torch.eye(6, dtype=dtype)
    error = conjugate_gradients(lambda p: p @ matrix, rhs, 200) - torch.linalg.solve(matrix, rhs.T).T
    assert error.abs().max() < 1e3 * torch.finfo(dtype).eps


def test_mesa_net_gradient_is_that_of_the_solution():
    mixer, x = make("mesa_net", heads=2, key_width=4, iterations=8, chunk=8), random(BATCH, 20, WIDTH)
    direction = random(BATCH, 20, WIDTH, seed=2)

    def loss(shift: float) -> float:
        with torch.no_grad():
            return float(mixer(x + shift * direction).square().sum())

    u = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(u).square().sum(), u)
    numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert math.isclose(float((gradient * direction).sum()), numeric, rel_tol=1e-7)


def log_linear_reference(mixer, x):
    """`Σ_s λ_t^level(t, s) a_{s+1} ⋯ a_t (C_t · B_s) Δ_s x_s`, the levels from cutting t into powers of two."""
    sizes = [mixer.inner, mixer.inner, mixer.state_size, mixer.state_size, mixer.heads, mixer.heads * mixer.levels]
    z, u, b, c, step, level = (x @ mixer.input.weight.T).split(sizes, -1)
    u, b, c = F.silu(u).unflatten(-1, (mixer.heads, -1)), F.silu(b), F.silu(c)
    step = F.softplus(step + mixer.step_bias)
    total = (-step * mixer.log_rate.exp()).cumsum(1)
    weight = F.softplus(mixer.level_scale * level.unflatten(-1, (mixer.heads, -1)))
    o = torch.zeros_like(u)
    for t in range(x.shape[1]):
        levels, start = {t: 0}, 0
        for digit in (6, 5, 4, 3, 2, 1, 0):  # the longest span first
            if start + 2**digit <= t:
                levels |= dict.fromkeys(range(start, start + 2**digit), digit + 1)
                start += 2**digit
        assert sorted(levels) == list(range(t + 1))
        for s, one in levels.items():
            scale = (
                weight[:, t, :, min(one, mixer.levels - 1)]
                * (c[:, t] * b[:, s]).sum(-1, keepdim=True)
                * (total[:, t] - total[:, s]).exp()
                * step[:, s]
            )
            o[:, t] += scale[..., None] * u[:, s]
    return rms((o + mixer.skip[:, None] * u).flatten(-2) * F.silu(z), mixer.norm.weight) @ mixer.out.weight.T


@pytest.mark.parametrize("options", [{"chunk": 4}, {"chunk": 16, "levels": 3}, {"chunk": 1}])
def test_log_linear_against_a_loop_over_pairs(options):
    mixer = make("log_linear", expand=1, head_width=8, state_size=4, **options)
    x = random(BATCH, 70, WIDTH)
    with torch.no_grad():
        close(mixer(x), log_linear_reference(mixer, x))


@pytest.mark.parametrize("cut", [1, 13, 16, 31])
def test_log_linear_with_weights_of_one_is_linear_attention(cut):
    q, k, v = random(BATCH, TIME, 1, 4, seed=1), random(BATCH, TIME, 1, 4, seed=2), random(*SHAPE, 5, seed=3)
    log_decay, weight = -random(*SHAPE, 1, seed=4).square(), torch.ones(*SHAPE, 4).double()
    state = torch.zeros(BATCH, 3, 4, 5).double()
    want, last = linear_attention(q.expand(*SHAPE, 4), k.expand(*SHAPE, 4), v, state, 8, log_decay)
    outputs, states = [], state[:, None, :][:, :0]
    for tokens in (slice(0, cut), slice(cut, TIME)):
        arguments = [u[:, tokens] for u in (q, k, v, log_decay, weight)]
        o, states = log_linear_attention(*arguments, states=states, position=tokens.start, chunk=8)
        outputs.append(o)
    close(torch.cat(outputs, 1), want)
    close(states.sum(1), last)


def test_log_linear_states_merge_like_a_binary_counter():
    mixer, x = make("log_linear", head_width=16, state_size=4).requires_grad_(False), random(1, 140, WIDTH)
    state, live = mixer.init_state(1), []
    for t in range(140):
        _, state = mixer.step(x[:, t], state)
        live.append(state[0].shape[1])
    assert live == [1 + t.bit_count() for t in range(140)] == [live_levels(t) for t in range(1, 141)]
    assert live_levels(0) == 0 and max(live[: 2**7]) == 8  # at most ⌊log₂ t⌋ + 1


def test_digits_below_sums_the_digits():
    sums = [sum(n.bit_count() for n in range(m)) for m in range(200)]
    assert [digits_below(m) for m in range(200)] == sums


@pytest.mark.parametrize("tokens", [1, 4, 16])
def test_ttt_linear_against_automatic_gradients_of_the_inner_loss(tokens):
    mixer = make("ttt_linear", heads=2, batch_tokens=tokens, rate=0.7)
    x = random(BATCH, TIME, WIDTH)
    q, k, v = (x @ mixer.qkv.weight.T).detach().unflatten(-1, (3, 2, 8)).unbind(2)
    q, k = (u / (u.square().mean(-1, keepdim=True) + 1e-6).sqrt() for u in (q, k))
    rate = 0.7 / 8 * torch.sigmoid(mixer.learning_rate(x)).detach()

    def model(z, w):
        u = torch.einsum("bhk,bhkv->bhv", z, w)
        u = (u - u.mean(-1, keepdim=True)) / (u.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        return z + u * mixer.gain[:, 0] + mixer.bias[:, 0]

    outputs, w = [], mixer.start.detach().expand(BATCH, -1, -1, -1)
    for begin, end in pairwise([*range(0, TIME, tokens), TIME]):
        base = w
        for t in range(begin, end):
            leaf = base.clone().requires_grad_()
            (gradient,) = torch.autograd.grad((model(k[:, t], leaf) - v[:, t]).square().sum(), leaf)
            w = w - rate[:, t, :, None, None] * gradient
            outputs.append(model(q[:, t], w))
    with torch.no_grad():
        close(mixer(x), mixer.out(mixer.norm(torch.stack(outputs, 1)).flatten(-2)))


def on_meta(name: str, **options: Any) -> Any:
    with torch.device("meta"):
        return MIXERS[name](2048, **options)


@pytest.mark.parametrize(
    "name, options, elements",
    [
        ("delta_net", {"heads": 16}, 280_576),
        ("kda", {"heads": 16}, 280_576),
        ("gated_delta_net", {"heads": 6}, 804_864),
        ("rwkv7", {"heads": 32}, 135_168 - 2048),  # with channel mixing, another token shift: 135,168
        ("ttt_linear", {"heads": 32}, 131_072),
    ],
)
def test_published_shapes_have_the_known_state(name, options, elements):
    mixer = on_meta(name, **options)
    assert [mixer.state_elements(t) for t in (4096, 131_072)] == [elements, elements]


def test_states_of_ttt_and_log_linear_follow_the_length():
    ttt, log_linear = on_meta("ttt_linear", heads=32), on_meta("log_linear")
    assert [ttt.state_elements(t) for t in (4097, 131_073)] == [135_168, 135_168]  # W, and one pair of K and K a head
    assert ttt.state_elements(4111) == 131_072 + 15 * 4096
    assert [log_linear.state_elements(t) for t in (4096, 131_072)] == [6_815_744, 9_437_184]
    assert log_linear.state_elements(4097) == 2 * 524_288


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("delta_net", {"heads": 3}, "heads: must divide the width, got width 16 and heads 3"),
        ("delta_net", {"chunk": 0}, "chunk: a positive number, got 0"),
        ("gated_delta_net", {"heads": 5}, "heads: must divide 3/4 of the width, got width 16 and heads 5"),
        ("gated_delta_net", {"value_heads": 6}, "value_heads: must be a multiple of heads, got heads 4, value_heads 6"),
        ("kda", {"chunk": 24}, "chunk: a power of two, got 24"),
        ("rwkv7", {"heads": 3}, "heads: must divide the width, got width 16 and heads 3"),
        ("rwkv7", {"chunk": 65}, "chunk: from 1 to 64 tokens, got 65"),
        ("mesa_net", {"iterations": 0}, "iterations: at least 1, got 0"),
        ("log_linear", {"head_width": 5}, "head_width: must divide the inner width 32, got 5"),
        ("log_linear", {"levels": 0, "head_width": 8}, "levels: at least 1, got 0"),
        ("log_linear", {"chunk": 48, "head_width": 8}, "chunk: a power of two, got 48"),
        ("ttt_linear", {"batch_tokens": 0}, "batch_tokens: at least 1 token, got 0"),
    ],
)
def test_bad_shapes(name, options, message):
    with pytest.raises(ValueError, match=message):
        MIXERS[name](WIDTH, **options)


def test_states_that_do_not_fit_their_position_are_refused():
    log_linear, ttt = make("log_linear", head_width=8, state_size=4), make("ttt_linear", batch_tokens=4)
    x, (states, _) = random(1, 5, WIDTH), log_linear.init_state(1)
    with pytest.raises(ValueError, match="state: 2 levels after 3 tokens, got 0"):
        log_linear.prefill(x, (states, torch.tensor(3)))
    matrix, pairs = ttt.init_state(1)
    with pytest.raises(ValueError, match="state: pairs of less than 4 tokens, got 4"):
        ttt.prefill(x, (matrix, pairs.new_zeros(1, 4, *pairs.shape[2:])))
