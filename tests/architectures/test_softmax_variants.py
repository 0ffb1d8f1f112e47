"""Variants of softmax attention against sums over all pairs in float64, special cases, and sizes of their caches."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import (
    Attention,
    ClippedSoftmax,
    DiffQKV,
    LambdaWindow,
    MultiHeadLatent,
    Primer,
    SlidingWindow,
    SubsampledAttention,
)

WIDTH = 32
LENGTHS = (1, 2, 5, 7, 16, 23)


def make(mixer: Any) -> Any:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in mixer.parameters():  # gains start at one, where a forgotten gain would not show
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def heads(u: torch.Tensor, width: int, count: int = 0) -> torch.Tensor:
    """`[B, T, H' width] -> [B, H, T, width]`: head h is ⌊h H' / H⌋ of what is there; H = H' if no count is given."""
    u = u.unflatten(-1, (-1, width)).transpose(1, 2)
    count = count or u.shape[1]
    return torch.stack([u[:, h * u.shape[1] // count] for h in range(count)], 1)


def norm(u: torch.Tensor, gain: torch.nn.RMSNorm) -> torch.Tensor:
    return u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain.weight


def scores(q: torch.Tensor, k: torch.Tensor, base: float | None, ceiling: int = 10**9) -> torch.Tensor:
    """Products `[B, H, T, T]` of `[B, H, T, K]`, the pair t, i turned by min(t - i, ceiling), as complex numbers."""
    if base is None:
        return torch.einsum("bhtk,bhik->bhti", q, k)
    half = q.shape[-1] // 2
    frequency = base ** (-torch.arange(half).double() / half)
    position = torch.arange(q.shape[2])
    angle = (position[:, None] - position).clamp(max=ceiling)[..., None] * frequency  # [T, T, K/2]
    q, k = (torch.complex(u[..., :half], u[..., half:]) for u in (q, k))
    turned = torch.polar(torch.ones_like(angle), angle)
    return torch.einsum("bhtk,bhik,tik->bhti", q, k.conj(), turned).real


def weights(z: torch.Tensor, visible: torch.Tensor | None = None) -> torch.Tensor:
    """Softmax by its definition over the keys not later than the query, and visible."""
    causal = torch.ones(z.shape[-2:], dtype=torch.bool).tril()
    e = z.exp() * (causal if visible is None else causal & visible)
    return e / e.sum(-1, keepdim=True)


def softmax_parts(mixer: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k, v of a `SoftmaxMixer` before positions, `[B, H, T, K]`, from its matrices."""
    width = mixer.key_width
    q, k, v = (x @ mixer.qkv.weight.T).split([mixer.heads * width] + 2 * [mixer.kv_heads * width], -1)
    q, k, v = (heads(u, width, mixer.heads) for u in (q, k, v))
    return norm(q, mixer.q_norm), norm(k, mixer.k_norm), v


