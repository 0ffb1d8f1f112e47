"""Operators on key and value heads, against tensors of real mixers, published ratios and a search for the length."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.cache import evict
from recallscope.architectures.operators.kv_heads import break_even_length, differentiate_heads, resize_heads
from recallscope.architectures.operators.quantisation import quantise
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.specification import specification

LAYER = {"mixer": "attention", "heads": 8, "rope_base": 500.0, "qk_norm": False}
WINDOW = {"mixer": "sliding_window", "heads": 8, "window": 4}


def model(*layers, width=64, vocabulary=10):
    return specification(Architecture("test", ModelConfig(vocabulary, width, layers or (LAYER, LAYER), 48)))


def measured(spec, t):
    """Elements of the state of the real model after t tokens, parameters of it."""
    real = LanguageModel(spec.architecture.config)
    with torch.no_grad():
        _, states = real.prefill(torch.zeros(1, t, dtype=torch.long))
    kept = sum(u.numel() for state in states for u in state if u.ndim and u.shape[0] == 1)
    return kept, sum(p.numel() for p in real.parameters())


@pytest.mark.parametrize("kv_heads, key_width", [(8, 8), (4, None), (1, None), (2, 4), (None, 16)])
def test_caches_of_the_resized_model(kv_heads, key_width):
    before = model(LAYER, WINDOW)
    after = resize_heads(before, kv_heads, key_width)
    kept, parameters = measured(after, 9)
    assert after.state_elements(9) == kept
    assert after.parameters() == parameters
    elements = 2 * (kv_heads or 8) * (key_width or 8)
    assert after.state_elements(9) == elements * (9 + 4)


def test_as_many_heads_as_before_is_the_same_specification():
    before = model()
    assert resize_heads(before, 8, 8) is before
    assert resize_heads(before) is before


def test_one_layer_alone_and_bits_carried_over():
    after = resize_heads(quantise(model(), 4), 2, layers=[1])
    assert after.state_elements(1) == 2 * 64 + 2 * 16
    assert {w.bits for w in after.weights if w.name.startswith("mixer")} == {4}
    assert after.applied[-1] == "resize_heads(kv_heads=2, layers=[1])"


@pytest.mark.parametrize("selected", [None, 5])
def test_keys_and_values_apart(selected):
    after = differentiate_heads(model(), 2, 4, key_width=4, selected=selected)
    kept, parameters = measured(after, 9)
    assert after.state_elements(9) == kept == 2 * 9 * (2 * 4 + 4 * 8)
    assert after.parameters() == parameters
    assert after.read_elements(9) == 2 * (9 * 2 * 4 + (selected or 9) * 4 * 8)
    assert after.architecture.config.layers[0]["rope_base"] == 500.0


def test_published_saving_of_sigma_and_equal_heads():
    layer = {"mixer": "attention", "heads": 32, "kv_heads": 16}
    before = model(layer, width=2048)
    assert differentiate_heads(before, 4, 16).state_elements(7) / before.state_elements(7) == 0.625  # 37.5 % less
    same = differentiate_heads(before, 16, 16)
    assert same.decode_bytes(100) == before.decode_bytes(100)
    assert same.decode_flops(100) == before.decode_flops(100)


def test_augmented_queries_pay_from_the_break_even_length_on():
    before = model({"mixer": "attention", "heads": 8, "kv_heads": 4})
    after = differentiate_heads(before, 1, 4, query_width=96)
    for batch in (1, 3):
        length = break_even_length(before, after, batch)
        longer = [t for t in range(1, 3000) if after.decode_bytes(t, batch) <= before.decode_bytes(t, batch)]
        assert longer[0] == math.ceil(length) and len(longer) == 3000 - longer[0]
    extra = 64 * 96 + 96 * 64 - 64 * 64 - 3 * 8 * 64  # W_Q1, W_Q2 for W_Q; three key heads less
    assert break_even_length(before, after) + 1 == pytest.approx(extra / (3 * 8))  # the write of a token saves too


def test_break_even_where_one_is_always_cheaper():
    before = model()
    assert break_even_length(before, resize_heads(before, 2)) == 0
    assert break_even_length(resize_heads(before, 2), before) == math.inf


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: resize_heads(model(), 3), "kv_heads: must divide heads"),
        (lambda: resize_heads(model(), 0), "kv_heads: an integer of at least 1"),
        (lambda: resize_heads(model({"mixer": "mamba2"}), 1), "layers: with softmax attention"),
        (lambda: resize_heads(prune(model(), 0.5), 2), "resize_heads.*comes before operators on weights"),
        (lambda: resize_heads(evict(model(), 5), 2), "comes before operators on weights and caches"),
        (lambda: differentiate_heads(model(LAYER | {"gate": True}), 2, 4), "layers: with attention without gate"),
        (lambda: differentiate_heads(model(), 3, 4), "key_heads, value_heads: must divide"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
