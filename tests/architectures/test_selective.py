"""Mixers that select or keep slots: against loops written from the papers' equations, and known special cases."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recallscope.architectures.mixers import (
    Attention,
    FixedQueryPooling,
    GatedSlots,
    Landmark,
    MemSizer,
    NativeSparse,
    NGramHead,
)
from torch.nn import functional as F

WIDTH = 32


def make(mixer: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    for parameter in mixer.parameters():  # gains and biases too, where they would not show
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def assert_equal(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def turn(u: torch.Tensor, position: int, base: float = 10_000.0) -> torch.Tensor:
    """RoPE of `[..., K]` at one position, as complex multiplication."""
    half = u.shape[-1] // 2
    angle = position * base ** (-torch.arange(half).double() / half)
    turned = torch.complex(u[..., :half], u[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], -1)


def normed(u: torch.Tensor, norm: torch.nn.RMSNorm) -> torch.Tensor:
    return u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight


def plain_heads(mixer: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Normed q, k and plain v `[T, H or H_kv, K]` of one sequence, before rotation."""
    q, k, v = mixer.qkv(x).unflatten(-1, (-1, mixer.key_width)).split([mixer.heads] + 2 * [mixer.kv_heads], -2)
    return [normed(q, mixer.q_norm), normed(k, mixer.k_norm), v]


