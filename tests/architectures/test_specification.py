"""An untouched specification is its architecture, but for the rows of the embedding that a batch reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.specification import Weights, specification
from torch import nn

LAYERS = (
    {"mixer": "attention", "heads": 4, "kv_heads": 2},
    {"mixer": "attention", "heads": 4, "kv_heads": 2},
    {"mixer": "gla", "heads": 2},
    {"mixer": "sliding_window", "window": 5, "ffn_width": 8, "experts": 5, "active_experts": 2, "shared_width": 12},
    {"mixer": "retention", "ffn_width": 0},
)
CONFIG = ModelConfig(50, 64, LAYERS, 24)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("vocabulary", [0, 50])
def test_the_costs_are_those_of_the_architecture(tied, vocabulary):
    shape = Architecture("test", replace(CONFIG, tied=tied, vocabulary=vocabulary))
    operand = specification(shape)
    assert operand.parameters() == shape.parameters()
    assert operand.weight_bytes() == 2 * shape.parameters()
    assert operand.applied == () and operand.quality == ()
    for t, batch in ((1, 1), (9, 3), (1000, 40)):
        assert operand.decode_flops(t, batch) == shape.decode_flops(t, batch)
        assert operand.prefill_flops(t, batch) == shape.prefill_flops(t, batch)
        assert operand.training_flops(t, batch) == shape.training_flops(t, batch)
        assert operand.state_elements(t) == shape.state_elements(t)
        assert operand.state_bytes(t) == 2 * shape.state_elements(t)


@pytest.mark.parametrize("tied", [False, True])
def test_bytes_of_decoding_differ_in_the_rows_of_the_embedding(tied):
    """The architecture counts a row for each sequence; here a row that two sequences share is read once."""
    shape = Architecture("test", replace(CONFIG, tied=tied))
    operand = specification(shape)
    for t, batch in ((1, 1), (9, 3), (1000, 40)):
        rows = 0 if tied else 50 * (1 - (1 - 1 / 50) ** batch)
        expected = shape.decode_bytes(t, batch) - 2 * 64 * (batch - rows)
        assert operand.decode_bytes(t, batch) == pytest.approx(expected, abs=1)
    bare = Architecture("test", replace(CONFIG, vocabulary=0))
    assert specification(bare).decode_bytes(9, 1) == pytest.approx(bare.decode_bytes(9, 1) - 2 * 64, abs=1)


def test_the_matrices_are_those_of_the_model():
    model, operand = LanguageModel(CONFIG), specification(Architecture("test", CONFIG))
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    matrices = [w for w in operand.weights if w.name != "embedding"]
    assert sum(w.count for w in matrices) == len(linear)
    assert sorted((w.rows, w.columns) for w in matrices for _ in range(w.count)) == sorted(
        tuple(m.weight.shape) for m in linear
    )
    inside = {p.data_ptr() for m in linear for p in [m.weight]} | {model.embedding.weight.data_ptr()}
    others = sum(p.numel() for p in model.parameters() if p.data_ptr() not in inside)
    assert operand.other_parameters == others
    names = {w.name for w in operand.weights}
    assert {"embedding", "head", "mixer.qkv", "ffn.up", "ffn.experts.up", "ffn.router", "ffn.shared.down"} <= names


def test_experts_are_used_and_read_by_a_share_of_the_tokens():
    operand = specification(Architecture("test", CONFIG))
    (up,) = (w for w in operand.weights if w.name == "ffn.experts.up")
    assert (up.count, up.used, up.token_flops) == (5, 2 / 5, 2 * 2 * 16 * 64)
    draws = torch.rand(4000, 7, 5, generator=torch.Generator().manual_seed(0)).topk(2, -1).indices
    touched = torch.zeros(4000, 5).scatter(1, draws.flatten(1), 1.0).sum(1).mean().item()
    assert 5 * up.read_bytes(7) / up.bytes() == pytest.approx(touched, abs=0.02)


def test_bits_of_weights_and_state():
    shape = Architecture("test", CONFIG)
    operand = specification(shape, weight_bits=4, state_bits=8)
    vectors = operand.other_parameters
    assert operand.weight_bytes() == (shape.parameters() - vectors) / 2 + 2 * vectors
    assert operand.state_bytes(10) == shape.state_elements(10)
    state = 3 * (shape.read_elements(10) + shape.write_elements(10))
    unchanged = specification(shape, 4).decode_bytes(10, 3)
    assert unchanged - operand.decode_bytes(10, 3) == pytest.approx(state)


def test_fewer_products_in_a_matrix_are_fewer_in_the_model():
    operand = specification(Architecture("test", CONFIG))
    halved = tuple(replace(w, flops=w.flops / 2) if w.name == "ffn.up" else w for w in operand.weights)
    other = operand.with_weights("half", halved)
    saved = 3 * 48 * 64  # half of the products of three layers
    assert operand.decode_flops(9, 2) - other.decode_flops(9, 2) == 2 * saved
    assert operand.prefill_flops(9, 2) - other.prefill_flops(9, 2) == 18 * saved
    assert operand.training_flops(9, 2) - other.training_flops(9, 2) == 54 * saved
    assert other.applied == ("half",)
    assert replace(other, quality=(("loss", 1.0),)).with_weights("again", halved).quality == ()


def test_a_matrix_in_bytes_by_hand():
    w = Weights("w", 8, 16, 3, stored=40, flops=80, bits=4.5, index_bits=100, used=0.5, read=0.5, passes=2)
    assert w.bytes() == (40 * 4.5 + 100) / 8
    assert w.read_bytes(1) == 2 * w.bytes() / 4
    assert w.read_bytes(2) == pytest.approx(2 * w.bytes() * 7 / 16)
    assert replace(w, resident=True).read_bytes(1) == w.bytes() / 4
    assert w.token_flops == 3 * 2 * 0.5 * 80