def written(mixer: Any, o: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The heads' outputs `[B, H, T, V]` through gate and last projection."""
    o = o.transpose(1, 2).flatten(2)
    if getattr(mixer, "gate", False):
        o = o / (1 + (-x @ mixer.gate_projection.weight.T).exp())
    return o @ mixer.out.weight.T


def assert_close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("convolve", ["q", "k", "v", "qk", "kv", "vkq"])
def test_primer_against_a_loop(convolve, length):
    mixer, x = make(Primer(WIDTH, kv_heads=2, convolve=convolve, gate=True)), inputs(length)
    width = mixer.key_width
    with torch.no_grad():
        parts = (x @ mixer.qkv.weight.T).split([mixer.heads * width] + 2 * [mixer.kv_heads * width], -1)
        parts, start = dict(zip("qkv", parts, strict=True)), 0
        for letter in "qkv":
            if letter in convolve:
                u = parts[letter]
                taps = mixer.short.weight[:, start : start + u.shape[-1]]  # [3, channels], the last on the token itself
                start += u.shape[-1]
                before = [torch.cat([torch.zeros_like(u[:, :j]), u], 1)[:, :length] for j in range(3)]
                parts[letter] = before[0] * taps[2] + before[1] * taps[1] + before[2] * taps[0]
        q, k, v = (heads(parts[letter], width, mixer.heads) for letter in "qkv")
        q, k = norm(q, mixer.q_norm), norm(k, mixer.k_norm)
        o = weights(scores(q, k, mixer.rope_base) / math.sqrt(width)) @ v
        assert_close(mixer(x), written(mixer, o, x))


def test_primer_whose_taps_see_one_token_is_attention():
    mixer, attention, x = make(Primer(WIDTH)), make(Attention(WIDTH)), inputs(20)
    with torch.no_grad():
        mixer.short.weight.copy_(torch.tensor([0.0, 0.0, 1.0])[:, None])
        attention.load_state_dict(mixer.state_dict(), strict=False)
        assert_close(mixer(x), attention(x))


@pytest.mark.parametrize("convolve", ["q", "k", "v", "qk", "qv", "kv", "qkv"])
def test_primer_binds_to_the_next_token_if_keys_are_convolved(convolve):
    """A query for token 5 finds what came after it through keys that hold the token before, and in no other way."""
    size, tokens = 12, torch.tensor([3, 8, 5, 9, 7, 1, 0, 2, 5])
    mixer = Primer(size, 1, convolve=convolve, rope_base=None, qk_norm=False).double()
    identity, found = torch.eye(size, dtype=torch.float64), set()
    with torch.no_grad():
        mixer.qkv.weight.copy_(torch.cat([100 * identity, identity, identity]))
        mixer.out.weight.copy_(identity)
        for taps in itertools.product(torch.eye(3), repeat=len(convolve)):  # each reads one of the last three tokens
            mixer.short.weight.copy_(torch.stack(taps, 1).repeat_interleave(size, 1))
            found.add(int(mixer(identity[tokens][None])[0, -1].argmax()))
    assert (9 in found) is mixer.shift is ("k" in convolve)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("query_latent", [None, 11])
def test_latent_attention_against_a_loop(query_latent, length):
    mixer = make(MultiHeadLatent(WIDTH, 4, key_width=6, latent=10, rope_width=4, query_latent=query_latent))
    x = inputs(length)
    with torch.no_grad():
        down_c, down_k = mixer.down.weight.split([10, 4])
        up_k, up_v = mixer.up.weight.unflatten(0, (2, 4, 6))  # each [H, K, d_c]
        c = norm(x @ down_c.T, mixer.norm)
        u = x if query_latent is None else norm(x @ mixer.query_down.weight.T, mixer.query_norm)
        q = heads(u @ mixer.query.weight.T, 10)
        plain = torch.einsum("bhtk,hkc,bic->bhti", q[..., :6], up_k, c)
        shared = (x @ down_k.T)[:, None].expand(-1, 4, -1, -1)
        z = plain + scores(q[..., 6:], shared, mixer.rope_base)
        o = weights(z / math.sqrt(6 + 4)) @ torch.einsum("hkc,bic->bhik", up_v, c)
        assert_close(mixer(x), written(mixer, o, x))


def test_latent_decoding_forms_no_keys_and_values():
    """Its products grow by 2 H (2 d_c + K_R) a token, not by the 4 H K d_c that forming keys and values takes."""
    mixer = MultiHeadLatent(WIDTH, 4)
    grown = mixer.decode_flops(101) - mixer.decode_flops(100)
    assert grown == 2 * 4 * (2 * mixer.latent + mixer.rope_width)
    assert (mixer.latent, mixer.rope_width) == (4 * 8, 4)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "options",
    [
        {"heads": 4, "key_heads": 1, "value_heads": 2},
        {"heads": 8, "key_heads": 2, "value_heads": 4, "head_width": 6, "key_width": 4, "value_width": 5},
        {"heads": 4, "key_heads": 2, "value_heads": 1, "head_width": 6, "key_width": 3, "rope_base": None},
        {"heads": 4, "key_heads": 2, "value_heads": 2, "query_width": 0, "selected": 3},
        {"heads": 4, "value_heads": 1, "activation": "relu", "selected": 4, "renormalise": True},
    ],
    ids=["plain", "narrow keys", "narrow keys, no positions", "selected", "renormalised"],
)
def test_diff_qkv_against_a_loop(options, length):
    mixer, x = make(DiffQKV(WIDTH, **options)), inputs(length)
    count = mixer.heads
    with torch.no_grad():
        u = x @ mixer.query_in.weight.T if mixer.query_width else x
        u = u.clamp(min=0) if mixer.activation else u
        q = norm(heads(u @ mixer.query.weight.T, mixer.head_width), mixer.q_norm)
        k = norm(heads(x @ mixer.key.weight.T, mixer.key_width, count), mixer.k_norm)
        v = heads(x @ mixer.value.weight.T, mixer.value_width, count)
        if mixer.key_width != mixer.head_width:
            expand = torch.stack([mixer.expand[h * mixer.key_heads // count] for h in range(count)])  # [H, K, K']
            if mixer.rope_base is None:
                k = torch.einsum("hck,bhik->bhic", expand, k)  # expanded keys, as wide as the queries
            else:
                q = torch.einsum("hck,bhtc->bhtk", expand, q)
        a = weights(scores(q, k, mixer.rope_base) / math.sqrt(mixer.head_width))
        if mixer.selected:
            each = count // mixer.value_heads
            for b in range(a.shape[0]):
                for g in range(mixer.value_heads):
                    for t in range(length):
                        rows = a[b, g * each : (g + 1) * each, t]
                        order = sorted(range(t + 1), key=lambda i, rows=rows: -float(rows[:, i].sum()))
                        rows[:, order[mixer.selected :]] = 0.0
                        if mixer.renormalise:
                            rows /= rows.sum(-1, keepdim=True)
        assert_close(mixer(x), written(mixer, a @ v, x))


def test_diff_qkv_of_equal_heads_is_grouped_attention():
    mixer, attention, x = (
        make(DiffQKV(WIDTH, 4, 2, 2, query_width=0)),
        make(Attention(WIDTH, 4, kv_heads=2)),
        inputs(20),
    )
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.cat([mixer.query.weight, mixer.key.weight, mixer.value.weight]))
        for name in ("q_norm", "k_norm", "out"):
            getattr(attention, name).load_state_dict(getattr(mixer, name).state_dict())
        assert_close(mixer(x), attention(x))


def test_selected_values_are_fewer_reads():
    mixer = DiffQKV(2048, 16, 2, 8, selected=100)
    assert mixer.read_elements(4096) == 4096 * 2 * 128 + 100 * 8 * 128
    assert mixer.read_elements(60) == mixer.state_elements(60)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "options", [{"alpha": 3.0, "length": 20}, {"alpha": 2.0, "zeta": 1.1, "length": 9, "gate": True}]
)
def test_clipped_softmax_against_a_loop(options, length):
    mixer, x = make(ClippedSoftmax(WIDTH, kv_heads=2, **options)), inputs(length)
    with torch.no_grad():
        q, k, v = softmax_parts(mixer, x)
        gamma = -options["alpha"] / options["length"]
        a = weights(scores(q, k, mixer.rope_base) / math.sqrt(mixer.key_width))
        a = ((options.get("zeta", 1.0) - gamma) * a + gamma).clamp(0, 1) * torch.ones(length, length).tril()
        assert_close(mixer(x), written(mixer, a @ v, x))


def test_clipped_softmax_that_clips_nothing_is_attention():
    mixer, attention, x = make(ClippedSoftmax(WIDTH, alpha=0.0)), make(Attention(WIDTH)), inputs(20)
    attention.load_state_dict(mixer.state_dict())
    with torch.no_grad():
        assert_close(mixer(x), attention(x))


def test_clipped_softmax_can_write_exactly_nothing():
    """Even weights 1/t are below α / (T ζ + α) as soon as t is above T / α + 1."""
    mixer, x = make(ClippedSoftmax(WIDTH, alpha=4.0, length=40)), inputs(20)
    with torch.no_grad():
        mixer.qkv.weight[: mixer.heads * mixer.key_width] = 0.0
        y = mixer(x)
    assert not y[:, 11:].any() and y[:, :10].all()


@pytest.mark.parametrize("length", (*LENGTHS, 60))
@pytest.mark.parametrize(
    "options",
    [
        {"leading": 3, "window": 4},
        {"leading": 9, "window": 4, "gate": True},
        {"leading": 2, "window": 8, "rope_base": None},
        {"leading": 1, "window": 1},
    ],
    ids=lambda options: str(options),
)
def test_lambda_window_against_a_loop(options, length):
    mixer, x = make(LambdaWindow(WIDTH, kv_heads=2, **options)), inputs(length)
    position = torch.arange(length)
    with torch.no_grad():
        q, k, v = softmax_parts(mixer, x)
        z = scores(q, k, mixer.rope_base, ceiling=mixer.window) / math.sqrt(mixer.key_width)
        visible = (position < mixer.leading) | (position[:, None] - position < mixer.window)
        assert_close(mixer(x), written(mixer, weights(z, visible) @ v, x))


@pytest.mark.parametrize("other", [SlidingWindow(WIDTH, window=6), Attention(WIDTH)], ids=["window", "attention"])
def test_lambda_window_without_leading_tokens_or_end(other):
    leading, window = (0, 6) if isinstance(other, SlidingWindow) else (4, 50)
    mixer, other, x = make(LambdaWindow(WIDTH, leading=leading, window=window)), make(other), inputs(40)
    other.load_state_dict(mixer.state_dict())
    with torch.no_grad():
        assert_close(mixer(x), other(x))


def test_lambda_window_meets_no_distance_beyond_its_window():
    """One leading token and then the same token over and over: all outputs from W on are the same."""
    mixer, x = make(LambdaWindow(WIDTH, leading=1, window=8)), inputs(2, 1)
    with torch.no_grad():
        y = mixer(torch.cat([x[:, :1], x[:, 1:].expand(-1, 100, -1)], 1))
        assert_close(y[:, 9:], y[:, 8:9].expand(-1, 92, -1))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rate", [2, 4, 30])
def test_subsampled_training_sees_the_drawn_keys_and_the_token_itself(rate, length):
    mixer, x = make(SubsampledAttention(WIDTH, kv_heads=2, rate=rate)).train(), inputs(length)
    chosen = mixer.sources(length, torch.Generator().manual_seed(3))
    assert len(set(chosen.tolist())) == len(chosen) == math.ceil(length / rate)
    visible = torch.eye(length, dtype=torch.bool)
    visible[:, chosen] = True
    with torch.no_grad():
        q, k, v = softmax_parts(mixer, x)
        a = weights(scores(q, k, mixer.rope_base) / math.sqrt(mixer.key_width), visible)
        got, _ = mixer.prefill(x, generator=torch.Generator().manual_seed(3))
        assert_close(got, written(mixer, a @ v, x))


def test_subsampled_draws_are_uniform_and_new_each_time():
    mixer, length, draws = SubsampledAttention(WIDTH, rate=4), 16, 4000
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(length)
    for _ in range(draws):
        counts[mixer.sources(length, generator)] += 1
    assert (counts / draws - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / draws)
    torch.manual_seed(1)
    x = inputs(length).float()
    one, two = mixer(x), mixer(x)
    torch.manual_seed(1)
    assert torch.equal(mixer(x), one) and not torch.equal(one, two)


def test_subsampled_is_dense_in_evaluation_and_at_rate_one():
    mixer, x = make(SubsampledAttention(WIDTH, rate=4)), inputs(20)
    attention, all_keys = make(Attention(WIDTH)), make(SubsampledAttention(WIDTH, rate=1)).train()
    attention.load_state_dict(mixer.state_dict())
    all_keys.load_state_dict(mixer.state_dict())
    with torch.no_grad():
        assert_close(mixer(x), attention(x))
        assert_close(all_keys(x), attention(x))


@pytest.mark.parametrize("rate", [1, 4, 8])
def test_subsampled_training_costs_its_part_of_the_pairs(rate):
    mixer = SubsampledAttention(WIDTH, rate=rate)
    x = torch.randn(2, 50, WIDTH, requires_grad=True)
    with count_flops() as count:
        mixer(x).sum().backward()
    assert mixer.training_flops(50, 2) == count.flops
    with torch.no_grad(), count_flops() as count:
        mixer(x)
    assert mixer.prefill_flops(50, 2) == count.flops
    pairs = mixer.prefill_flops(4096) - 4096 * mixer._projection_flops()
    assert pairs == 4 * WIDTH * 4096**2 // rate


def build(kind: Any, **options: Any) -> Any:
    with torch.device("meta"):
        return kind(2048, 16, **options)


@pytest.mark.parametrize(
    "kind, options, short, long",
    [
        (Attention, {}, 16_777_216, 536_870_912),
        (Attention, {"kv_heads": 4}, 4_194_304, 134_217_728),
        (Attention, {"kv_heads": 1}, 1_048_576, 33_554_432),
        (Attention, {"kv_heads": 8}, 8_388_608, 268_435_456),
        (DiffQKV, {"key_heads": 2, "value_heads": 8}, 5_242_880, 167_772_160),
        (MultiHeadLatent, {}, 2_359_296, 75_497_472),
        (SlidingWindow, {"kv_heads": 4, "window": 1024}, 1_048_576, 1_048_576),
        (LambdaWindow, {"kv_heads": 4, "leading": 100, "window": 4096}, 4_194_304, 4_296_704),
        (Primer, {}, 16_777_216 + 12_288, 536_870_912 + 12_288),
        (ClippedSoftmax, {"kv_heads": 4}, 4_194_304, 134_217_728),
        (SubsampledAttention, {"kv_heads": 4}, 4_194_304, 134_217_728),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_sizes_at_width_2048(kind, options, short, long):
    mixer = build(kind, **options)
    assert (mixer.state_elements(4096), mixer.state_elements(131_072)) == (short, long)
    assert mixer.parameters_count() == sum(parameter.numel() for parameter in mixer.parameters())


def test_published_latent_shape():
    """Width 5,120, 128 heads of 128, queries through 1,536: 576 elements a token (DeepSeek-AI 2024)."""
    with torch.device("meta"):
        mixer = MultiHeadLatent(5120, 128, key_width=128, query_latent=1536)
    assert (mixer.latent, mixer.rope_width, mixer.state_elements(1)) == (512, 64, 576)


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: Primer(32, convolve=""), "convolve: at least one of the letters q, k, v, each once, got ''"),
        (lambda: Primer(32, convolve="qx"), "convolve: .*, got 'qx'"),
        (lambda: Primer(32, convolve="kk"), "convolve: .*, got 'kk'"),
        (lambda: MultiHeadLatent(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: MultiHeadLatent(32, rope_width=3), "rope_width: an even number from 2 on, got 3"),
        (lambda: MultiHeadLatent(24), "rope_width: an even number from 2 on, got 3"),
        (lambda: MultiHeadLatent(32, latent=0), "latent, query_latent: at least 1, got 0 and None"),
        (lambda: DiffQKV(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: DiffQKV(32, 4, 3), "key_heads, value_heads: must divide heads 4, got 3 and 2"),
        (lambda: DiffQKV(32, 4, 1, 0), "key_heads, value_heads: must divide heads 4, got 1 and 0"),
        (lambda: DiffQKV(32, key_width=3), "key_width: must be even for rotary positions, got 3"),
        (lambda: DiffQKV(32, activation="tanh"), "activation: None, 'relu', 'silu' or 'gelu', got 'tanh'"),
        (lambda: DiffQKV(32, selected=0), "selected: at least 1 value or None, got 0"),
        (lambda: ClippedSoftmax(32, alpha=-1.0), "alpha: at least 0, got -1.0"),
        (lambda: ClippedSoftmax(32, zeta=0.9), "zeta: at least 1, got 0.9"),
        (lambda: ClippedSoftmax(32, length=0), "length: at least 1 token, got 0"),
        (lambda: ClippedSoftmax(32, chunk=0), "chunk: at least 1 token, got 0"),
        (lambda: LambdaWindow(32, leading=-1), "leading: at least 0 tokens, got -1"),
        (lambda: LambdaWindow(32, window=0), "window: at least 1 token, got 0"),
        (lambda: SubsampledAttention(32, rate=0), "rate: one key in at least 1, got 0"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
