"""Effective state: by hand, the rank bounds of explicit operators, bad input."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.bounds.effective_state import effective_state, effective_state_from_recurrence
from scipy.linalg import toeplitz

LENGTH = 24
LENGTHS = np.arange(1, LENGTH)
ENDS = np.minimum(LENGTHS, LENGTH - LENGTHS)  # as many inputs before as outputs after


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


# By hand -------------------------------------------------------------------------------------------------------------


def test_a_running_sum_keeps_one_number():
    """H_t is a block of ones, (T - t) × t: one singular value, the root of its size."""
    found = effective_state(np.tril(np.ones((5, 5))))
    np.testing.assert_array_equal(found.t, [1, 2, 3, 4])
    np.testing.assert_array_equal(found.rank, 1)
    np.testing.assert_allclose(found.entropy, 1, atol=1e-12)
    np.testing.assert_allclose(found.spectrum[:, 0], [2, math.sqrt(6), math.sqrt(6), 2], atol=1e-12)


def test_entropy_and_tolerances_by_hand():
    """T repeats inputs 0, 1, 2 at positions 3, 4, 5, times 4, 2, 2: p = 1/2, 1/4, 1/4, an entropy of 1.5 ln 2."""
    operator = np.zeros((6, 6))
    operator[[3, 4, 5], [0, 1, 2]] = 4, 2, 2
    found = effective_state(operator, [3])
    np.testing.assert_allclose(found.spectrum, [[4, 2, 2]], atol=1e-15)
    np.testing.assert_allclose(found.entropy, 2**1.5, atol=1e-12)
    assert [effective_state(operator, [3], absolute=a).rank.item() for a in (0, 1.9, 2.1, 4.1)] == [3, 3, 1, 0]
    assert [effective_state(operator, [3], relative=r).rank.item() for r in (0, 0.4, 0.6)] == [3, 3, 1]
    assert effective_state(10 * operator, [3], relative=0.6).rank == 1  # not of the scale
    nothing = effective_state(np.eye(4))  # the present is no state
    np.testing.assert_array_equal(nothing.rank, 0)
    np.testing.assert_array_equal(nothing.entropy, 0)


def test_blocks_of_several_channels():
    """Two inputs and three outputs a position; every output repeats the inputs of all positions before."""
    operator = np.kron(np.tril(np.ones((4, 4)), -1), random(3, 2))
    np.testing.assert_array_equal(effective_state(operator, width=2).rank, 2)
    many = np.stack([np.tril(random(8, 8, seed=i)) for i in range(3)])
    one_by_one = [effective_state(one).entropy for one in many]
    np.testing.assert_allclose(effective_state(many).entropy, one_by_one, rtol=1e-12)
    single = effective_state(many.astype(np.float32))  # full rank to single precision, too
    np.testing.assert_array_equal(single.rank, [[1, 2, 3, 4, 3, 2, 1]] * 3)


# The bounds of explicit operators with random inputs, which they reach -----------------------------------------------


def test_linear_attention_reaches_its_key_width():
    for width in (1, 3, 8):
        operator = np.tril(random(LENGTH, width) @ random(LENGTH, width, seed=1).T)
        np.testing.assert_array_equal(effective_state(operator).rank, np.minimum(ENDS, width))


def test_gated_linear_attention_and_s6_reach_their_state():
    width = 4
    decay = np.cumsum(np.log(np.random.default_rng(0).uniform(0.7, 0.99, (LENGTH, width))), 0)
    q, k = random(LENGTH, width), random(LENGTH, width, seed=1)
    gated = np.tril(np.einsum("ic,jc,ijc->ij", q, k, np.exp(decay[:, None] - decay[None])))
    np.testing.assert_array_equal(effective_state(gated).rank, np.minimum(ENDS, width))
    step = np.cumsum(np.random.default_rng(1).uniform(0.05, 0.2, LENGTH))  # S6: one Δ for all N, rates 1 .. N
    rates = np.exp(-np.arange(1, width + 1) * (step[:, None, None] - step[None, :, None]))
    s6 = np.tril(np.einsum("in,jn,ijn->ij", q, k, rates))
    np.testing.assert_array_equal(effective_state(s6).rank, np.minimum(ENDS, width))


def test_softmax_attention_grows_with_the_text():
    scores = np.where(np.tri(LENGTH, dtype=bool), 3 * random(LENGTH, 6) @ random(LENGTH, 6, seed=1).T, -np.inf)
    operator = np.exp(scores - scores.max(1, keepdims=True))
    operator /= operator.sum(1, keepdims=True)
    np.testing.assert_array_equal(effective_state(operator).rank, ENDS)


@pytest.mark.parametrize("window", [1, 2, 7])
def test_windows_and_filters_keep_one_less_than_they_see(window):
    near = np.tri(LENGTH) - np.tri(LENGTH, k=-window)
    sliding = near * random(LENGTH, LENGTH)
    taps = np.zeros(LENGTH)
    taps[:window] = random(window)
    for operator in (sliding, np.tril(toeplitz(taps))):
        np.testing.assert_array_equal(effective_state(operator).rank, np.minimum(ENDS, window - 1))


def test_entropy_separates_capacity_from_use():
    """Random keys use more of 16 dimensions than decayed ones; the rank is the same."""
    width, length = 16, 64
    q, k = random(length, width), random(length, width, seed=1)
    age = np.arange(length)[:, None] - np.arange(length)
    rates = np.linspace(0.5, 0.97, width)
    plain = effective_state(np.tril(q @ k.T), [32])
    decayed = effective_state(np.tril(np.einsum("ic,jc,ijc->ij", q, k, rates ** np.maximum(age, 0)[..., None])), [32])
    assert plain.rank == decayed.rank == width
    assert decayed.entropy < plain.entropy - 3 and plain.entropy < width


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 12), st.integers(1, 5))
def test_the_forms_keep_their_order(seed, length, rank):
    rng = np.random.default_rng(seed)
    operator = np.tril(rng.standard_normal((length, rank)) @ rng.standard_normal((rank, length)))
    found = effective_state(operator)
    assert (found.entropy <= found.rank + 1e-9).all() and (found.entropy >= 1 - 1e-12).all()
    assert (effective_state(operator, relative=0.1).rank <= found.rank).all()
    assert (np.diff(found.spectrum, axis=-1) <= 0).all()
    again = effective_state(-3 * operator)  # scale and sign do not matter, nor does mixing of outputs after the cut
    np.testing.assert_array_equal(again.rank, found.rank)
    np.testing.assert_allclose(again.entropy, found.entropy, rtol=1e-9)


# Bad input -----------------------------------------------------------------------------------------------------------

SUM = np.tril(np.ones((4, 4)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: effective_state(np.ones((4, 4))), "operator: causal, with zeros above the diagonal"),
        (lambda: effective_state(np.ones(4)), r"operator: \[\.\.\., T · rows, T · 1\], got \(4,\)"),
        (lambda: effective_state(SUM, width=3), r"operator: \[\.\.\., T · rows, T · 3\], got \(4, 4\)"),
        (lambda: effective_state(SUM, width=0), "width: at least 1, got 0"),
        (lambda: effective_state([[1.0]]), "operator: at least 2 positions, got 1"),
        (lambda: effective_state(SUM * np.nan), "operator: finite numbers"),
        (lambda: effective_state(SUM, [4]), r"t: from 1 to 3 .* of 4 positions, got \[4\]"),
        (lambda: effective_state(SUM, []), r"t: from 1 to 3 .*, got \[\]"),
        (lambda: effective_state(SUM, absolute=-1), "absolute: at least 0, got -1"),
        (lambda: effective_state(SUM, relative=1), "relative: from 0 to below 1, got 1"),
        (
            lambda: effective_state_from_recurrence(SUM, SUM, np.ones(4)),
            "transition, write, read: .* got 2-, 3-, 1-dim",
        ),
        (
            lambda: effective_state_from_recurrence(SUM[:3], SUM, SUM),
            r"transition: \(4, 4\) for write .*, got \(3, 4\)",
        ),
        (lambda: effective_state_from_recurrence(SUM, SUM, SUM[:, :3]), r"read: \(4, P, 4\) .*, got \(4, 1, 3\)"),
        (lambda: effective_state_from_recurrence(SUM[:1], SUM[:1], SUM[:1]), "write: at least 2 positions, got 1"),
        (lambda: effective_state_from_recurrence(SUM, SUM, SUM * np.inf), "read: finite numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")  # the test's own 0 · inf
def test_bad_operators(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_the_formulas_need_no_torch():
    code = (
        "import sys, recallscope.bounds.effective_state, recallscope.bounds.dataflow;"
        "sys.exit(bool({'torch', 'plotly', 'pyarrow', 'networkx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
