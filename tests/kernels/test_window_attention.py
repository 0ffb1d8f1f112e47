"""Sliding-window attention: each query against the tokens of its window alone, whatever the blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import assert_close, gradients, make, poisoned
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import SlidingWindow
from recallscope_kernels import attention, window_attention, window_attention_decode
from recallscope_kernels.ops import Shape
from recallscope_kernels.ops.window_attention import window_attention_cost, window_attention_reference

CASES = [(1, 1), (1, 64), (37, 1), (37, 8), (63, 64), (64, 64), (65, 64), (130, 64), (130, 200)]


def operands(time: int, past: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """q, k, v of the new tokens, and keys and values of those before."""
    q, k, v = make("window_attention", past + time, torch.float64, 8, 5)
    return [u[:, past:] for u in (q, k, v)], [u[:, :past] for u in (k, v)]


@pytest.mark.parametrize("past", [0, 3, 90])
@pytest.mark.parametrize(("time", "window"), CASES)
def test_outputs_state_and_gradients(time, window, past):
    new, before = operands(time, past)
    given = [poisoned(u).requires_grad_() for u in (*new, *before)]
    exact = [u.detach().clone().requires_grad_() for u in given]
    options: dict[str, Any] = {"window": window, "scale": 0.7}
    got, kept = window_attention(*given[:3], initial_state=(given[3], given[4]), output_final_state=True, **options)
    want, last = window_attention_reference(*exact[:3], initial_state=(exact[3], exact[4]), **options)
    assert_close("outputs", got, want, torch.float64)
    for mine, theirs in zip(kept or (), last, strict=True):
        assert torch.equal(mine.double(), theirs)
    used = slice(0, 5 if past and window > 1 else 3)
    for pair in zip(gradients((got, None), given[used]), gradients((want, None), exact[used]), strict=True):
        assert_close("gradient", *pair, torch.float64)


@pytest.mark.parametrize(("time", "window", "past"), [(1, 64, 40), (130, 64, 0), (130, 9, 40)])
def test_flex_sees_the_same_tokens(time, window, past):
    """Not compiled, on a CPU: the mask, the scale and the layout are those that are compiled on a GPU."""
    new, before = operands(time, past)
    options: dict[str, Any] = {"window": window, "scale": 0.7, "initial_state": tuple(before)}
    want, _ = window_attention_reference(*new, **options)
    assert_close("outputs", window_attention(*new, implementation="flex", **options)[0], want, torch.float64)


def test_a_window_of_all_tokens_is_attention():
    q, k, v = make("attention", 50, torch.float64)
    assert_close("outputs", window_attention(q, k, v, window=50)[0], attention(q, k, v)[0], torch.float64)


def test_the_window_is_that_of_the_mixer():
    """Weights of the mixer's projections, no positions and no norm; the second call goes on where the first stopped."""
    torch.manual_seed(0)
    mixer = SlidingWindow(24, heads=2, window=7, rope_base=None, qk_norm=False).double()
    x = torch.randn(2, 40, 24, dtype=torch.float64)
    want, (keys, values, _) = mixer.prefill(x)
    q, k, v = mixer._split(x)
    first, state = window_attention(q[:, :23], k[:, :23], v[:, :23], window=7, output_final_state=True)
    rest = q[:, 23:], k[:, 23:], v[:, 23:]
    second, last = window_attention(*rest, window=7, initial_state=state, output_final_state=True)
    assert_close("outputs", mixer.out(torch.cat([first, second], 1).flatten(-2)), want, torch.float64)
    for mine, theirs in zip(last, (keys, values), strict=True):  # type: ignore[arg-type]
        assert_close("state", mine, theirs, torch.float64)


@pytest.mark.parametrize("window", [1, 7, 60])
def test_decoding_goes_round_in_its_ring(window):
    q, k, v = make("window_attention", 40, torch.float64)
    want, _ = window_attention_reference(q, k, v, window=window)
    keys, values = (torch.full_like(u[:, :1], torch.nan).repeat(1, window, 1, 1) for u in (k, v))
    for t in range(40):
        now = slice(t, t + 1)
        got = window_attention_decode(q[:, now], k[:, now], v[:, now], keys, values, t)
        assert_close("outputs", got, want[:, now], torch.float64)


@pytest.mark.parametrize("window", [1, 5, 64, 130, 200])
def test_costs_at_other_windows(window):
    """Visible pairs one by one; executed ones as they run."""
    shape, pairs = Shape(2, 130, 3, 8, 12), sum(0 <= t - i < window for t in range(130) for i in range(130))
    cost = window_attention_cost(shape, window=window)
    assert cost.useful_flops == 2 * 3 * pairs * 2 * (8 + 12)
    q, k, v = (torch.randn(2, 130, 3, n) for n in (8, 8, 12))
    with count_flops() as count:
        _, state = window_attention(q, k, v, window=window, output_final_state=True)
    assert count.flops == cost.executed_flops
    assert sum(u.numel() for u in state) == cost.state_elements  # type: ignore[union-attr]
    decoding = window_attention_cost(Shape(2, 7, 3, 8, 12), "decode", window=window)
    assert decoding.useful_flops == 2 * 3 * min(8, window) * 2 * (8 + 12)


def test_bad_input():
    q, k, v = make("window_attention", 8, torch.float32)
    for window in (0, 2.5):
        with pytest.raises(ValueError, match=f"window: a whole number of tokens, at least 1, got {window}"):
            window_attention(q, k, v, window=window)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"initial_state: keys \[2, n, 2, 16\] and values"):
        window_attention(q, k, v, initial_state=(k[..., :8], v))
    with pytest.raises(ValueError, match="implementation: one of blocked, flex, flash-attn, flash-attn-3, got 'sdpa'"):
        window_attention(q, k, v, implementation="sdpa")
    with pytest.raises(ValueError, match="implementation: flex has no backward pass on cpu, got operands with"):
        window_attention(q.requires_grad_(), k, v, implementation="flex")
    with pytest.raises(ValueError, match="length: at least 0 tokens, got -1"):
        window_attention_decode(q[:, :1], k[:, :1], v[:, :1], k, v, -1)
