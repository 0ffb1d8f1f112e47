"""Costs of distillation and conversion against passes that are counted, and limits."""

from __future__ import annotations

import math

import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators.cache import evict
from recallscope.architectures.operators.distillation import convert, distillation_flops, relation_flops, repaid_after
from recallscope.architectures.operators.quantisation import quantise
from recallscope.architectures.specification import specification

T = 130


def model(*layers, width=32, ffn=48, vocabulary=20):
    return specification(Architecture("test", ModelConfig(vocabulary, width, layers, ffn)))


ATTENTION = {"mixer": "attention", "heads": 2}
TEACHER, STUDENT = model(ATTENTION, ATTENTION, width=64, ffn=96), model({"mixer": "gla"})


def test_a_step_of_distillation_is_counted():
    student, teacher = (LanguageModel(spec.architecture.config) for spec in (STUDENT, TEACHER))
    ids = torch.zeros(3, T, dtype=torch.long)
    with count_flops() as counted:
        with torch.no_grad():
            target = teacher(ids).softmax(-1)
        torch.nn.functional.cross_entropy(student(ids).flatten(0, 1), target.flatten(0, 1)).backward()
    assert distillation_flops(STUDENT, TEACHER, 3 * T, T) == counted.flops
    assert distillation_flops(STUDENT, None, 3 * T, T) == STUDENT.training_flops(T, 3)


def test_six_and_two_for_each_weight_of_large_models():
    student, teacher = (model(ATTENTION, width=w, ffn=4 * w, vocabulary=0) for w in (4096, 8192))
    rough = 6 * student.parameters() + 2 * teacher.parameters()
    assert distillation_flops(student, teacher, 10**6, 16) == pytest.approx(1e6 * rough, rel=2e-3)


def test_relations_are_counted():
    q, k, v = (torch.randn(2, 4, 9, 8) for _ in range(3))
    with count_flops() as counted:
        for a, b in ((q, k), (v, v)):
            torch.matmul(a, b.transpose(-1, -2)).softmax(-1)
    assert relation_flops(32, 9, 2) == counted.flops


def test_converted_model():
    layers = (ATTENTION | {"ffn_width": 16}, {"mixer": "sliding_window"}, ATTENTION)
    before = quantise(model(*layers), 4)
    after = convert(before, {"mixer": "linear_attention", "heads": 2})
    real = LanguageModel(after.architecture.config)
    with torch.no_grad():
        _, states = real.prefill(torch.zeros(1, 100, dtype=torch.long))
    assert after.state_elements(100) == sum(u.numel() for s in states for u in s if u.ndim and u.shape[0] == 1)
    assert after.state_elements(1000) == after.state_elements(100) < before.state_elements(1000)
    assert after.parameters() == sum(p.numel() for p in real.parameters())
    assert [layer["mixer"] for layer in after.architecture.config.layers] == [
        "linear_attention", "sliding_window", "linear_attention",
    ]  # fmt: skip
    assert after.architecture.config.layers[0]["ffn_width"] == 16
    assert {w.bits for w in after.weights if w.name.startswith("mixer.out")} == {4}
    one = convert(before, {"mixer": "linear_attention"}, [2]).architecture.config.layers
    assert one[0] == layers[0] and one[2] == {"mixer": "linear_attention"}


def test_conversion_to_the_same_is_the_same():
    before = model(ATTENTION, ATTENTION)
    assert convert(before, ATTENTION) is before


def test_repayment_by_decoding():
    before = model(ATTENTION)
    after = evict(before, 10)
    cost, decoded = distillation_flops(after, before, 1000, 100), 0
    saved = 0
    while saved < cost:
        saved += before.decode_flops(500) - after.decode_flops(500)
        decoded += 1
    assert decoded == math.ceil(repaid_after(cost, before, after, 500))
    assert repaid_after(cost, before, after, 10) == math.inf


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: distillation_flops(STUDENT, TEACHER, -1, 5), "tokens, t"),
        (lambda: convert(TEACHER, {"mixer": "gla", "experts": 3}), "mixer: a mixer and its options"),
        (lambda: convert(STUDENT, {"mixer": "gla"}), "layers: with a cache of all tokens"),
        (lambda: convert(TEACHER, {"mixer": "none"}), "mixer must be one of"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
