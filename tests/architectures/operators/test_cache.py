"""Operators on caches, against steps of real mixers on caches that were really cut, paged and left out."""

from __future__ import annotations

import math

import pytest
import sympy
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.costs import T
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.operators.cache import evict, hard_attention, select_pages, share_caches
from recallscope.architectures.operators.depth import share_layers
from recallscope.architectures.operators.quantisation import quantise, quantise_state
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.specification import specification

WIDTH, HEADS, KV, K = 32, 4, 2, 8


def model(*mixers, ffn=0, **config):
    layers = tuple(({"mixer": m} if isinstance(m, str) else m) for m in mixers)
    return specification(Architecture("test", ModelConfig(0, WIDTH, layers, ffn, **config)))


def attention(**options):
    return {"mixer": "attention", "heads": HEADS, "kv_heads": KV} | options


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return MIXERS["attention"](WIDTH, HEADS, kv_heads=KV).double()


def cache(length):
    return tuple(torch.randn(1, length, KV, K, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize("t", [3, 10, 25])
def test_evicted_cache_is_what_a_step_then_keeps_and_computes(layer, t):
    spec, budget = evict(model(attention()), 10), 10
    keys, values = cache(t - 1)
    before = tuple(torch.cat([u[:, :4], u[:, 4:][:, -(budget - 5) :]], 1) for u in (keys, values))  # 4 sinks, window
    before = tuple(u[:, : budget - 1] for u in before)
    with torch.no_grad(), count_flops() as counted:
        _, state = layer.step(torch.randn(1, WIDTH, dtype=torch.float64), before)
    assert spec.decode_flops(t) == counted.flops
    assert spec.state_elements(t) == spec.read_elements(t) == sum(u.numel() for u in state)
    assert spec.write_elements(t) == 2 * KV * K
    assert spec.applied == ("evict(budget=10)",)
    assert spec.prefill_flops(t) == model(attention()).prefill_flops(t)


def test_sinks_and_window_cost_what_the_mixer_with_that_mask_does():
    dropped = evict(model(attention()), 4 + 12)
    masked = model({"mixer": "lambda_window", "heads": HEADS, "kv_heads": KV, "leading": 4, "window": 12})
    for t in (1, 4, 16, 17, 500):
        assert dropped.state_elements(t) == masked.state_elements(t)
        assert dropped.decode_bytes(t) == masked.decode_bytes(t)
        assert dropped.decode_flops(t) == masked.decode_flops(t)


def test_eviction_once_after_the_prompt():
    spec = evict(model(attention()), 5, prompt=20)
    kept = list(range(5))
    for t in range(20, 40):
        assert spec.state_elements(t) == 2 * KV * K * len(kept)
        kept.append(t)
    unlimited = evict(model(attention()), 30, prompt=20)
    assert [unlimited.state_elements(t) for t in range(1, 50)] == [2 * KV * K * t for t in range(1, 50)]


def test_scores_of_heavy_hitters_are_kept_read_and_written():
    plain, scored = evict(model(attention()), 6), evict(model(attention()), 6, scores=True)
    for quantity in ("state_elements", "read_elements", "write_elements"):
        assert getattr(scored, quantity)(9) - getattr(plain, quantity)(9) == torch.zeros(KV, 6).numel()


def test_pages_are_found_by_exact_bounds_and_read_alone(layer):
    page, pages, t = 4, 2, 24
    spec = select_pages(model(attention()), page, pages)
    keys, values = cache(t - 1)
    query = torch.randn(HEADS, K, dtype=torch.float64)
    low, high = (getattr(keys[0, : t - page].unflatten(0, (-1, page)), name)(1) for name in ("amin", "amax"))
    positive, negative = query.clamp(min=0).unflatten(0, (KV, -1)), query.clamp(max=0).unflatten(0, (KV, -1))
    with count_flops() as bounding:  # as two products
        bounds = torch.einsum("gjk,pgk->gjp", positive, high) + torch.einsum("gjk,pgk->gjp", negative, low)
    each = torch.maximum(
        query[:, None] * high.repeat_interleave(2, 1).transpose(0, 1),
        query[:, None] * low.repeat_interleave(2, 1).transpose(0, 1),
    )
    torch.testing.assert_close(bounds.flatten(0, 1), each.sum(-1), atol=1e-12, rtol=0)
    with torch.no_grad(), count_flops() as read:
        _, state = layer.step(
            torch.randn(1, WIDTH, dtype=torch.float64), tuple(u[:, : page * pages - 1] for u in (keys, values))
        )
    count = t // page  # the page of the new token has bounds too
    assert spec.decode_flops(t) == read.flops + bounding.flops * count // low.shape[0]
    kept = [*cache(t), torch.zeros(2, count, KV, K)]
    assert spec.state_elements(t) == sum(u.numel() for u in kept)
    assert spec.read_elements(t) == sum(u.numel() for u in state) + kept[-1].numel()
    assert spec.write_elements(t) == 2 * KV * K + kept[-1][:, 0].numel()


def test_all_pages_are_the_whole_cache_and_its_bounds():
    whole, paged = model(attention()), select_pages(model(attention()), 4, 100)
    assert paged.read_elements(30) - whole.read_elements(30) == 2 * KV * K * math.ceil(30 / 4)


def test_hard_attention_by_the_set_of_values_that_are_read(layer):
    s, t = 3, 20
    spec, whole = hard_attention(model(attention()), s), model(attention())
    weights = torch.zeros(HEADS, t)
    for head in range(HEADS):  # the heads of a group choose apart
        weights[head, head * s : (head + 1) * s] = 1
    read = weights.unflatten(0, (KV, -1)).amax(1).sum() * K
    assert spec.read_elements(t) == KV * K * t + int(read)
    assert spec.read_elements(4) == KV * K * 8  # as many as there are
    with count_flops() as values:
        torch.bmm(torch.randn(HEADS, 1, t), torch.randn(HEADS, t, K))
    with count_flops() as chosen:
        torch.bmm(torch.randn(HEADS, 1, s), torch.randn(HEADS, s, K))
    assert spec.decode_flops(t) - whole.decode_flops(t) == chosen.flops - values.flops
    assert spec.state_elements(t) == whole.state_elements(t)


def test_hard_attention_is_selection_of_values_where_each_query_has_its_own_head():
    options = {"heads": HEADS, "query_width": 0}
    chosen = {"mixer": "diff_qkv", "key_heads": HEADS, "value_heads": HEADS, "selected": 3} | options
    hard = hard_attention(model({"mixer": "attention", "heads": HEADS}), 3)
    for t in (2, 3, 50):
        assert hard.decode_flops(t) == model(chosen).decode_flops(t)
        assert hard.decode_bytes(t) == model(chosen).decode_bytes(t)


def test_hard_attention_keeps_what_a_sink_adds():
    sunk, whole = (f(model(attention(sinks=True))) for f in (lambda m: hard_attention(m, 3), lambda m: m))
    with count_flops() as values:  # the kernel pads values by the sink's channel
        torch.bmm(torch.randn(HEADS, 1, 17), torch.randn(HEADS, 17, K + 1))
    assert whole.decode_flops(20) - sunk.decode_flops(20) == values.flops


def test_neighbours_share_a_cache():
    whole = model(*[attention()] * 4, ffn=48)
    shared = share_caches(whole, 2)
    assert shared.state_elements(10) == whole.state_elements(10) / 2
    assert shared.write_elements(10) == whole.write_elements(10) / 2
    assert shared.read_elements(10) == whole.read_elements(10)
    borrower = torch.nn.Linear(WIDTH, HEADS * K, bias=False)  # and a norm of queries alone
    owner = torch.nn.Linear(WIDTH, (HEADS + 2 * KV) * K, bias=False)
    lost = owner.weight.numel() - borrower.weight.numel() + K
    assert whole.parameters() - shared.parameters() == 2 * lost
    with count_flops() as less:
        torch.mm(torch.randn(1, WIDTH), torch.randn(WIDTH, 2 * KV * K))
    assert whole.decode_flops(10) - shared.decode_flops(10) == 2 * less.flops
    assert whole.prefill_flops(10) - shared.prefill_flops(10) == 20 * less.flops
    assert {w.name: w.count for w in shared.weights if w.name.startswith("mixer.q")} == {
        "mixer.qkv": 2,
        "mixer.query": 2,
    }


def test_the_upper_half_shares_one_cache():
    half = [{"mixer": "sliding_window", "window": 8, "heads": HEADS}] * 4
    whole = model(*half, *[attention()] * 4)
    once = share_caches(whole, groups=[range(4, 8)])
    cached = 2 * KV * K * 1000
    assert once.state_elements(1000) == model(*half).state_elements(1000) + cached
    assert once.read_elements(1000) == model(*half).read_elements(1000) + 4 * cached


def test_what_changes_nothing_is_the_untouched_specification():
    spec = model(attention(), attention(), ffn=48)
    assert share_caches(spec, 1) is spec
    for t in (1, 50):
        assert evict(spec, 100).decode_bytes(t) == spec.decode_bytes(t)
        assert hard_attention(spec, 100).decode_bytes(t) == spec.decode_bytes(t)
        assert hard_attention(spec, 100).decode_flops(t) == spec.decode_flops(t)


def test_operators_compose():
    spec = model(attention(), "mamba2", attention(), ffn=48)
    done = quantise_state(hard_attention(select_pages(evict(prune(spec, 0.5), 16), 4, 2), 1), 4)
    assert done.applied[-4:] == (
        "evict(budget=16)", "select_pages(page=4, pages=2)", "hard_attention(kept=1)", "quantise_state(bits=4)",
    )  # fmt: skip
    recurrent = model("mamba2").state_elements(100)
    bounds = 2 * KV * K * 4
    assert done.state_elements(100) == recurrent + 2 * (16 * 2 * KV * K + bounds)
    assert done.read_elements(100) == recurrent + 2 * (8 * KV * K + 2 * KV * K + bounds)
    assert done.state_bytes(100) == done.state_elements(100) / 2
    pairs = 4 * HEADS * K * 8 - 2 * HEADS * K * 7 + 4 * HEADS * K * 4
    untouched = prune(spec, 0.5)
    assert done.decode_flops(100) - untouched.decode_flops(100) == 2 * (pairs - 4 * HEADS * K * 100)
    assert done.quality == () and spec.caches == ()


def test_order_of_sharing_and_eviction_does_not_matter():
    spec = model(*[attention()] * 4, ffn=48)
    one, other = evict(share_caches(spec, 2), 8), share_caches(evict(spec, 8), 2)
    for t in (5, 8, 100):
        assert one.decode_bytes(t) == other.decode_bytes(t)
        assert one.decode_flops(t) == other.decode_flops(t)
        assert one.state_elements(t) == other.state_elements(t) == model(attention()).state_elements(min(t, 8)) * 2
    assert quantise(one, 4).weight_bytes() == quantise(other, 4).weight_bytes()


def test_looped_layers_keep_a_cache_for_each_pass():
    looped = model(attention(), attention(), ffn=48, loops=3)
    once = model(attention(), attention(), ffn=48)
    assert evict(looped, 5).state_elements(9) == 3 * once.state_elements(5)
    assert share_caches(looped, 2).state_elements(9) == 3 * once.state_elements(9) / 2
    for change in (lambda one: prune(one, 0.5), lambda one: evict(one, 5), lambda one: share_caches(one, 2)):
        saved = looped.decode_flops(9) - change(looped).decode_flops(9)
        assert saved == 3 * (once.decode_flops(9) - change(once).decode_flops(9)) > 0
    with pytest.raises(ValueError, match="comes before operators that split or share"):
        share_caches(share_layers(once, 1), 2)


def test_expressions_and_integers_agree():
    spec = hard_attention(select_pages(evict(model(attention(), "primer"), 16), 4, 2), 1, layers=[0])
    for quantity in ("state_elements", "read_elements", "write_elements", "decode_flops", "decode_bytes"):
        for t in (1, 7, 8, 9, 16, 100):
            assert float(sympy.sympify(getattr(spec, quantity)(T)).subs(T, t)) == getattr(spec, quantity)(t)


def test_latent_and_compressed_caches_can_be_cut_too():
    for name in ("mla", "landmark", "native_sparse", "diff_qkv"):
        spec = evict(model({"mixer": name}), 64)
        assert spec.state_elements(1000) == model({"mixer": name}).state_elements(64)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: evict(model("mamba2"), 8), r"layers: with a cache of all tokens \(none\)"),
        (lambda: evict(model(attention(), "mamba2"), 8, layers=[1]), r"layers: .* \(\[0\]\), got \[1\]"),
        (lambda: evict(model(attention()), 0), "budget: an integer of at least 1, got 0"),
        (lambda: evict(model(attention()), 4, layers=[7]), "layers: some of 0 to 0"),
        (lambda: select_pages(model("mla"), 4, 2), "layers: with a cache of keys and values"),
        (lambda: select_pages(model(attention()), 0, 2), "page: an integer"),
        (lambda: hard_attention(model(attention()), 0), "kept: an integer"),
        (lambda: share_caches(model(attention())), "factor, groups: exactly one"),
        (lambda: share_caches(model(attention(), attention()), groups=[[0, 1], [1]]), "each once"),
        (lambda: share_caches(model(attention(), attention(kv_heads=1)), 2), "as many key heads"),
        (lambda: share_caches(share_caches(model(*[attention()] * 2), 2), 2), "layers that do not share yet"),
        (lambda: share_caches(prune(model(*[attention()] * 2), 0.5), 2), "share_caches: needs dense"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
