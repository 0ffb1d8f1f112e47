"""The forms in letters give the numbers of the functions, and are lean to import."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import mpmath
import pytest
import sympy
from recallscope import bounds
from recallscope.bounds import information
from recallscope.bounds.symbolic import FORMS, bound_formula, symbols

VALUES = {"S": 37.5, "D": 5, "V": 64, "epsilon": 0.125, "U": 40, "delta": 0.0625, "n": 7, "a": 6, "b": 4, "P": 3}
ARGUMENTS = {
    "state_limit": "D V epsilon", "pairs_limit": "S V epsilon", "answer_sequences": "D V", "answer_bits": "D V",
    "all_right_limit": "S D V", "copy_error_limit": "S n V", "copy_state_limit": "n V epsilon",
    "copy_length_limit": "S V epsilon", "dictionary_bits": "D U V", "membership_bits": "D U delta V",
    "disjointness_bits": "a b U P", "binary_depth_limit": "V", "p_hot_depth_limit": "P",
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("changed", [{}, {"S": 2.0, "V": 1024, "P": 1, "b": 20}], ids=["one", "other"])
def test_a_form_gives_the_number(name, changed):
    values, letters = VALUES | changed, ARGUMENTS[name].split()
    form = sympy.lambdify([symbols()[one] for one in letters], bound_formula(name), "mpmath")
    assert {str(one) for one in bound_formula(name).free_symbols} == set(letters)
    numbers = [values[one] for one in letters]
    with mpmath.workdps(40):
        wanted = float(form(*map(mpmath.mpf, numbers)))
    assert float(getattr(information, name)(*numbers)) == pytest.approx(wanted, rel=1e-13)


def test_the_equation_of_the_accuracy_limit_solved_by_sympy():
    letters = symbols()
    equation: Any = bound_formula("accuracy_limit").subs({letters["D"]: 5, letters["V"]: 64, letters["S"]: 11.25})
    solved: Any = sympy.nsolve(equation.lhs - equation.rhs, letters["p"], 0.5)
    assert float(information.accuracy_limit(11.25, 5, 64)) == pytest.approx(float(solved), abs=1e-12)


def test_every_form_is_of_a_function():
    assert set(FORMS) == set(ARGUMENTS) | {"accuracy_limit"}
    assert all(callable(getattr(information, name)) for name in FORMS)
    assert bounds.accuracy_limit is information.accuracy_limit


def test_a_wrong_name_lists_all():
    with pytest.raises(ValueError, match=r"name: one of state_limit, .*p_hot_depth_limit, got 'fano'"):
        bound_formula("fano")


def test_sympy_is_loaded_on_use_only():
    code = "import sys, recallscope.bounds.symbolic; sys.exit(bool({'torch', 'sympy', 'plotly'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
