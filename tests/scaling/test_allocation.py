"""Allocations against printed tables, brute force over sizes, and identities."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.scaling import at_size, compute_optimal, inference_aware, law_of_row, published_law
from recallscope.scaling.allocation import at_state
from scaling.synthetic import THREE

# N_opt, D_opt, D/N, loss to the digits of a table recomputed apart from this code, G (C/6)^a by hand
OPTIMA = {
    ("hoffmann", 1e20): (6.45e8, 2.58e10, 40.1, 2.5998), ("hoffmann", 1e22): (5.16e9, 3.23e11, 62.6, 2.1386),
    ("hoffmann", 5.76e23): (3.22e10, 2.98e12, 92.6, 1.9307), ("hoffmann", 1e25): (1.17e11, 1.43e13, 122, 1.8453),
    ("hoffmann-tex", 1e20): (7.75e8, 2.15e10, 27.8, 2.5534), ("hoffmann-tex", 1e22): (6.34e9, 2.63e11, 41.4, 2.1149),
    ("hoffmann-tex", 5.76e23): (4.04e10, 2.38e12, 58.9, 1.9184),
    ("hoffmann-tex", 1e25): (1.49e11, 1.12e13, 75.5, 1.8380),
    ("besiroglu", 1e20): (8.53e8, 1.95e10, 22.9, 2.5534), ("besiroglu", 1e22): (9.05e9, 1.84e11, 20.4, 2.1411),
    ("besiroglu", 5.76e23): (7.22e10, 1.33e12, 18.4, 1.9744), ("besiroglu", 1e25): (3.12e11, 5.34e12, 17.1, 1.9117),
}  # fmt: skip


@pytest.mark.parametrize(("name", "flops"), OPTIMA)
def test_optima_to_the_printed_digits(name, flops):
    best = compute_optimal(flops, published_law(name))
    found = (*(f"{x:.3g}" for x in (best.parameters, best.tokens, best.tokens_per_parameter)), f"{best.loss:.4f}")
    n, d, ratio, loss = OPTIMA[name, flops]
    assert found == (f"{n:.3g}", f"{d:.3g}", f"{ratio:.3g}", f"{loss:.4f}")


def test_the_optimum_is_the_best_of_all_sizes_at_its_compute():
    law, flops = published_law("hoffmann-tex"), 3e21
    best = compute_optimal(flops, law)
    n = np.geomspace(best.parameters / 3, best.parameters * 3, 200_001)
    losses = law.loss(n, flops / (6 * n))
    assert best.loss == pytest.approx(losses.min(), rel=1e-12)
    assert best.parameters == pytest.approx(n[losses.argmin()], rel=1e-4)
    assert best.training_flops == pytest.approx(flops, rel=1e-12)


@pytest.mark.parametrize("served", [0.0, 1e12, 1e14])
def test_the_cheapest_model_of_a_loss_is_the_best_of_all_that_reach_it(served):
    law, loss = published_law("besiroglu"), 2.05
    best = inference_aware(loss, served, law)
    assert float(law.loss(best.parameters, best.tokens)) == pytest.approx(loss, rel=1e-12)
    n = np.geomspace(best.parameters / 1.5, best.parameters * 1.5, 200_001)
    room = loss - law.entropy - law.coefficients[0] * n ** -law.exponents[0]
    n, room = n[room > 0], room[room > 0]
    d = (law.coefficients[1] / room) ** (1 / law.exponents[1])
    cost = 6 * n * d + 2 * n * served
    assert best.training_flops + best.inference_flops == pytest.approx(cost.min(), rel=1e-8)
    assert best.parameters == pytest.approx(n[cost.argmin()], rel=1e-3)


def test_without_inference_the_cheapest_model_is_the_compute_optimal_one_and_more_inference_makes_it_smaller():
    law = published_law("hoffmann")
    plain = compute_optimal(1e22, law)
    sizes = [inference_aware(plain.loss, served, law).parameters for served in (0.0, 1e11, 1e13, 1e15)]
    assert sizes[0] == pytest.approx(plain.parameters, rel=1e-9)
    assert sizes == sorted(sizes, reverse=True) and sizes[3] < sizes[0] / 1.5


def test_intervals_are_percentiles_of_the_optima_of_rows_and_lost_rows_leave_none():
    law = published_law("besiroglu")
    rows = law.row() * np.exp(0.02 * np.random.default_rng(0).standard_normal((101, 5)))
    best = compute_optimal(1e22, law, rows)
    each = sorted(compute_optimal(1e22, law_of_row(row)).parameters for row in rows)
    low, high = best.intervals["parameters"] or (0, 0)
    assert each[2] <= low <= each[3] and each[97] <= high <= each[98]
    assert (best.rows, best.lost) == (101, 0)
    target = inference_aware(2.0, 1e12, law, rows)
    each = sorted(inference_aware(2.0, 1e12, law_of_row(row)).parameters for row in rows)
    low, high = target.intervals["parameters"] or (0, 0)
    assert each[2] <= low <= each[3] and each[97] <= high <= each[98]
    rows[7, 4] = -0.1
    broken = compute_optimal(1e22, law, rows)
    assert broken.lost == 1 and broken.intervals["parameters"] is None
    above = rows.copy()
    above[:3, 0] = 2.01  # these rows cannot reach the loss
    assert inference_aware(2.0, 0.0, law, above).lost == 4


def test_a_size_that_is_held_joins_the_entropy():
    held = at_size(THREE, S=1e4)
    np.testing.assert_allclose(held.loss(1e8, 1e9), THREE.loss(1e8, 1e9, 1e4), rtol=1e-14)
    assert held.terms == ("N", "D")
    law, rows = at_state(THREE, np.stack([THREE.row()] * 2), 1e4)
    assert law == held
    np.testing.assert_allclose(rows, [held.row()] * 2)
    assert compute_optimal(1e18, held).parameters == compute_optimal(1e18, at_size(THREE, S=1e2)).parameters


LAW = published_law("hoffmann")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: compute_optimal(0.0, LAW), "flops: finite and above 0, got 0"),
        (lambda: compute_optimal(-1e20, LAW), "flops: .* got -1e"),
        (lambda: compute_optimal(1e20, THREE), "law: of N and D, got one of N, D, S"),
        (lambda: compute_optimal(1e20, law_of_row([1.0, 400, -0.3, 400, 0.3])), "exponents and coefficients above 0"),
        (lambda: compute_optimal(1e20, LAW, np.ones((3, 4))), r"rows: of five constants .* \(3, 4\)"),
        (lambda: inference_aware(1.69, 0.0, LAW), "loss: above the entropy of the law, 1.69 nats, got 1.69"),
        (lambda: inference_aware(1.2, 0.0, LAW), "got 1.2"),
        (lambda: inference_aware(2.0, -1.0, LAW), "inference_tokens: between 0 and 1e.30, got -1"),
        (lambda: inference_aware(2.0, float("nan"), LAW), "inference_tokens"),
        (lambda: at_size(THREE, Q=1.0), "some but not all of N, D, S, got Q"),
        (lambda: at_size(THREE, S=0.0), "S: finite and above 0"),
        (lambda: at_size(THREE, N=1.0, D=1.0, S=1.0), "some but not all"),
        (lambda: at_state(LAW, [], 3.0), "state: only for a law with the size S"),
        (lambda: at_state(THREE, [], None), "state: elements, for a law with the size S"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
