"""Operators of the zoo: Jacobians against differences, values against scores by hand, ranks below declared states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mixer_variants import SELECTIVE
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.folder import load_model
from recallscope.architectures.mixers import MIXERS, Mixer
from recallscope.architectures.model import LanguageModel
from recallscope.bounds.effective_state import effective_state
from recallscope.bounds.effective_state.operators import layer_operator, value_operators
from recallscope.bounds.effective_state.utilisation import state_utilisation
from recallscope.bundled import bundled_folder, bundled_names

WIDTH, LENGTH = 16, 8
SMALL = {name: {"head_width": 8} for name in ("log_linear", "mamba2", "mamba3", "rwkv6")}
SMALL |= {name: {"window": 4} for name in ("lambda_window", "lizard", "sliding_window")}


NO_MODEL: Any = None
PAPER: Any = "paper"


def make(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    mixer = MIXERS[name](WIDTH, **(SMALL.get(name, {}) | options))
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return mixer


def inputs(length: int = LENGTH) -> torch.Tensor:
    return torch.randn(length, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", ["attention", "gla", "hyena", "rwkv4"])
def test_the_jacobian_is_the_limit_of_differences(name):
    mixer, x = make(name), inputs(5)
    got = layer_operator(mixer, x)
    double, step = mixer.double().eval(), 1e-6
    with torch.no_grad():
        moved = x + step * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
        back = x - step * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
        want = ((double(moved) - double(back)) / (2 * step)).flatten(1).T.numpy()
    np.testing.assert_allclose(got, want, atol=1e-7 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("name", MIXERS)
def test_no_layer_passes_on_more_than_its_state(name):
    """Rank of the Jacobian's past-to-future block at most the declared state, inputs and outputs: a chain rule."""
    mixer, t = make(name), (2, 4)
    found = effective_state(layer_operator(mixer, inputs()), t, width=WIDTH)
    for at, rank in zip(t, found.rank, strict=True):
        assert (name not in SELECTIVE) <= rank <= min(at * WIDTH, (LENGTH - at) * WIDTH, mixer.state_elements(at))


@pytest.mark.parametrize(
    ("name", "options", "used"),
    [
        ("attention", {}, 64),  # of 2 · 16 · 6: what 4 outputs take
        ("base_conv", {}, 32),  # (3 - 1) · 16
        ("gla", {"heads": 4}, 32),  # 4 heads of 2 · 4
        ("sliding_window", {"window": 3}, 32),  # 2 earlier tokens, of which 16 inputs each
        ("rg_lru", {"conv_width": 4}, 48),  # 3 · 16 of 4 · 16: h and the oldest input count by their sum only
    ],
)
def test_used_states_by_hand(name, options, used):
    assert effective_state(layer_operator(make(name, **options), inputs(10)), [6], width=WIDTH).rank == used


def test_values_of_attention_are_weighted_by_its_scores():
    mixer, x = make("attention", heads=2, rope_base=None, qk_norm=False), inputs()
    got = value_operators(mixer, x)
    weight = mixer.qkv.weight.double().detach()
    q, k, _ = (x @ weight.T).view(LENGTH, 3, 2, 8).unbind(1)
    scores = torch.einsum("ihd,jhd->hij", q, k) / 8**0.5
    want = scores.masked_fill(torch.ones(LENGTH, LENGTH).triu(1).bool(), -torch.inf).softmax(-1).numpy()
    assert got.shape == (WIDTH, LENGTH, LENGTH)
    np.testing.assert_allclose(got, want.repeat(8, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "bound"),
    [
        ("attention", {}, 99),
        ("sliding_window", {"window": 4}, 3),
        ("linear_attention", {"heads": 4}, 4),
        ("based", {"heads": 1, "key_width": 2}, 6),  # 1 + 2 + 3 distinct features
        ("based", {"heads": 1, "key_width": 1}, 3),
        ("long_convolution", {"length": 5, "decay": False}, 4),
        ("hyena", {"length": 5}, 6),  # taps of 5, after a convolution of 3
    ],
)
def test_value_operators_reach_the_rank_bounds(name, options, bound):
    length = 16
    found = effective_state(value_operators(make(name, **options), inputs(length)))
    ends = np.minimum(found.t, length - found.t)
    np.testing.assert_array_equal(found.rank, np.minimum(ends, bound)[None].repeat(WIDTH, 0))


