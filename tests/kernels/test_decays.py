"""Operators with decays: strong and absent ones, each operator as a case of a wider one, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import assert_close, make, some_state
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers.lightning import Lightning
from recallscope_kernels import (
    gated_delta_rule,
    gla,
    gla_decode,
    kda,
    kda_decode,
    lightning,
    lightning_decode,
    linear_attention,
    rwkv7,
    rwkv7_decode,
    simple_gla,
)
from recallscope_kernels.ops import OPERATORS, Shape, operands
from recallscope_kernels.ops.lightning import lightning_log_decay
from torch import Tensor


def assert_same(got: Any, want: Any, dtype: torch.dtype = torch.float64) -> None:
    assert_close("outputs", got[0], want[0], dtype)
    assert_close("state", got[1], want[1], dtype)


@pytest.mark.parametrize("name", ["gla", "kda", "rwkv7", "lightning", "selective_scan"])
def test_chunks_change_nothing(name):
    given, state = make(name, 70, torch.float64, 8, 5), some_state(name, torch.float64, 8, 5)
    want = OPERATORS[name].reference(*given, initial_state=state, scale=0.3)
    for chunk in (1, 2, 16, 64, *((128,) if name != "rwkv7" else (5,))):
        options = {"chunk": chunk, "scale": 0.3, "initial_state": state, "output_final_state": True}
        assert_same(OPERATORS[name].run(*given, **options), want)


@pytest.mark.parametrize("name", ["gla", "kda", "rwkv7", "selective_scan"])
def test_keys_of_one_channel(name):
    given = [u.requires_grad_() for u in operands(name, Shape(2, 70, 3, 1, 5), torch.float64)]
    with count_flops() as forward:
        got = OPERATORS[name].run(*given, output_final_state=True)
    assert_same(got, OPERATORS[name].reference(*given))
    o = OPERATORS[name].run(*given)[0]
    with count_flops() as backward:
        torch.autograd.grad(o, given, torch.ones_like(o))
    costs = [OPERATORS[name].cost(Shape(2, 70, 3, 1, 5), mode).executed_flops for mode in ("fwd", "bwd")]
    assert [forward.flops, backward.flops] == costs


@pytest.mark.parametrize("name", ["gla", "kda"])
def test_strong_decay_forgets_and_leaves_the_digits_of_the_others(name):
    """Channels that forget all at some token, or at every one, beside some that hardly decay; in float32."""
    *given, log_decay = make(name, 130, torch.float32)
    log_decay[:, 5] = -1e8
    log_decay[:, 70, :, :3] = -torch.inf
    log_decay[..., 4] = -50.0
    got = OPERATORS[name].run(*given, log_decay, output_final_state=True)
    assert_same(got, OPERATORS[name].reference(*given, log_decay), torch.float32)


def test_rwkv7_keeps_its_digits_at_the_strongest_decay():
    q, k, v, log_decay, a, b = make("rwkv7", 130, torch.float32)
    log_decay[..., ::2] = -1.0
    assert_same(
        rwkv7(q, k, v, log_decay, a, b, output_final_state=True),
        OPERATORS["rwkv7"].reference(q, k, v, log_decay, a, b),
        torch.float32,
    )


def test_gla_of_one_decay_is_simple_gla_and_of_none_linear_attention():
    q, k, v, log_decay = make("simple_gla", 70, torch.float64)
    options = {"output_final_state": True, "initial_state": some_state("gla", torch.float64)}
    channels = log_decay[..., None].expand(q.shape)
    assert_same(gla(q, k, v, channels, **options), simple_gla(q, k, v, log_decay, **options))
    assert_same(gla(q, k, v, 0 * channels, **options), linear_attention(q, k, v, **options))


def test_kda_of_one_decay_is_the_gated_delta_rule_and_of_no_beta_undoes_nothing():
    q, k, v, beta, log_decay = make("gated_delta_rule", 70, torch.float64)
    options = {"output_final_state": True, "initial_state": some_state("kda", torch.float64)}
    channels = log_decay[..., None].expand(q.shape)
    assert_same(kda(q, k, v, beta, channels, **options), gated_delta_rule(q, k, v, beta, log_decay, **options))
    _, last = kda(q, k, v, 0 * beta, channels, **options)
    left = log_decay.sum(1).exp()[..., None, None] * options["initial_state"]
    assert_close("state", last, left, torch.float64)  # type: ignore[arg-type]


def test_kda_is_a_case_of_rwkv7():
    """`(I - β k kᵀ) diag(α) = diag(α) - β k (α ⊙ k)ᵀ`."""
    q, k, v, beta, log_decay = make("kda", 70, torch.float64)
    options = {"output_final_state": True, "initial_state": some_state("kda", torch.float64), "scale": 0.4}
    erase = beta[..., None] * k
    got = rwkv7(q, erase, v, log_decay, log_decay.exp() * k, -erase, **options)
    assert_same(got, kda(q, k, v, beta, log_decay, **options))


def test_lightning_is_simple_gla_of_constants():
    q, k, v = make("lightning", 70, torch.float64)
    rates = torch.tensor([-0.3, -0.01], dtype=torch.float64)
    options = {"output_final_state": True, "initial_state": some_state("lightning", torch.float64)}
    got = lightning(q, k, v, log_decay=rates, **options)
    assert_same(got, simple_gla(q, k, v, rates.expand(2, 70, 2), **options))
    state = some_state("lightning", torch.float64)
    token = [u[:, :1] for u in (q, k, v)]
    want = lightning(*token, log_decay=rates, **options)
    assert_same((lightning_decode(*token, state=state, log_decay=rates), state), want)


@pytest.mark.parametrize(("layer", "layers"), [(0, 1), (0, 4), (2, 4), (3, 4)])
def test_slopes_are_those_of_the_mixer_s_released_code(layer, layers):
    mixer = Lightning(32, heads=4, layer=layer, layers=layers).double()
    want = mixer._log_decay(torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(lightning_log_decay(4, layer, layers), want, rtol=1e-14, atol=0)
    assert lightning_log_decay(8)[0] == -(1 + 1e-5) / 2


def test_what_is_refused():
    q, k, v, beta, log_decay = make("kda", 8, torch.float32)
    a, b = -k, k * beta[..., None]
    state = torch.zeros(2, 2, 16, 16)

    def refused(message: str, run: Any, *given: Tensor, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            run(*given, **options)

    gate = r"log_decay: \[2, 8, 2, 16\] of a floating dtype on cpu, got \[2, 8, 2\] of torch.float32"
    refused(gate, gla, q, k, v, beta)
    refused(gate, kda, q, k, v, beta, beta)
    refused(gate, rwkv7, q, k, v, beta, a, b)
    refused(r"beta: \[2, 8, 2\] of a floating dtype on cpu, got \[2, 8, 2, 16\]", kda, q, k, v, log_decay, log_decay)
    refused(
        r"b: \[2, 8, 2, 16\] of a floating dtype on cpu, got .* of torch.int64", rwkv7, q, k, v, log_decay, a, b.long()
    )
    for run, given in ((gla, (log_decay,)), (kda, (beta, log_decay))):
        refused("chunk: a power of two, got 48", run, q, k, v, *given, chunk=48)
        refused("chunk: a whole number of tokens, at least 1, got 0", run, q, k, v, *given, chunk=0)
        refused("implementation: one of chunked, fla, got 'triton'", run, q, k, v, *given, implementation="triton")
        refused(r"initial_state: \[2, 2, 16, 16\], got \[2, 16, 16\]", run, q, k, v, *given, initial_state=state[:, 0])
    refused("chunk: at most 64 tokens, got 65", rwkv7, q, k, v, log_decay, a, b, chunk=65)
    refused("log_decay: from -1.0 to 0 in chunks, got -1.25", rwkv7, q, k, v, log_decay - log_decay - 1.25, a, b)
    refused("scale: a positive finite number, got 0.0", rwkv7, q, k, v, log_decay, a, b, scale=0.0)
    refused(r"log_decay: \[2\] of a floating dtype, got \[8, 2\]", lightning, q, k, v, log_decay=beta[0])
    refused("heads: at least 1, got 0", lightning_log_decay, 0)  # type: ignore[arg-type]
    refused("layer: from 0 to layers - 1, got layer 4 of 4", lightning_log_decay, 2, 4, 4)  # type: ignore[arg-type]
    one = [u[:, :1] for u in (q, k, v)]
    token = r"log_decay: \[2, 1, 2, 16\] of a floating dtype on cpu, got \[2, 1, 2\]"
    refused(token, gla_decode, *one, beta[:, :1], state)
    refused(token, kda_decode, *one, beta[:, :1], beta[:, :1], state)
    refused(token, rwkv7_decode, *one, beta[:, :1], a[:, :1], b[:, :1], state)
    refused("state: contiguous, as it is updated in place", gla_decode, *one, log_decay[:, :1], state.mT)
