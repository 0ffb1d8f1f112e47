"""Linear attention and its relatives against loops over pairs in float64, written from the papers' equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import (
    JRT,
    MLSTM,
    Based,
    Lightning,
    LinearAttention,
    Lizard,
    Retention,
    SlidingWindow,
)
from recallscope.architectures.mixers._features import orthogonal_directions, performer_features
from recallscope.architectures.mixers.jrt import prefix_loss

WIDTH, LENGTHS = 32, (1, 5, 16, 37)


def make(kind: Any, *arguments: Any, **options: Any) -> Any:
    """In float64, with noise on all weights: zeros and ones would hide what is forgotten."""
    torch.manual_seed(0)
    mixer = kind(*arguments, **options)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return mixer.double().eval()


def inputs(length: int) -> torch.Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=tolerance)


def split_heads(u: torch.Tensor, heads: int) -> torch.Tensor:
    """`[B, T, H X] -> [B, H, T, X]`."""
    return u.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(u: torch.Tensor) -> torch.Tensor:
    return u.transpose(1, 2).flatten(2)


def distances(length: int) -> torch.Tensor:
    """`t - i`, `[T, T]`."""
    return (torch.arange(length)[:, None] - torch.arange(length)).double()


def half_softmaxes(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The map of Hedgehog of `[B, H, T, K]`, a head at a time."""
    logits = torch.stack([x[:, h] @ weight[h] for h in range(weight.shape[0])], 1)
    return torch.cat([u.exp() / u.exp().sum(-1, keepdim=True) for u in (logits, -logits)], -1)


def pair_weights(mixer: LinearAttention, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """`φ(q_t)·φ(k_i)` for all pairs, `[B, H, T, T]`."""

    def products(phi: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return torch.einsum("bhtf,bhif->bhti", phi(q), phi(k))

    match mixer.feature_map:
        case "elu":
            return products(lambda x: torch.where(x > 0, x + 1, x.exp()))
        case "relu" | "t2r":
            return products(lambda x: x.clamp(min=0))
        case "identity":
            return products(lambda x: x)
        case "hedgehog":
            maps = half_softmaxes(q, mixer.q_map.weight), half_softmaxes(k, mixer.k_map.weight)
            return torch.einsum("bhtf,bhif->bhti", *maps)
        case "cosformer":
            return products(lambda x: x.clamp(min=0)) * torch.cos(math.pi / 2 * distances(q.shape[2]) / mixer.length)
    q, k = (u * mixer.key_width**-0.25 for u in (q, k))
    q, k = (u @ mixer.get_buffer("directions").T - u.square().sum(-1, keepdim=True) / 2 for u in (q, k))
    phi_q, phi_k = (q - q.max(-1, keepdim=True).values).exp() + 1e-6, k.exp() + 1e-6
    return torch.einsum("bhtf,bhif->bhti", phi_q, phi_k) / mixer.features


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "options",
    [
        {"feature_map": "elu"},
        {"feature_map": "elu", "normalised": False},
        {"feature_map": "relu", "key_width": 24},
        {"feature_map": "t2r", "features": 40},
        {"feature_map": "hedgehog", "features": 6},
        {"feature_map": "cosformer", "length": 40, "key_width": 24},
        {"feature_map": "performer", "features": 20},
        {"feature_map": "identity", "normalised": False, "key_width": 3},
    ],
    ids=str,
)
def test_linear_attention_against_pairs(options, length):
    mixer, x = make(LinearAttention, WIDTH, 2, chunk=7, **options), inputs(length)
    with torch.no_grad():
        q, k = (split_heads(u, 2) for u in mixer.qk(x).chunk(2, -1))
        weights = pair_weights(mixer, q, k).tril()
        scale = weights.sum(-1, keepdim=True) + 1e-6 if mixer.normalised else math.sqrt(mixer.features)
        close(mixer(x), mixer.out(join_heads(weights / scale @ split_heads(mixer.value(x), 2))))


def test_random_features_estimate_the_softmax_kernel():
    q, k = torch.randn(2, 50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.3
    directions = orthogonal_directions(1 << 16, 8, 0).double()
    overlaps = directions[:8] @ directions[:8].T
    close(overlaps, overlaps.diagonal().diag(), 1e-5)
    close(directions.T @ directions / len(directions), torch.eye(8, dtype=torch.float64), 0.03)
    close(directions.mean(0), torch.zeros(8, dtype=torch.float64), 0.02)
    phi_q, phi_k = (performer_features(u, directions, query=False) for u in (q, k))
    torch.testing.assert_close((phi_q * phi_k).sum(-1), (q * k).sum(-1).exp(), rtol=0.1, atol=0)
    assert torch.equal(orthogonal_directions(20, 8, 5), orthogonal_directions(20, 8, 5))
    assert not torch.equal(orthogonal_directions(20, 8, 5), orthogonal_directions(20, 8, 6))


def test_t2r_has_the_folded_map():
    """Features of `W_φ (W_q x) + b_φ` are those of one projection by `W_φ W_q`."""
    mixer, x = make(LinearAttention, WIDTH, 1, feature_map="t2r", features=5), inputs(4)
    folded, bias = mixer.qk.weight[:5], mixer.qk.bias[:5]
    w_q, x0 = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=torch.float64))[0], x[0]
    w_phi = folded @ w_q.T  # W_φ W_q = folded
    close(mixer._project(x, None)[0][0, :, 0], ((x0 @ w_q.T) @ w_phi.T + bias).clamp(min=0))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rope_base", [None, 100.0])
