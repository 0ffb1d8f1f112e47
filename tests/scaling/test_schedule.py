"""Average parameters: identities that are exact, and the tokens of a pruning schedule."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.scaling import average_parameters, pruned_run, published_law

counts = st.integers(1, 10**12)


@given(st.lists(st.tuples(st.integers(0, 10**12), counts), min_size=1, max_size=6), counts)
def test_flops_are_six_times_average_times_tokens_and_the_sum_of_the_steps(steps, last):
    """Growing or pruning in jumps: N_i for D_i tokens each, counted step by step."""
    steps = [*steps, (1, last)]
    tokens, parameters, total = [], [], 0
    for length, size in steps:
        tokens += [total, total + length]
        parameters += [size, size]
        total += length
    run = average_parameters(tokens, parameters)
    counted = sum(6 * length * size for length, size in steps)
    assert run.training_flops == counted == 6 * run.average * run.tokens
    assert (run.tokens, run.final) == (total, last)
    assert min(parameters) <= run.average <= max(parameters)


def test_a_constant_run_has_its_own_size_and_the_loss_of_the_plain_law():
    run = average_parameters([0, 10**9, 3 * 10**9], [10**8] * 3)
    assert run.average == 10**8
    law = published_law("besiroglu")
    assert law.loss(run.average, run.tokens) == law.loss(1e8, 3e9)


def test_a_linear_piece_counts_its_middle():
    run = average_parameters([0, 1, 3], [7, 7, 2])
    assert run.average == Fraction(7 + 9, 3)  # 7·1 + (7 + 2)/2·2, over 3
    assert run.training_flops == 96


@given(counts, counts, counts, st.integers(0, 100), st.integers(0, 100))
def test_pruning_takes_place_between_two_shares_of_the_compute(dense, final, tokens, one, two):
    begin, end = sorted((one, two))
    points, sizes = pruned_run(dense, final, tokens, begin=Fraction(begin, 100), end=Fraction(end, 100))  # type: ignore[arg-type]
    whole = average_parameters(points, sizes).training_flops
    assert points[-1] == tokens and sizes[0] == dense and sizes[-1] == final
    assert 6 * dense * points[1] == whole * Fraction(begin, 100)
    assert 6 * final * (points[3] - points[2]) == whole * Fraction(100 - end, 100)


def test_equal_compute_and_data_have_equal_averages_whatever_the_way():
    """Half the tokens at N and half at 3N, in either order, and a straight line between: 2N on average."""
    up = average_parameters([0, 5, 5, 10], [1, 1, 3, 3])
    down = average_parameters([0, 5, 5, 10], [3, 3, 1, 1])
    line = average_parameters([0, 10], [1, 3])
    assert up.average == down.average == line.average == 2
    assert up.training_flops == down.training_flops == line.training_flops == 120
    assert (up.final, down.final) == (3, 1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: average_parameters([0], [1]), "at least 2, got 1 and 1"),
        (lambda: average_parameters([0, 1], [1]), "got 2 and 1"),
        (lambda: average_parameters([1, 2], [1, 1]), "tokens: from 0, never falling"),
        (lambda: average_parameters([0, 3, 2], [1, 1, 1]), "never falling"),
        (lambda: average_parameters([0, 0], [1, 1]), "above 0 at the end"),
        (lambda: average_parameters([0, 1], [1, 0]), "parameters: above 0, got 0"),
        (lambda: average_parameters([0, float("inf")], [1, 1]), "tokens: finite numbers, got inf"),
        (lambda: average_parameters([0, 1], [1, float("nan")]), "parameters: finite numbers, got nan"),
        (lambda: pruned_run(1, 0, 1), "final: above 0"),
        (lambda: pruned_run(1, 1, 1, begin=0.8), "begin, end: shares of the compute in order, got 0.8 and 0.75"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
