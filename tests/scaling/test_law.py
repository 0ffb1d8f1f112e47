"""Laws: what they predict, and published constants."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.scaling import LossLaw, constant_names, law_of_row, published_law
from scaling.synthetic import ONE, THREE

# shared by print: L(70e9, 1.4e12) of each set of constants, recomputed from A/N^α by hand to 4 decimals
AT_CHINCHILLA = {"hoffmann": 1.9366, "hoffmann-tex": 1.9208, "besiroglu": 1.9739}


@pytest.mark.parametrize(("name", "loss"), AT_CHINCHILLA.items())
def test_the_loss_of_chinchilla(name, loss):
    assert float(published_law(name).loss(70e9, 1.4e12)) == pytest.approx(loss, abs=5e-5)


def test_the_tex_constants_round_to_the_printed_ones():
    printed, digits = published_law("hoffmann").constants(), {"E": 2, "A": 1, "B": 1, "alpha": 2, "beta": 2}
    exact = published_law("hoffmann-tex").constants()
    assert {name: round(exact[name], digits[name]) for name in digits} == printed


def test_sizes_by_name_in_any_order_and_by_place_broadcast():
    sizes = {"D": np.array([1e9, 1e10]), "N": 1e8, "S": np.array([[10.0], [20.0]])}
    expected = 1.5 + 30 / 1e8**0.3 + 200 / sizes["D"] ** 0.35 + 3 / sizes["S"] ** 0.4
    np.testing.assert_allclose(THREE.loss(**sizes), expected, rtol=1e-14)
    np.testing.assert_allclose(THREE.loss(1e8, sizes["D"], sizes["S"]), expected, rtol=1e-14)


def test_rows_and_constants_are_the_same_numbers_in_one_order():
    assert constant_names(("N", "D", "S")) == ("E", "A", "alpha", "B", "beta", "C", "sigma")
    assert constant_names(("S",)) == ("E", "A", "alpha")
    assert THREE.constants() == dict(zip(constant_names(THREE.terms), [1.5, 30, 0.3, 200, 0.35, 3, 0.4], strict=True))
    assert law_of_row(THREE.row(), THREE.terms) == THREE


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ONE.loss(0.0), "S: sizes are finite and above 0, got 0"),
        (lambda: ONE.loss([1.0, -2.0]), "got -2"),
        (lambda: ONE.loss(np.nan), "got nan"),
        (lambda: ONE.loss(), "sizes: S, got none"),
        (lambda: ONE.loss(1.0, 2.0), "sizes: S, got 2 of them"),
        (lambda: ONE.loss(N=1.0), "sizes: S, got N"),
        (lambda: constant_names(()), "one to 3 different sizes, got none"),
        (lambda: constant_names(("N", "N")), "got N, N"),
        (lambda: LossLaw(1.0, (1.0,), (1.0, 2.0)), "one for each of N, D, got 1 and 2"),
        (lambda: published_law("kaplan"), "law: one of hoffmann, hoffmann-tex, besiroglu, got 'kaplan'"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
