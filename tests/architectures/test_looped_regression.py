"""The linear looped layer: gradient descent exactly, its formula written out, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recallscope.architectures.looped_regression import LoopedLinear

D, N, B = 4, 9, 6


def prompts(query_y: float = 0.0) -> np.ndarray:
    """`[B, N + 1, D + 1]` float64; y is no function of x, so that residuals stay."""
    z = np.random.default_rng(1).normal(size=(B, N + 1, D + 1))
    z[:, -1, -1] = query_y
    return z


def descend(z: np.ndarray, a: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """w·x at the query and y - w·x at the points, by the plain rule for one example after another."""
    answers, left = [], []
    for example in z:
        x, y = example[:-1, :-1], example[:-1, -1]
        w = np.zeros(D)
        for _ in range(steps):
            gradient = np.zeros(D)
            for point, target in zip(x, y, strict=True):
                gradient += point * (target - point @ w)
            w = w + a @ gradient / N
        answers.append(example[-1, :-1] @ w)
        left.append(y - x @ w)
    return np.array(answers), np.array(left)


@pytest.mark.parametrize("loops", [0, 1, 2, 7])
@pytest.mark.parametrize("symmetric", [True, False])
def test_loops_are_steps_of_gradient_descent(loops: int, symmetric: bool):
    a = 0.4 * np.eye(D) if symmetric else 0.2 * np.eye(D) + 0.1 * np.random.default_rng(2).normal(size=(D, D))
    layer = LoopedLinear.descent(loops, torch.from_numpy(a))
    got = layer(torch.from_numpy(prompts())).detach().numpy()
    answers, left = descend(prompts(), a, loops)
    np.testing.assert_allclose(got[:, -1], answers, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got[:, :-1], -left, rtol=0, atol=1e-10)


def test_any_weights_follow_the_formula():
    """Z ← Z + P Z M Zᵀ Q Z / n, columns as tokens, all matrices written out."""
    torch.manual_seed(3)
    layer = LoopedLinear(D, 3).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    p, q = layer.p.detach().numpy(), layer.q.detach().numpy()
    mask = np.diag([1.0] * N + [0.0])
    expected = []
    for example in prompts(0.5):
        z = example.T
        for _ in range(3):
            z = z + p @ z @ mask @ z.T @ q @ z / N
        expected.append(-z[-1])
    got = layer(torch.from_numpy(prompts(0.5))).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


def test_the_number_of_loops_may_be_changed():
    z = torch.from_numpy(prompts())
    a = 0.3 * torch.eye(D, dtype=torch.float64)
    assert LoopedLinear.descent(1, a)(z, loops=5).equal(LoopedLinear.descent(5, a)(z))
    assert LoopedLinear.descent(3, a)(z, loops=0).equal(-z[:, :, -1])


def test_two_matrices_are_trained_whatever_the_loops():
    layer = LoopedLinear(D, 5)
    assert {name: tuple(one.shape) for name, one in layer.named_parameters()} == {"p": (5, 5), "q": (5, 5)}
    layer(torch.from_numpy(prompts()).float())[:, -1].square().mean().backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0


def test_training_lowers_the_error_of_gradient_descent():
    """From the weights of two steps of gradient descent, on w·x from 20 points in R^3."""
    generator = torch.Generator().manual_seed(4)
    weights = torch.randn(512, 3, 1, generator=generator)
    x = torch.randn(512, 21, 3, generator=generator)
    y = x @ weights
    answers, z = y[:, -1, 0].clone(), torch.cat([x, y], 2)
    z[:, -1, -1] = 0
    layer = LoopedLinear.descent(2, 0.5 * torch.eye(3))
    optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
    errors = []
    for _ in range(60):
        error = (layer(z)[:, -1] - answers).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.6 * errors[0]


def test_bad_arguments_are_refused():
    layer = LoopedLinear(D, 1)
    with pytest.raises(ValueError, match="dimensions: at least 1, got 0"):
        LoopedLinear(0, 1)
    with pytest.raises(ValueError, match="loops: at least 0, got -1"):
        LoopedLinear(D, -1)
    with pytest.raises(ValueError, match="loops: at least 0, got -2"):
        layer(torch.zeros(1, 3, 5), loops=-2)
    with pytest.raises(ValueError, match=r"preconditioner: a square matrix, got \[2, 3\]"):
        LoopedLinear.descent(1, torch.zeros(2, 3))
    for shape in ((3, 5), (1, 1, 5), (1, 3, 4)):
        with pytest.raises(ValueError, match=r"z: \[B, points \+ 1, 5\], got"):
            layer(torch.zeros(shape))