def test_retention_against_pairs(length, rope_base):
    mixer, x = make(Retention, WIDTH, 4, rope_base=rope_base, chunk=7), inputs(length)
    with torch.no_grad():
        q, k = (split_heads(u, 4) for u in mixer.qk(x).chunk(2, -1))
        n = distances(length)
        gamma = torch.tensor([31 / 32, 63 / 64, 127 / 128, 255 / 256], dtype=torch.float64)[:, None, None]
        q, k = (torch.complex(u[..., :4], u[..., 4:]) for u in (q, k))
        frequency = 0 * torch.arange(4) if rope_base is None else rope_base ** (-torch.arange(4).double() / 4)
        turn = torch.polar(torch.ones_like(n)[..., None], n[..., None] * frequency)  # of a pair: e^{iθ(t - i)}
        scores = torch.einsum("bhtc,bhic,tic->bhti", q, k.conj(), turn).real / math.sqrt(8)
        o = (scores * gamma ** n.clamp(min=0)).tril() @ split_heads(mixer.value(x), 4)
        o = (o - o.mean(-1, keepdim=True)) / (o.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        gate = mixer.gate(x)
        close(mixer(x), mixer.out(join_heads(o) * gate * torch.sigmoid(gate)))


LIGHTNING = [
    ({"layer": 1, "layers": 4}, [2 ** (-2 * h) * (1 - 1 / 3 + 1e-5) for h in (1, 2, 3, 4)]),
    ({"layer": 3, "layers": 4, "lrpe": True, "sigmoid_gate": True}, [2 ** (-2 * h) * 1e-5 for h in (1, 2, 3, 4)]),
    ({}, [2 ** (-2 * h) * (1 + 1e-5) for h in (1, 2, 3, 4)]),
    ({"slopes": "paper", "layer": 1, "layers": 4, "lrpe": True, "key_width": 3}, [1.5, 3.0, 4.5, 6.0]),
]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("options, rates", LIGHTNING, ids=str)
def test_lightning_against_pairs(options, rates, length):
    mixer, x = make(Lightning, WIDTH, 4, chunk=7, **options), inputs(length)
    with torch.no_grad():
        q, k = (split_heads(u * torch.sigmoid(u), 4) for u in mixer.qk(x).chunk(2, -1))
        n = distances(length)
        turns = n * mixer.theta.transpose(1, 2)[..., None] if mixer.lrpe else torch.zeros(4, q.shape[-1], 1, 1)
        scores = torch.einsum("bhtc,bhic,hcti->bhti", q, k, turns.double().cos().expand(-1, -1, length, length))
        decay = torch.exp(-torch.tensor(rates, dtype=torch.float64)[:, None, None] * n.clamp(min=0))
        v, gate = mixer.value_gate(x).chunk(2, -1)
        o = join_heads((scores * decay).tril() @ split_heads(v, 4))
        o = o / (o.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        close(mixer(x), mixer.out(o * (torch.sigmoid(gate) if mixer.sigmoid_gate else gate)))


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("prefix", [0, 1, 6, 23])
def test_jrt_against_pairs(prefix, symmetric):
    mixer, x = make(JRT, WIDTH, 2, 4, symmetric, chunk=5), inputs(23)
    based = mixer.decoder
    with torch.no_grad():
        q, k = (split_heads(u, 2) for u in based.qk(x).chunk(2, -1))
        v, v_e = split_heads(based.value(x), 2), split_heads(mixer.encoder_value(x[:, :prefix]), 2)
        k_e = split_heads(mixer.encoder_key(x[:, :prefix]), 2)
        scores = torch.cat([torch.einsum("bhtk,bhik->bhti", q, u) for u in (k_e, k)], -1) / 2
        seen = torch.cat([torch.ones(23, prefix), torch.ones(23, 23).tril()], -1)
        weights = (1 + scores + scores**2 / 2) * seen
        o = weights / weights.sum(-1, keepdim=True) @ torch.cat([v_e, v], 2)
        want = based.out(join_heads(o))
        y, state = mixer.prefill(x[:, :20], prefix=min(prefix, 20))
        close(y, mixer(x[:, :20], prefix=min(prefix, 20)))
        close(mixer(x, prefix=prefix), want)
        if prefix <= 20:
            for t in range(20, 23):  # the steps go on as ever
                y, state = mixer.step(x[:, t], state)
                close(y, want[:, t])
        assert prefix or torch.equal(mixer(x), based(x))


def test_jrt_is_causal_behind_its_prefix_and_not_in_it():
    mixer, x = make(JRT, WIDTH, 2, 4), inputs(20).requires_grad_()
    y = mixer(x, prefix=8)
    for t, seen in ((0, 8), (7, 8), (8, 9), (15, 16)):
        (gradient,) = torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)
        assert gradient[0].abs().amax(-1).nonzero().flatten().tolist() == list(range(seen))
    y.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in mixer.parameters())