def attend(q: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """One query `[K]`: output and weights; nothing from no keys."""
    if not keys:
        return torch.zeros_like(q), q.new_zeros(0)
    weights = (torch.stack(keys) @ q / math.sqrt(len(q))).softmax(0)
    return weights @ torch.stack(values), weights


def sparse_reference(mixer: NativeSparse, x: torch.Tensor) -> torch.Tensor:
    """One sequence, loops over tokens, heads and blocks."""
    length, (span, d, size) = len(x), (mixer.compress_block, mixer.stride, mixer.select_block)
    q, k, v = plain_heads(mixer, x)
    group = mixer.heads // mixer.kv_heads
    starts = range(0, length - span + 1, d)
    short = [  # keys in the frame of the block, whose entry is placed where the block starts
        [turn(mixer.compress.keys(torch.cat([turn(k[s + i, h], i) for i in range(span)])), s) for s in starts]
        for h in range(mixer.kv_heads)
    ]
    short_values = [
        [mixer.compress.values(torch.cat([v[s + i, h] for i in range(span)])) for s in starts]
        for h in range(mixer.kv_heads)
    ]
    gates = torch.sigmoid(mixer.branches(x)).unflatten(-1, (mixer.heads, 3))
    outputs = torch.zeros(length, mixer.heads, mixer.key_width, dtype=torch.float64)
    for t in range(length):
        seen = sum(s + span <= t + 1 for s in starts)
        for kv in range(mixer.kv_heads):
            heads = range(kv * group, (kv + 1) * group)
            keys = [turn(k[i, kv], i) for i in range(t + 1)]
            compressed = {h: attend(turn(q[t, h], t), short[kv][:seen], short_values[kv][:seen]) for h in heads}
            scores = []
            for block in range(t // size + 1):
                tokens = range(block * size, (block + 1) * size)
                cover = [(e, len(set(tokens) & set(range(e * d, e * d + span)))) for e in range(seen)]
                scores.append(sum(float(compressed[h][1][e]) * n for h in heads for e, n in cover))
            forced = {0, t // size, max(0, t // size - 1)}
            others = sorted(set(range(len(scores))) - forced, key=lambda b: -scores[b])
            chosen = forced | set(others[: mixer.selected - len(forced)])
            picked = [i for i in range(t + 1) if i // size in chosen]
            for h in heads:
                own = turn(q[t, h], t)
                selected, _ = attend(own, [keys[i] for i in picked], [v[i, kv] for i in picked])
                near = range(max(0, t - mixer.window + 1), t + 1)
                window, _ = attend(own, [keys[i] for i in near], [v[i, kv] for i in near])
                outputs[t, h] = gates[t, h] @ torch.stack([compressed[h][0], selected, window])
    return mixer.out(outputs.flatten(1))


@pytest.mark.parametrize(
    "shape",
    [
        {"compress_block": 4, "stride": 2, "select_block": 4, "selected": 4, "window": 5},
        {"kv_heads": 1, "heads": 2, "compress_block": 3, "stride": 3, "select_block": 6, "selected": 3, "window": 4},
    ],
)
def test_native_sparse_against_loops(shape):
    mixer, x = make(NativeSparse(WIDTH, chunk=10, **shape)), inputs(29, 1)
    with torch.no_grad():
        assert_equal(mixer(x)[0], sparse_reference(mixer, x[0]))


def test_native_sparse_is_attention_where_it_selects_everything():
    mixer, x = make(NativeSparse(WIDTH, compress_block=32, stride=32, select_block=32, window=64)), inputs(31)
    attention = Attention(WIDTH).double()
    attention.load_state_dict({k: w for k, w in mixer.state_dict().items() if k in attention.state_dict()})
    torch.nn.init.zeros_(mixer.branches.weight)  # gates of one half: (0 + attention + attention) / 2
    with torch.no_grad():
        assert_equal(mixer(x), attention(x))


def landmark_reference(mixer: Landmark, x: torch.Tensor) -> torch.Tensor:
    """One sequence, loops over tokens, heads and blocks; the two softmaxes of the paper."""
    length, size = len(x), mixer.block
    q, k, v = plain_heads(mixer, x)
    group = mixer.heads // mixer.kv_heads
    place = [i + i // size for i in range(length)]
    keys = [[turn(k[i, h], place[i]) for i in range(length)] for h in range(mixer.kv_heads)]
    marks = []  # of each block, by key head
    landmark = plain_heads(mixer, mixer.landmark[None])[0][0]
    for b in range(length // size):
        tokens, at = range(b * size, (b + 1) * size), (b + 1) * (size + 1) - 1
        read = [
            attend(turn(landmark[h], at), [keys[h // group][i] for i in tokens], [v[i, h // group] for i in tokens])[0]
            for h in range(mixer.heads)
        ]
        hidden = mixer.landmark + mixer.out(torch.cat(read))
        marks.append(turn(plain_heads(mixer, hidden[None])[1][0], at))
    outputs = torch.zeros(length, mixer.heads, mixer.key_width, dtype=torch.float64)
    scale = mixer.key_width**-0.5
    for t in range(length):
        own = t // size
        near = own - mixer.local // size + 1
        for kv in range(mixer.kv_heads):
            heads = range(kv * group, (kv + 1) * group)
            queries = {h: turn(q[t, h], place[t]) for h in heads}
            z = {h: [float(queries[h] @ marks[b][kv]) * scale for b in range(own)] for h in heads}
            far = sorted(range(max(near, 0)), key=lambda b: -sum(z[h][b] for h in heads))
            blocks = far[: mixer.keep] + list(range(max(near, 0), own))
            for h in heads:
                tokens = range(own * size, t + 1)
                logits = [float(queries[h] @ keys[kv][i]) * scale for i in tokens] + [z[h][b] for b in blocks]
                main = torch.tensor(logits, dtype=torch.float64).softmax(0)
                o = sum(w * v[i, kv] for w, i in zip(main, tokens, strict=False))
                for w, b in zip(main[len(tokens) :], blocks, strict=True):
                    inside = range(b * size, (b + 1) * size)
                    o = o + w * attend(queries[h], [keys[kv][i] for i in inside], [v[i, kv] for i in inside])[0]
                outputs[t, h] = o
    return mixer.out(outputs.flatten(1))


@pytest.mark.parametrize(
    "shape", [{}, {"keep": 2}, {"kv_heads": 1, "heads": 2, "keep": 1, "local": 8}, {"keep": 0}], ids=str
)
def test_landmark_against_loops(shape):
    mixer, x = make(Landmark(WIDTH, block=4, chunk=8, **shape)), inputs(30, 1)
    with torch.no_grad():
        assert_equal(mixer(x)[0], landmark_reference(mixer, x[0]))


def test_landmark_special_cases():
    x = inputs(40)
    mixer = make(Landmark(WIDTH, block=8))
    for kept in ({"keep": 4}, {"keep": 0, "local": 40}):  # four earlier blocks at most
        other = Landmark(WIDTH, block=8, **kept).double()
        other.load_state_dict(mixer.state_dict())
        with torch.no_grad():
            assert_equal(other(x), mixer(x))
    mixer, attention = make(Landmark(WIDTH, block=64)), Attention(WIDTH).double()
    attention.load_state_dict({k: w for k, w in mixer.state_dict().items() if k in attention.state_dict()})
    with torch.no_grad():
        assert_equal(mixer(x), attention(x))


def test_landmark_reaches_every_token():
    x = inputs(70, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(make(Landmark(WIDTH, block=8))(x)[0, -1].sum(), x)
    assert gradient.abs().sum(-1).all()


def elements_read(mixer: Any, x: torch.Tensor, state: Any) -> int:
    """Elements of the caches before a step that spoil its output if they are not numbers, and the token's own."""
    read = 2 * mixer.kv_heads * mixer.key_width
    for i, cache in enumerate(state):
        for slot in range(cache.shape[1]):
            for head in range(mixer.kv_heads):
                spoiled = list(state)
                spoiled[i] = cache.clone()
                spoiled[i][:, slot, head] = torch.nan
                read += mixer.key_width * int(mixer.step(x, tuple(spoiled))[0].isnan().any())
    return read


@pytest.mark.parametrize("t", [5, 41, 48])
@pytest.mark.parametrize("shape", [{}, {"keep": 1, "local": 16}])
def test_landmark_reads_what_it_declares(shape, t):
    mixer, x = make(Landmark(WIDTH, 2, kv_heads=2, block=8, **shape)), inputs(t, 1)
    with torch.no_grad():
        measured = elements_read(mixer, x[:, -1], mixer.prefill(x[:, :-1])[1])
    rest = -t % 8 if shape and t > 24 else 0  # the own block is counted whole
    assert mixer.read_elements(t) == measured + 2 * 2 * mixer.key_width * rest


@pytest.mark.parametrize("t", [5, 41, 48])
def test_native_sparse_reads_at_most_what_it_declares(t):
    shape = {"compress_block": 4, "stride": 4, "select_block": 4, "selected": 3, "window": 4}
    mixer, x = make(NativeSparse(WIDTH, 2, **shape)), inputs(t, 1)
    with torch.no_grad():
        measured = elements_read(mixer, x[:, -1], mixer.prefill(x[:, :-1])[1])
    token = 2 * 2 * mixer.key_width
    made = token * int(t % 4 == 0)  # the entry that this step makes is read without having been stored
    window = token * 4  # is among the last two blocks, which are read anyway
    assert mixer.read_elements(t) == measured + made + (window if t > 5 else 0)


def test_memsizer_against_its_matrix_form():
    mixer, x = make(MemSizer(WIDTH, 3, 5, chunk=7)), inputs(20)
    with torch.no_grad():
        a = sum(head.softmax(-1) for head in mixer.read(x).split(5, -1)) / 3
        k, v = mixer.write_norm(mixer.write(x)), mixer.value_norm(mixer.value(x))
        want = (a @ k.transpose(1, 2)).tril() @ v / torch.arange(1, 21).double()[:, None].sqrt()
        assert_equal(mixer(x), want)


def test_gated_slots_against_the_unrolled_sum():
    mixer, x = make(GatedSlots(WIDTH, 2, 5, root=3.0, chunk=4)), inputs(19)
    with torch.no_grad():
        q, k, v = F.silu(mixer.qkv(x)).unflatten(-1, (3, 2, -1)).unbind(2)
        alpha = torch.sigmoid(mixer.decay(x)).unflatten(-1, (2, 5)) ** (1 / 3)
        outputs = []
        for t in range(19):
            # what each token's writing has become by t, [B, i, H, m]
            left = torch.stack([(1 - alpha[:, i]) * alpha[:, i + 1 : t + 1].prod(1) for i in range(t + 1)], 1)
            keys, values = (torch.einsum("bihm,bihk->bhmk", left, u[:, : t + 1]) for u in (k, v))
            weights = torch.einsum("bhmk,bhk->bhm", keys, q[:, t] / math.sqrt(WIDTH / 2)).softmax(-1)
            outputs.append(torch.einsum("bhm,bhmk->bhk", weights, values))
        o = F.silu(torch.stack(outputs, 1).flatten(2))
        assert_equal(mixer(x), mixer.out(normed(o, mixer.norm)))


def test_gated_slots_that_forget_at_once_hold_the_last_token():
    mixer, x = make(GatedSlots(WIDTH, 2, 5, root=1e-8)), inputs(40).requires_grad_()
    y = mixer(x)
    v = F.silu(mixer.qkv(x))[..., -WIDTH:]
    assert_equal(y, mixer.out(normed(F.silu(v), mixer.norm)))
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters()) and x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_pooling_against_softmax_over_the_past(scale):
    """Scores of thousands, rising and falling, do not overflow."""
    mixer, x = make(FixedQueryPooling(WIDTH, 3, 6, chunk=5)), inputs(23)
    with torch.no_grad():
        mixer.query.weight *= scale
        scores = mixer.query(torch.tanh(mixer.affinity(x)) * torch.tanh(mixer.context))
        pooled = [scores[:, : t + 1].softmax(1).transpose(1, 2) @ x[:, : t + 1] for t in range(23)]
        assert_equal(mixer(x), mixer.out(torch.stack(pooled, 1).flatten(2)))


def test_pooling_forgets_order_and_does_not_ask():
    mixer, x = make(FixedQueryPooling(WIDTH)), inputs(90)
    with torch.no_grad():
        assert_equal(mixer(x.flip(1))[:, -1], mixer(x)[:, -1])  # the last token asks no other question than the first


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngram_head_against_its_definition(order):
    mixer, x = make(NGramHead(WIDTH, order)), inputs(40)
    ids = torch.randint(0, 3, (2, 40), generator=torch.Generator().manual_seed(order))
    want, found = mixer.own(x), 0
    for b in range(2):
        for i in range(1, 41):  # from 1, as in the paper
            c = [None, *ids[b].tolist()]
            matches = [j for j in range(order + 1, i) if c[j - order : j] == c[i - order + 1 : i + 1]]
            found += bool(matches)
            if matches:
                want[b, i - 1] = want[b, i - 1] + mixer.found(x[b, [j - 1 for j in matches]].mean(0))
    assert found > 10
    with torch.no_grad():
        assert_equal(mixer.prefill(x, ids=ids)[0], want)
        outputs, state = [], mixer.init_state(2)
        for t in range(40):
            y, state = mixer.step(x[:, t], state, ids[:, t])
            outputs.append(y)
        assert_equal(torch.stack(outputs, 1), want)


def test_ngram_head_stands_in_for_ids():
    mixer = make(NGramHead(WIDTH, 2, codes=200))
    ids = torch.randint(0, 5, (2, 60), generator=torch.Generator().manual_seed(1))
    x = inputs(5)[0][ids]  # five embeddings: equal tokens have equal codes, and others, among 200, others
    assert_equal(mixer(x), mixer.prefill(x, ids=ids)[0])


@pytest.mark.parametrize(
    "mixer, shape, stored, read",
    [
        (
            NativeSparse,
            {"heads": 16, "kv_heads": 4, "compress_block": 32, "stride": 16}
            | {"select_block": 64, "selected": 16, "window": 512},
            (4_455_424, 142_605_312),
            (1_833_984, 9_960_448),
        ),
        (
            Landmark,
            {"heads": 16, "kv_heads": 4, "block": 50, "keep": 4, "local": 250},
            (4_277_248, 136_901_632),
            (502_272, 1_802_752),
        ),
        (MemSizer, {"slots": 32}, (65_536, 65_536), (65_536, 65_536)),
        (GatedSlots, {"heads": 16, "slots": 64}, (262_144, 262_144), (262_144, 262_144)),
        (FixedQueryPooling, {"queries": 4}, (8_200, 8_200), (8_200, 8_200)),
        (NGramHead, {}, (8_392_704, 268_566_528), (8_392_704, 268_566_528)),
    ],
)
def test_states_of_a_layer_of_width_2048(mixer, shape, stored, read):
    with torch.device("meta"):
        layer = mixer(2048, **shape)
    assert tuple(layer.state_elements(t) for t in (4_096, 131_072)) == stored
    assert tuple(layer.read_elements(t) for t in (4_096, 131_072)) == read


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: NativeSparse(WIDTH, stride=3), "stride: must divide compress_block, 16, got 3"),
        (
            lambda: NativeSparse(WIDTH, select_block=8),
            "select_block: a multiple of stride, at least compress_block, got 8",
        ),
        (lambda: NativeSparse(WIDTH, select_block=20), "select_block: a multiple of stride"),
        (
            lambda: NativeSparse(WIDTH, selected=2),
            r"selected: at least 3 blocks \(first, current, the one before\), got 2",
        ),
        (lambda: NativeSparse(WIDTH, window=15), "window: at least compress_block, 16, got 15"),
        (lambda: NativeSparse(WIDTH, chunk=0), "chunk: at least 1 token, got 0"),
        (lambda: Landmark(WIDTH, block=0), "block: at least 1 token, got 0"),
        (lambda: Landmark(WIDTH, keep=-1), "keep: None or a number of blocks, got -1"),
        (lambda: Landmark(WIDTH, local=24), "local: a multiple of block, 16, got 24"),
        (lambda: Landmark(WIDTH, chunk=0), "chunk: at least 1 token, got 0"),
        (lambda: MemSizer(WIDTH, slots=0), "slots: at least 1, got 0"),
        (lambda: GatedSlots(30), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: GatedSlots(WIDTH, slots=0), "slots: at least 1, got 0"),
        (lambda: GatedSlots(WIDTH, root=0.0), "root: above 0, got 0.0"),
        (lambda: FixedQueryPooling(WIDTH, queries=0), "queries: at least 1, got 0"),
        (lambda: NGramHead(WIDTH, order=0), "order: at least 1, got 0"),
        (lambda: NGramHead(WIDTH).prefill(torch.zeros(2, 3, WIDTH), ids=torch.zeros(2, 3)), "ids: integers of shape"),
    ],
)
def test_bad_input(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
