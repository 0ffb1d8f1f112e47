"""Quantised tensors are packed and rounded: bits in bytes, noise in decibels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.operators import (
    FORMATS,
    Format,
    information_bits,
    prune_pattern,
    quantise,
    quantise_as,
    quantise_state,
    residual_binary_bits,
    uniform_sqnr,
)
from recallscope.architectures.specification import Weights, specification

D, F, M, N = 32, 48, 96, 32
LAYERS = ({"mixer": "attention", "heads": 4}, {"mixer": "retention", "heads": 4})
BASE = specification(Architecture("test", ModelConfig(40, D, LAYERS, F)))


def up(operand) -> Weights:
    (found,) = (w for w in operand.weights if w.name == "ffn.up")
    return found


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes of so many bits, one after another, in bytes."""
    return np.packbits((codes.reshape(-1, 1) >> np.arange(bits)[::-1] & 1).astype(np.uint8))


@pytest.mark.parametrize(("bits", "group"), [(2, 16), (3, 32), (4, 5), (8, 1)])
def test_groups_with_scales_against_a_packed_matrix(bits, group):
    """Asymmetric rounding with 16-bit scales and a zero point of `bits` bits; the last group of a row may be short."""
    w = np.random.default_rng(0).normal(size=(M, N))
    codes, scales, zeros = np.zeros_like(w, int), [], []
    for row in range(M):
        for start in range(0, N, group):
            part = w[row, start : start + group]
            low, step = min(part.min(), 0), (max(part.max(), 0) - min(part.min(), 0)) / (2**bits - 1)
            scales.append(np.float16(step))
            zeros.append(round(-low / step))
            codes[row, start : start + group] = np.clip(np.round(part / step) + zeros[-1], 0, 2**bits - 1)
    size = packed(codes, bits).nbytes + np.array(scales).nbytes + len(zeros) * bits / 8
    found = up(quantise(BASE, bits, group, zero_bits=bits, only="ffn.up"))
    assert found.bytes() == pytest.approx(size, abs=1e-9)
    assert found.flops == up(BASE).flops and found.stored == up(BASE).stored


def test_effective_bits():
    assert Format(2, 64, 16, 2).effective_bits() == 2.28125  # the example of EfficientQAT
    assert FORMATS["mxfp4"].effective_bits() == 4.25
    assert FORMATS["nvfp4"].effective_bits() == 4.5
    assert up(quantise(BASE, 2, 16, 16, 2)).bits == Format(2, 16, 16, 2).effective_bits()
    assert Format(8).effective_bits() == 8


