"""Compressed attention against loops over tokens, heads and channels, known special cases, and sizes."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.mixers import CompressedAttention

WIDTH = 32


def make(mixer: CompressedAttention) -> CompressedAttention:
    generator = torch.Generator().manual_seed(3)
    for parameter in mixer.parameters():  # gains, places and sinks too, where they would not show
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def assert_equal(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def turn(mixer: CompressedAttention, u: torch.Tensor, position: int) -> torch.Tensor:
    """The last channels of `[E]` as complex numbers, rotated."""
    half = mixer.rope_width // 2
    plain, a, b = u.split([mixer.entry - 2 * half, half, half])
    angle = position * mixer.rope_base ** (-torch.arange(half).double() / half)
    turned = torch.complex(a, b) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([plain, turned.real, turned.imag])


def normed(u: torch.Tensor, norm: torch.nn.RMSNorm) -> torch.Tensor:
    return u / (u.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight


def entry_reference(mixer: CompressedAttention, c: torch.Tensor, i: int) -> torch.Tensor:
    """Entry i `[E]` of the tokens' vectors `[T, E]`, channel by channel."""
    m, mixture = mixer.block, mixer.mixture
    roles = [(j, 0) for j in range(i * m, (i + 1) * m)]
    if mixture.overlap and i:
        roles += [(j, 1) for j in range((i - 1) * m, i * m)]
    entry = torch.zeros(mixer.entry, dtype=torch.float64)
    for channel in range(mixer.entry):
        weights = [
            float(torch.exp(mixture.logits[r].weight[channel] @ c[j] + mixture.places[r, j % m, channel]))  # type: ignore[operator]
            for j, r in roles
        ]
        entry[channel] = sum(w * c[j, channel] for w, (j, _) in zip(weights, roles, strict=True)) / sum(weights)
    return entry