def test_utilisation_of_a_model_by_hand():
    """A window of 4 keeps 4 · 2 · 16 elements; values: 3 earlier tokens in each of 16 channels are read."""
    layers = ({"mixer": "sliding_window", "heads": 2, "window": 4}, {"mixer": "linear_attention", "heads": 4})
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(50, WIDTH, layers, 24, loops=2))
    for parameter in model.parameters():  # heads and branches start at zero
        torch.nn.init.normal_(parameter, std=0.3)
    rows = state_utilisation(model, torch.arange(20), [10], name="two").to_pylist()
    values = {(row["layer"], row["metric"]): row["value"] for row in rows}
    assert {row["subject"] for row in rows} == {"two"} and {row["kind"] for row in rows} == {"measured"}
    assert [row["mixer"] for row in rows[::4]] == ["SlidingWindow", "LinearAttention"] * 2
    for layer, used, kept in ((0, 3 * 16, 4 * 2 * 16), (1, 4 * 16, 4 * (16 + 4)), (2, 48, 128), (3, 64, 80)):
        assert values[layer, "effective_state"] == used
        assert values[layer, "state_utilisation"] == used / kept
        assert 16 <= values[layer, "effective_state_entropy"] <= used
    jacobian = state_utilisation(model, torch.arange(20), [10], form="jacobian", relative=1e-9).to_pylist()
    assert next(row["value"] for row in jacobian if row["metric"] == "effective_state") == 48


@pytest.mark.parametrize("name", bundled_names())
def test_reference_models_use_a_share_of_their_states(name):
    model = load_model(bundled_folder(name))
    ids = torch.randint(4096, (24,), generator=torch.Generator().manual_seed(0))
    rows = state_utilisation(model, ids, [12], name=name).to_pylist()
    assert len(rows) == 4 * len(model.blocks)
    for row in rows:
        assert row["value"] is not None and 0 < row["value"] <= (
            row["state_elements"] if row["unit"] == "elements" else 1
        )
    if name == "attention":
        assert all(row["value"] <= 0.5 for row in rows if row["unit"] == "1")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: layer_operator(make("attention"), inputs()[None]), r"x: \[T, D\] .*, got \(1, 8, 16\)"),
        (lambda: layer_operator(make("attention"), inputs(300)), r"x: at most 4,096 elements .*, got \(300, 16\)"),
        (
            lambda: value_operators(make("attention"), inputs(1)),
            r"x: \[T, D\] with at least 2 positions, got \(1, 16\)",
        ),
        (
            lambda: value_operators(make("gla"), inputs()),
            "mixer: outputs linear in the values.*, got GLA; use layer_op",
        ),
        (lambda: value_operators(make("attention", kv_heads=1), inputs()), "mixer: outputs linear .*, got Attention"),
        (lambda: value_operators(make("mamba"), inputs()), "mixer: outputs linear .*, got Mamba"),
        (lambda: layer_operator(_Backwards(), inputs()), "mixer: a causal one"),
        (
            lambda: state_utilisation(NO_MODEL, torch.arange(4), [2], form=PAPER),
            "form: values or jacobian, got 'paper'",
        ),
        (lambda: state_utilisation(NO_MODEL, torch.arange(1), [1]), r"ids: \[T\], at least 2 tokens, got \(1,\)"),
    ],
)
def test_bad_mixers(call, match):
    with pytest.raises(ValueError, match=match):
        call()


class _Backwards(Mixer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(1)
