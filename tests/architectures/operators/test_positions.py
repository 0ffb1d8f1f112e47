"""Rescaled positions against transformers, the rotation that mixers do, quadrature and another integrator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.mixers._rotary import rotate
from recallscope.architectures.operators.positions import (
    clex,
    frequencies,
    interpolated,
    ntk_base,
    rescale_positions,
    yarn,
    yarn_scale,
)
from recallscope.architectures.operators.sparsity import prune
from recallscope.architectures.specification import specification
from scipy.integrate import solve_ivp


def turned(x, positions, theta):
    """Pair j of x, as a complex number, times e^{i θ_j position}."""
    half = x.shape[-1] // 2
    pairs = (x[..., :half] + 1j * x[..., half:]) * torch.exp(1j * positions[:, None, None] * torch.tensor(theta))
    return torch.cat([pairs.real, pairs.imag], -1)


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_frequencies_are_those_of_the_mixers(factor):
    x, positions = torch.randn(1, 9, 2, 16, dtype=torch.float64), torch.arange(9.0, dtype=torch.float64)
    base = ntk_base(16, 500.0, factor)
    torch.testing.assert_close(rotate(x, positions, base), turned(x, positions, frequencies(16, base)))
    stretched = rotate(x, positions / factor, 500.0)
    torch.testing.assert_close(stretched, turned(x, positions, interpolated(frequencies(16, 500.0), factor)))


def test_ntk_keeps_the_fastest_pair_and_interpolates_the_slowest():
    before, after = frequencies(64), frequencies(64, ntk_base(64, 10_000.0, 8))
    assert after[0] == before[0] and after[-1] == pytest.approx(before[-1] / 8)


@pytest.mark.parametrize("key_width, base, length, factor", [(128, 10_000.0, 4096, 16.0), (64, 5e5, 2048, 3.0)])
def test_pairs_against_transformers(key_width, base, length, factor):
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_theta": base, "factor": factor, "original_max_position_embeddings": length}
    shape = {"hidden_size": 4 * key_width, "num_attention_heads": 4, "max_position_embeddings": length}
    for kind, ours in (
        ("yarn", yarn(frequencies(key_width, base), factor, length, ramp="pairs")),
        ("linear", interpolated(frequencies(key_width, base), factor)),
    ):
        config = LlamaConfig(**shape, rope_parameters=rope | {"rope_type": kind})
        theirs, scale = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5)
        assert kind != "yarn" or scale == pytest.approx(yarn_scale(factor), rel=1e-12)


def test_yarn_by_turns():
    theta, length = frequencies(128), 4096
    turns = np.array([length * one / (2 * math.pi) for one in theta])
    after = yarn(theta, 16.0, length)
    assert (after[turns >= 32] == theta[turns >= 32]).all() and (turns >= 32).any()
    np.testing.assert_allclose(after[turns <= 1], theta[turns <= 1] / 16)
    between = (turns > 1) & (turns < 32)
    np.testing.assert_allclose((after / theta - 1 / 16)[between] / (15 / 16), (turns[between] - 1) / 31)


def test_a_factor_of_one_changes_nothing():
    theta = frequencies(32)
    weights = np.ones((16, 8)), np.ones((8, 16))
    for after in (
        interpolated(theta, 1),
        yarn(theta, 1, 100),
        yarn(theta, 1, 100, ramp="pairs"),
        clex(theta, 1e4, 1, *weights),
    ):
        np.testing.assert_allclose(after, theta, rtol=1e-15)
    assert yarn_scale(1) == 1 and ntk_base(32, 1e4, 1) == 1e4


def test_clex_starts_as_continuous_ntk():
    theta, up = frequencies(16), np.random.default_rng(0).normal(size=(8, 32))
    for factor in (2.0, 7.3):
        found = clex(theta, 1e4, factor, up, np.zeros((32, 8)))
        np.testing.assert_allclose(found, frequencies(16, ntk_base(16, 1e4, 2 * factor - 1)), rtol=1e-9)


def test_clex_against_another_integrator():
    random = np.random.default_rng(1)
    theta, up, down = frequencies(8), random.normal(size=(4, 12)) * 0.2, random.normal(size=(12, 4)) * 0.1

    def change(s, z):
        near = 1e-6

        def log_ntk(at):
            return np.log(frequencies(8, ntk_base(8, 1e4, 2 * at - 1)))

        hidden = torch.nn.functional.silu(torch.tensor((z + log_ntk(s)) @ up)).numpy()
        return hidden @ down + (log_ntk(s + near) - log_ntk(max(s - near, 1))) / (s + near - max(s - near, 1))

    exact = solve_ivp(change, (1, 4), np.log(theta), rtol=1e-9, atol=1e-10).y[:, -1]
    np.testing.assert_allclose(np.log(clex(theta, 1e4, 4, up, down)), exact, atol=2e-5)
    assert abs(exact - np.log(frequencies(8, ntk_base(8, 1e4, 7)))).max() > 0.1


def test_a_specification_with_another_base():
    layers = (
        {"mixer": "attention", "heads": 2}, {"mixer": "gla"}, {"mixer": "mla", "rope_width": 8},
        {"mixer": "attention", "rope_base": None},
    )  # fmt: skip
    spec = prune(specification(Architecture("test", ModelConfig(10, 32, layers, 48))), 0.5)
    after = rescale_positions(spec, 4)
    bases = [layer.get("rope_base") for layer in after.architecture.config.layers]
    assert bases == [ntk_base(16, 1e4, 4), None, ntk_base(8, 1e4, 4), None]
    assert after.applied == (*spec.applied, "rescale_positions(factor=4)")
    assert after.decode_bytes(100) == spec.decode_bytes(100) and after.parameters() == spec.parameters()
    assert rescale_positions(spec, 1) is spec


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: frequencies(7), "key_width, base"),
        (lambda: interpolated(frequencies(8), 0.5), "factor: at least 1"),
        (lambda: ntk_base(2, 1e4, 2), "key_width: above 2"),
        (lambda: yarn(frequencies(8), 2, 100, 5, 1), "length, slow, fast"),
        (lambda: yarn(frequencies(8), 2, 100, ramp="no"), "ramp: 'turns' or 'pairs'"),
        (lambda: clex(frequencies(8), 1e4, 2, np.ones((4, 3)), np.ones((4, 3))), "up, down"),
        (lambda: clex(frequencies(8), 1e4, 2, np.ones((4, 3)), np.ones((3, 4)), 0), "step: above 0"),
        (lambda: rescale_positions(specification(Architecture("g", ModelConfig(0, 32, ({"mixer": "gla"},), 0))), 2),
         "layers: with rotary attention"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