def reference(mixer: CompressedAttention, x: torch.Tensor) -> torch.Tensor:
    """One sequence `[T, D]`."""
    q = normed(mixer.query(x).unflatten(-1, (mixer.heads, -1)), mixer.q_norm)
    c = normed(mixer.content(x), mixer.norm)
    entries = [entry_reference(mixer, c, i) for i in range(len(x) // mixer.block)]
    outputs = []
    for t in range(len(x)):
        index = dict.fromkeys(range((t + 1) // mixer.block), 0.0)
        if mixer.index:
            parts = mixer.index.query(x[t]).unflatten(0, (mixer.index.heads, -1))
            for i in index:
                match = torch.relu(parts[:, :-1] @ mixer.index.key(entries[i]))
                index[i] = float(parts[:, -1] @ match) / math.sqrt(match.numel() * mixer.index.key_width)
            best = sorted(index, key=lambda i: -index[i])[: mixer.index.selected]  # stable: the older of equals
            index = {i: index[i] for i in best}
        keys = [turn(mixer, c[j], j) for j in range(max(0, t - mixer.window + 1), t + 1)]
        bias = [0.0] * len(keys) + list(index.values())
        keys += [turn(mixer, entries[i], (i + 1) * mixer.block - 1) for i in index]
        heads = []
        for h in range(mixer.heads):
            own = turn(mixer, q[t, h], t)
            e = [math.exp(own @ k / math.sqrt(mixer.entry) + b) for k, b in zip(keys, bias, strict=True)]
            total = math.exp(mixer.sink[h]) + sum(e)
            read = torch.stack([w * k for w, k in zip(e, keys, strict=True)]).sum(0)
            heads.append(turn(mixer, read / total, -t))
        outputs.append(torch.cat(heads))
    return mixer.out(torch.stack(outputs))


SHAPES = [
    {"block": 3, "selected": 3, "window": 6, "index_heads": 2, "index_width": 5, "chunk": 6},
    {"heads": 2, "entry": 10, "block": 2, "overlap": False, "selected": 2, "window": 3, "rope_width": 10},
    {"heads": 2, "block": 8, "overlap": False, "selected": None, "window": 8, "chunk": 8},
    {"block": 4, "selected": None, "window": 9, "rope_width": 0},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_compressed_attention_against_loops(shape):
    mixer, x = make(CompressedAttention(WIDTH, **shape)), inputs(26)
    with torch.no_grad():
        assert_equal(mixer(x)[0], reference(mixer, x[0]))


def test_without_entries_it_is_window_attention_with_sinks():
    """Before the first block is full: one softmax over all tokens."""
    mixer, x = make(CompressedAttention(WIDTH, block=16, window=32, rope_width=0)), inputs(15, 2)
    with torch.no_grad():
        q = normed(mixer.query(x).unflatten(-1, (mixer.heads, -1)), mixer.q_norm)
        c = normed(mixer.content(x), mixer.norm)
        z = torch.einsum("bthe,bse->bhts", q, c) / math.sqrt(mixer.entry)
        e = z.exp() * torch.ones(15, 15).tril()
        weights = e / (e.sum(-1, keepdim=True) + mixer.sink.exp()[:, None, None])
        assert_equal(mixer(x), mixer.out(torch.einsum("bhts,bse->bthe", weights, c).flatten(2)))


def test_an_indexer_that_selects_all_entries_and_gives_them_nothing_is_no_indexer():
    sparse = make(CompressedAttention(WIDTH, block=4, window=8, chunk=12, selected=100))
    dense = CompressedAttention(WIDTH, block=4, window=8, chunk=12, selected=None).double()
    assert sparse.index is not None
    torch.nn.init.zeros_(sparse.index.query.weight)
    state = {name: tensor for name, tensor in sparse.state_dict().items() if not name.startswith("index")}
    dense.load_state_dict(state)
    x = inputs(50, 2)
    with torch.no_grad():
        assert_equal(sparse(x), dense(x))


def test_outputs_know_distances_not_positions():
    """40 positions later, with entries turned on as much, the same is read: values turn with the keys."""
    mixer = make(CompressedAttention(WIDTH, block=4, overlap=False, selected=None, window=4))
    x = inputs(13)
    with torch.no_grad():
        _, (window, entries, position) = mixer.prefill(x[:, :12])
        later = torch.stack([turn(mixer, one, 40) for one in entries[0]])
        step, _ = mixer.step(x[:, 12], (window, entries, position))
        assert_equal(step, mixer.out(read_after(mixer, x[:, 12], window, later, int(position) + 40)))


def read_after(mixer: CompressedAttention, x: torch.Tensor, window: torch.Tensor, entries: torch.Tensor, t: int):
    """What a step at position t reads of a window and of entries `[N, E]`, before the last projection."""
    q = normed(mixer.query(x).unflatten(-1, (mixer.heads, -1)), mixer.q_norm)[0]
    vectors = torch.cat([window[0], normed(mixer.content(x), mixer.norm)])[-mixer.window :]
    keys = [turn(mixer, c, t - len(vectors) + 1 + j) for j, c in enumerate(vectors)] + list(entries)
    heads = []
    for h in range(mixer.heads):
        e = torch.stack([torch.exp(turn(mixer, q[h], t) @ k / math.sqrt(mixer.entry)) for k in keys])
        o = (e[:, None] * torch.stack(keys)).sum(0) / (e.sum() + mixer.sink[h].exp())
        heads.append(turn(mixer, o, -t))
    return torch.cat(heads)[None]


CSA = {"entry": 512, "block": 4, "index_width": 128, "window": 128, "selected": 512, "rope_width": 64}
HCA = {"entry": 512, "block": 128, "overlap": False, "selected": None, "window": 128}


@pytest.mark.parametrize("options, sizes", [(CSA, (720_896, 21_037_056)), (HCA, (81_920, 589_824))])
def test_state_sizes_at_full_shape(options, sizes):
    with torch.device("meta"):
        mixer = CompressedAttention(2048, **options)
    assert (mixer.state_elements(4096), mixer.state_elements(131072)) == sizes
    if mixer.index:
        assert mixer.read_elements(131072) == 512 * (128 + 512) + 128 * 32768


@pytest.mark.parametrize("shape", SHAPES)
def test_every_entry_needs_only_what_the_window_holds(shape):
    """Window, entries and index keys are all that is kept, whatever the length."""
    mixer = make(CompressedAttention(WIDTH, **shape))
    state = mixer.init_state(1)
    with torch.no_grad():
        for t, x in enumerate(inputs(30).unbind(1), 1):
            _, state = mixer.step(x, state)
            entries = t // mixer.block
            assert [one.shape[1] for one in state[:-1]] == [min(t, mixer.window)] + [entries] * (len(state) - 2)
            assert sum(one.numel() for one in state[:-1]) == mixer.state_elements(t)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"heads": 5}, "heads: must divide the width, got width 32 and heads 5"),
        ({"rope_width": 3}, "rope_width: an even number up to 8, got 3"),
        ({"rope_width": 10}, "rope_width: an even number up to 8, got 10"),
        ({"block": 1}, "block, chunk: at least 2 and 1 tokens, got 1 and 128"),
        ({"block": 8, "window": 15}, "window: at least the 16 tokens of an entry, got 15"),
        ({"selected": 0}, "index_heads, index_width, selected: from 1 on, got 4, 2, 0"),
    ],
)
def test_bad_shapes(options, message):
    with pytest.raises(ValueError, match=message):
        CompressedAttention(WIDTH, **options)