@pytest.mark.parametrize("prefix", [0, 1, 50, 130])
def test_jrt_declares_what_is_measured(prefix):
    mixer = JRT(64)
    x = torch.randn(2, 130, 64, requires_grad=True)
    assert mixer.parameters_count() == sum(p.numel() for p in mixer.parameters())
    with count_flops() as forward, torch.no_grad():
        _, state = mixer.prefill(x.detach(), prefix=prefix)
    with count_flops() as decode, torch.no_grad():
        mixer.step(x[:, 0].detach(), state)
    with count_flops() as training:
        mixer(x, prefix=prefix).sum().backward()
    assert mixer.prefill_flops(130, 2, prefix) == forward.flops
    assert mixer.decode_flops(130, 2) == decode.flops
    assert mixer.training_flops(130, 2, prefix) == training.flops
    assert mixer.state_elements(130) == mixer.dataflow().state == sum(s.numel() for s in state) / 2


def test_prefix_loss():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    tokens = torch.randint(5, (2, 6), generator=generator)
    masked = torch.tensor([[True, False, True], [False, False, True]])
    nats = -(logits.exp() / logits.exp().sum(-1, keepdim=True)).log()
    following = [nats[b, t - 1, tokens[b, t]] for b in (0, 1) for t in (3, 4, 5)]
    filled = [nats[b, t, tokens[b, t]] for b, t in ((0, 0), (0, 2), (1, 2))]
    want = (2 * sum(following) / 6 + 0.5 * sum(filled) / 3) / 2.5
    close(prefix_loss(logits, tokens, masked, 3, next_weight=2.0, masked_weight=0.5), torch.as_tensor(want))
    close(prefix_loss(logits, tokens, masked, 3, masked_weight=0.0), torch.as_tensor(sum(following) / 6))
    with pytest.raises(ValueError, match="prefix: from 1 to 5 of 6 tokens, got 6"):
        prefix_loss(logits, tokens, masked, 6)
    with pytest.raises(ValueError, match=r"masked: \(2, 2\) booleans, one true, got \(2, 3\) of torch.bool"):
        prefix_loss(logits, tokens, masked, 2)
    with pytest.raises(ValueError, match=r"masked: .* one true"):
        prefix_loss(logits, tokens, ~masked & masked, 3)


