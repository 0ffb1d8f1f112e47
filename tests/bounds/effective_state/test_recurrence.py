"""Effective state of recurrences, against the singular values of their operators and the Gramians as they stand."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.bounds.effective_state import effective_state, effective_state_from_recurrence
from scipy.linalg import expm


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def operator_of(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Each column by running the recurrence on a unit impulse: `[T · P, T · M]`."""
    length, state, inputs = b.shape
    columns = []
    for j in range(length):
        for m in range(inputs):
            s, column = np.zeros(state), []
            for i in range(length):
                column.append(c[i] @ s)
                s = a[i] @ s + (b[i, :, m] if i == j else 0)
            columns.append(np.concatenate(column))
    return np.array(columns).T


@pytest.mark.parametrize("state, inputs, outputs", [(1, 1, 1), (6, 1, 1), (5, 2, 3), (40, 3, 1)])
def test_a_recurrence_equals_its_operator(state, inputs, outputs):
    length = 20
    a = 0.9 * np.array([expm(random(state, state, seed=i) - random(state, state, seed=i).T) for i in range(length)])
    b, c = random(length, state, inputs), random(length, outputs, state)
    got = effective_state_from_recurrence(a, b, c)
    want = effective_state(operator_of(a, b, c), width=inputs)
    m = min(got.spectrum.shape[-1], want.spectrum.shape[-1])
    np.testing.assert_allclose(got.spectrum[:, :m], want.spectrum[:, :m], rtol=0, atol=1e-10)
    assert np.abs(got.spectrum[:, m:]).max(initial=0) <= 1e-10 and np.abs(want.spectrum[:, m:]).max(initial=0) <= 1e-10
    np.testing.assert_array_equal(got.rank, want.rank)
    np.testing.assert_allclose(got.entropy, want.entropy, rtol=1e-9)


def test_squares_are_eigenvalues_of_the_gramians():
    """(𝒞 𝒞ᵀ)(𝒪ᵀ 𝒪), from sums over tokens as they stand, where the state is full."""
    length, state, t = 16, 4, 8
    a, b, c = np.random.default_rng(3).uniform(0.6, 1, (length, state)), random(length, state), random(length, state)
    written, wanted = np.zeros((state, state)), np.zeros((state, state))
    for j in range(t):
        column = b[j] * a[j + 1 : t].prod(0)
        written += np.outer(column, column)
    for i in range(t, length):
        row = c[i] * a[t:i].prod(0)
        wanted += np.outer(row, row)
    want = np.sqrt(np.sort(np.linalg.eigvals(written @ wanted).real)[::-1])
    found = effective_state_from_recurrence(a, b, c, [t])
    np.testing.assert_allclose(found.spectrum[0], want, rtol=1e-9)


def test_diagonals_are_matrices():
    a, b, c = np.random.default_rng(0).uniform(0.5, 1, (12, 5)), random(12, 5), random(12, 5)
    found = effective_state_from_recurrence(a, b, c)
    full = effective_state_from_recurrence(np.einsum("ti,ij->tij", a, np.eye(5)), b[..., None], c[:, None])
    np.testing.assert_allclose(found.spectrum, full.spectrum, atol=1e-12)
    np.testing.assert_array_equal(found.rank, [1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1])