@pytest.mark.parametrize("name", FORMATS)
def test_formats_against_packed_matrices(name):
    codes = np.random.default_rng(0).integers(0, 3 if name.startswith("ternary") else 16, M * N)
    if name == "ternary-packed":
        five = np.append(codes, np.zeros(-codes.size % 5, int)).reshape(-1, 5)
        packs = five @ 3 ** np.arange(5)
        assert packs.max() < 256
        assert ((packs[:, None] // 3 ** np.arange(5) % 3) == five).all()
        size, exact = packs.astype(np.uint8).nbytes + 2, 1
    elif name == "ternary":
        size, exact = packed(codes, 2).nbytes + 2, 0
    else:
        block = {"mxfp4": 32, "nvfp4": 16}[name]
        size, exact = packed(codes, 4).nbytes + M * N // block + (4 if name == "nvfp4" else 0), 0
    found = up(quantise_as(BASE, name, "ffn.up"))
    assert found.bytes() == pytest.approx(size, abs=exact + 1e-9)


def test_a_model_in_few_bits():
    operand = quantise(BASE, 4, 16, only=("mixer", "ffn", "head"))
    chosen = sum(w.count * w.stored for w in BASE.weights if w.name != "embedding")
    assert BASE.weight_bytes() - operand.weight_bytes() == pytest.approx(chosen * (16 - 5) / 8)
    assert BASE.decode_bytes(7) - operand.decode_bytes(7) == pytest.approx(chosen * (16 - 5) / 8)
    assert operand.decode_flops(7) == BASE.decode_flops(7)
    assert operand.applied == ("quantise(bits=4, group=16, scale_bits=16, zero_bits=0, only=('mixer', 'ffn', 'head'))",)


def test_bits_unchanged_give_the_model_back():
    assert quantise(BASE, 16) is BASE
    assert quantise_state(BASE, 16) is BASE
    assert quantise(quantise(BASE, 4), 16).weights == BASE.weights


def test_the_kept_values_of_a_pattern_are_grouped_as_they_are_stored():
    found = up(quantise(prune_pattern(BASE, 2, 4, only="ffn.up"), 4, 8, only="ffn.up"))
    assert found.bytes() == M * N / 2 * (4 + 16 / 8) / 8 + M * N / 4 * 3 / 8


def test_state_in_few_bits():
    operand = quantise_state(BASE, 4, 32, 16, 16)
    assert operand.state_bits == 5
    assert operand.state_bytes(100) == BASE.architecture.state_elements(100) * 5 / 8
    state = BASE.architecture.read_elements(100) + BASE.architecture.write_elements(100)
    assert BASE.decode_bytes(100, 3) - operand.decode_bytes(100, 3) == pytest.approx(3 * state * 11 / 8)
    assert operand.weight_bytes() == BASE.weight_bytes()
    assert operand.applied == ("quantise_state(bits=4, group=32, scale_bits=16, zero_bits=16)",)


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    step = 2 * np.abs(x).max() / (2**bits - 1)
    return (np.floor(x / step) + 0.5) * step


@pytest.mark.parametrize("bits", [6, 8, 12])
@pytest.mark.parametrize("kind", ["uniform", "normal", "outlier"])
def test_noise_of_rounding_against_simulation(bits, kind):
    rng = np.random.default_rng(bits)
    x = rng.uniform(-1, 1, 400_000) if kind == "uniform" else rng.normal(size=400_000)
    if kind == "outlier":
        x[0] = 8.0
    measured = 10 * math.log10((x**2).mean() / ((x - rounded(x, bits)) ** 2).mean())
    peak = np.abs(x).max() / math.sqrt((x**2).mean())
    assert uniform_sqnr(bits, peak) == pytest.approx(measured, abs=0.1)


def test_a_bit_is_six_decibels_and_carries_a_bit():
    gain = uniform_sqnr(13, 4) - uniform_sqnr(12, 4)
    assert gain == pytest.approx(6.02, abs=0.01)
    assert information_bits(uniform_sqnr(13, 4)) - information_bits(uniform_sqnr(12, 4)) == pytest.approx(1, abs=1e-3)
    assert information_bits(0) == 0.5


def test_information_through_noise_against_the_entropy_of_gaussians():
    """I(x; x + n) = h(x + n) − h(n), from variances that are drawn."""
    rng = np.random.default_rng(0)
    x, n = rng.normal(size=400_000), 0.2 * rng.normal(size=400_000)
    sqnr = 10 * math.log10(x.var() / n.var())
    assert information_bits(sqnr) == pytest.approx(0.5 * math.log2((x + n).var() / n.var()), abs=0.01)


def test_residual_binary_bits_against_columns():
    columns = np.ones(100)
    columns[:8] = 2  # binarised twice
    found = residual_binary_bits(0.08, 1.1)
    assert found.value_bits == pytest.approx(columns.mean())
    assert found.stored_bits == pytest.approx(columns.mean() + 1.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: quantise(BASE, 0), "bits, group: above 0"),
        (lambda: quantise(BASE, 4, 0), "bits, group: above 0"),
        (lambda: quantise(BASE, 4, only="nothing"), "only: names or their starts"),
        (lambda: quantise_as(BASE, "int3"), "format: one of ternary, .*got 'int3'"),
        (lambda: quantise_state(BASE, -1), "bits, group: above 0"),
        (lambda: uniform_sqnr(8, 0.5), "bits, peak: above 0 and at least 1"),
        (lambda: residual_binary_bits(2, 0), "salient: between 0 and 1"),
    ],
)
def test_bad_knobs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