@pytest.mark.parametrize("length", LENGTHS)
def test_lizard_against_pairs(length):
    mixer = make(Lizard, WIDTH, 4, kv_heads=2, key_width=6, features=10, window=5, sinks=3, chunk=7)
    x = inputs(length)
    with torch.no_grad():
        q, k, v = mixer.qkv(x).split([24, 12, 12], -1)
        q, k, v = split_heads(q, 4), split_heads(k, 2)[:, [0, 0, 1, 1]], split_heads(v, 2)[:, [0, 0, 1, 1]]
        gate = torch.sigmoid(x @ mixer.decay.weight[0])  # [B, T]
        kept = torch.stack([gate[:, i + 1 : t + 1].prod(-1) for t in range(length) for i in range(length)], -1)
        phi_q, phi_k = half_softmaxes(q, mixer.q_map.weight), half_softmaxes(k, mixer.k_map.weight)
        far = (phi_q @ phi_k.transpose(-1, -2) * kept.view(2, 1, length, length)).tril()
        n = distances(length)
        near = (q @ k.transpose(-1, -2) / math.sqrt(6)).exp() * ((n >= 0) & (n < 5))
        near = near / (near.sum(-1, keepdim=True) + mixer.sink.exp().sum())
        o = (far / (far.sum(-1, keepdim=True) + 1e-12) + mixer.local_scale * near) @ v
        close(mixer(x), mixer.out(join_heads(o)))


def test_lizard_sinks_add_up():
    """m logits of zero are one of ln m; a very large one closes the window."""
    x, outputs = inputs(20), []
    for sinks, value in ((4, 0.0), (1, math.log(4)), (1, 1e4)):
        torch.manual_seed(0)
        mixer = Lizard(WIDTH, 4, sinks=sinks).double()
        torch.nn.init.constant_(mixer.sink, value)
        outputs.append((mixer(x), mixer))
    close(outputs[0][0], outputs[1][0])
    torch.nn.init.zeros_(outputs[0][1].local_scale)
    close(outputs[0][1](x), outputs[2][0])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
def test_mlstm_against_pairs(length, forget):
    mixer, x = make(MLSTM, WIDTH, 2, 6, 10, forget=forget, chunk=7), inputs(length)
    with torch.no_grad():
        q, k = (split_heads(u, 2) for u in mixer.qk(x).chunk(2, -1))
        i, f = (split_heads(u, 2)[..., 0].exp() for u in mixer.gates(x).chunk(2, -1))
        f = f / (1 + f) if forget == "sigmoid" else f
        kept = torch.stack([f[:, :, j + 1 : t + 1].prod(-1) for t in range(length) for j in range(length)], -1)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(6) * kept.view(2, 2, length, length) * i[:, :, None]).tril()
        h = weights @ split_heads(mixer.value(x), 2) / weights.sum(-1, keepdim=True).abs().clamp(min=1)
        h = h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt() * mixer.norm.weight
        close(mixer(x), mixer.out(torch.sigmoid(mixer.output_gate(x)) * join_heads(h)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size, offset", [(40.0, 0.0), (1.0, 300.0), (1.0, -300.0)])
def test_mlstm_holds_at_extreme_gates(dtype, size, offset):
    """Gates of e^{±100s}: parallel and recurrent agree and nothing overflows, gradients included."""
    mixer, x = make(MLSTM, WIDTH, 2, chunk=16, forget="exp").to(dtype), inputs(37).to(dtype).requires_grad_()
    with torch.no_grad():
        mixer.gates.weight *= size
        mixer.gates.bias[:2] += offset
    y = mixer(x)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters()) and x.grad is not None
    assert x.grad.isfinite().all()
    with torch.no_grad():
        state = mixer.init_state(2)
        for t in range(37):
            one, state = mixer.step(x[:, t], state)
            close(one, y[:, t], 1e-10 if dtype == torch.float64 else 1e-3)


def test_gradients_pass_through_the_carried_state():
    """One call and two, the state between them not detached, have the same gradients."""
    for mixer in (make(MLSTM, WIDTH, 2, chunk=8), make(MLSTM, WIDTH, 2, chunk=8, forget="exp"), make(Lizard, WIDTH)):
        x, found = inputs(30).requires_grad_(), []
        first, state = mixer.prefill(x[:, :13])
        for y in (mixer(x), torch.cat([first, mixer.prefill(x[:, 13:], state)[0]], 1)):
            found.append(torch.autograd.grad(y.square().sum(), [x, *mixer.parameters()]))
        for got, want in zip(*found, strict=True):
            close(got, want, 1e-10 * max(1.0, want.abs().max().item()))


NEW = [LinearAttention, Retention, Lightning, JRT, Lizard, MLSTM]


@pytest.mark.parametrize("kind", NEW)
def test_chunks_change_nothing(kind):
    x, outputs = inputs(37), []
    for chunk in (1, 5, 36, 37, 64):
        outputs.append(make(kind, WIDTH, chunk=chunk)(x))
    for other in outputs[1:]:
        close(other, outputs[0])


@pytest.mark.parametrize("kind", NEW)
def test_mixed_precision(kind):
    """Under autocast to bfloat16 the state stays in float32 and the output is near that in float32."""
    mixer, x = make(kind, WIDTH).float(), inputs(37).float()
    with torch.no_grad():
        want, (*_, matrix) = mixer(x), [s for s in mixer.prefill(x)[1] if s.ndim == 4]
        with torch.autocast("cpu", torch.bfloat16):
            got = mixer(x)
    assert matrix.dtype == torch.float32
    assert (got.float() - want).norm() < 0.05 * want.norm()


def sizes(*mixers: Callable[[], Any]) -> list[int]:
    with torch.device("meta"):
        made = [make_one() for make_one in mixers]
    return [sum(mixer.state_elements(t) for mixer in made) for t in (4096, 131_072)]


def test_state_sizes_at_width_2048():
    assert sizes(lambda: LinearAttention(2048, 16)) == [264_192] * 2
    assert sizes(lambda: LinearAttention(2048, 16, feature_map="t2r")) == [66_048] * 2
    assert sizes(lambda: Lightning(2048, 16)) == [262_144] * 2
    assert sizes(lambda: Lizard(2048, 16, kv_heads=4)) == [395_264] * 2
    assert sizes(lambda: MLSTM(2048, 8)) == [263_176] * 2
    assert sizes(lambda: Based(2048, 16), lambda: SlidingWindow(2048, 16, window=64)) == [825_616] * 2
    assert sizes(lambda: JRT(2048, 16)) == sizes(lambda: Based(2048, 16)) == [563_472] * 2


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: LinearAttention(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: LinearAttention(32, feature_map="cubic"), "feature_map: one of elu, .*, got 'cubic'"),
        (lambda: LinearAttention(32, features=8), "features: at least 1, of t2r, hedgehog or performer, got 8 for elu"),
        (lambda: LinearAttention(32, feature_map="t2r", features=0), "features: at least 1, .*, got 0 for t2r"),
        (lambda: LinearAttention(32, feature_map="hedgehog", features=7), "features: a positive even number, got 7"),
        (lambda: LinearAttention(32, feature_map="identity"), "normalised: false for identity.*got True for identity"),
        (lambda: LinearAttention(32, feature_map="performer", normalised=False), "normalised: .*got False for perform"),
        (lambda: LinearAttention(32, feature_map="cosformer", length=0), "length: at least 1 token, got 0"),
        (
            lambda: LinearAttention(32, feature_map="cosformer", length=4)(inputs(5).float()),
            "at most length = 4 .*got 5",
        ),
        (lambda: Retention(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: Retention(12), "key_width: must be even for rotary positions, got 3"),
        (lambda: Lightning(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: Lightning(32, layer=2, layers=2), "layer: from 0 to layers - 1, got layer 2 of 2"),
        (lambda: Lightning(32, slopes="steep"), "slopes: released or paper, got 'steep'"),
        (lambda: JRT(32)(inputs(5).float(), prefix=6), "prefix: from 0 to the 5 tokens given, got 6"),
        (lambda: Lizard(32, window=0), "window: at least 1 token, got 0"),
        (lambda: Lizard(32, sinks=0), "sinks: at least 1 logit, got 0"),
        (lambda: Lizard(32, features=5), "features: a positive even number, got 5"),
        (lambda: MLSTM(28), "heads: twice them must divide the width, got width 28 and heads 4"),
        (lambda: MLSTM(32, forget="tanh"), "forget: sigmoid or exp, got 'tanh'"),
    ],
)
def test_bad_input(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
