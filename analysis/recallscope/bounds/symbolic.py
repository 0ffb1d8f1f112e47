"""The closed forms of the information limits as sympy expressions, to be read, solved and differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sympy

LETTERS = {
    "S": "state_bits", "D": "pairs", "V": "vocabulary", "epsilon": "error", "p": "accuracy", "U": "keys or ids",
    "delta": "false_positive", "n": "length", "a": "first", "b": "second", "P": "passes",
}  # fmt: skip
"""Symbol to the argument of the numeric function; V is also `values`. S, V and probabilities are real, others whole."""

_REAL = ("S", "V", "epsilon", "p", "delta")


def symbols() -> dict[str, sympy.Symbol]:
    """All symbols of `LETTERS`, positive, by their letters: what to substitute in a `bound_formula`."""
    import sympy

    return {one: sympy.Symbol(one, positive=True, **({} if one in _REAL else {"integer": True})) for one in LETTERS}


def bound_formula(name: str) -> sympy.Basic:
    """A bound in letters: `bound_formula("copy_state_limit")` is Max(0, n log2 V + log2(1 - ε)), as sympy writes it.

    Assumptions and sources are those of the function of this name in `recallscope.bounds`; `accuracy_limit` is the
    equation that it solves for p, with S below D log2 V. Limits that end at 0 or 1 say so by Max and Min.

    Parameters
    ----------
    name : str
        A key of `FORMS`.
    """
    import sympy

    if name not in FORMS:
        raise ValueError(f"name: one of {', '.join(FORMS)}, got {name!r}")
    return FORMS[name](sympy, **symbols())


def _per_pair(sp: Any, V: Any, error: Any) -> Any:
    return sp.log(V, 2) + (1 - error) * sp.log(1 - error, 2) + error * sp.log(error / (V - 1), 2)


def _filter(sp: Any, D: Any, U: Any, delta: Any) -> Any:
    """log2 of C(U, D) / C(D + δ (U - D), D), falling factorials with D factors each."""
    return sp.log(sp.ff(U, D) / sp.ff(D + delta * (U - D), D), 2)


FORMS: dict[str, Callable[..., Any]] = {
    "state_limit": lambda sp, D, V, epsilon, **_: D * _per_pair(sp, V, epsilon),
    "pairs_limit": lambda sp, S, V, epsilon, **_: S / _per_pair(sp, V, epsilon),
    "accuracy_limit": lambda sp, S, D, V, p, **_: sp.Eq(S / D, _per_pair(sp, V, 1 - p)),
    "answer_sequences": lambda sp, D, V, **_: sp.ff(V, D),
    "answer_bits": lambda sp, D, V, **_: sp.log(sp.ff(V, D), 2),
    "all_right_limit": lambda sp, S, D, V, **_: sp.Min(1, 2**S / sp.ff(V, D)),
    "copy_error_limit": lambda sp, S, n, V, **_: sp.Max(0, 1 - 2**S / V**n),
    "copy_state_limit": lambda sp, n, V, epsilon, **_: sp.Max(0, n * sp.log(V, 2) + sp.log(1 - epsilon, 2)),
    "copy_length_limit": lambda sp, S, V, epsilon, **_: (S - sp.log(1 - epsilon, 2)) / sp.log(V, 2),
    "dictionary_bits": lambda sp, D, U, V, **_: sp.log(sp.binomial(U, D), 2) + D * sp.log(V, 2),
    "membership_bits": lambda sp, D, U, V, delta, **_: _filter(sp, D, U, delta) + D * sp.log(V, 2),
    "disjointness_bits": lambda sp, U, a, b, P, **_: sp.Piecewise(
        (sp.log(sp.binomial(U, a), 2), sp.Eq(P, 1)),
        (sp.log(sp.binomial(U, sp.Min(a, b)), 2) / (2 * P - 1), True),
    ),
    "binary_depth_limit": lambda sp, V, **_: sp.ceiling(sp.log(2 * sp.log(V, 2), 2)),
    "p_hot_depth_limit": lambda sp, P, **_: sp.floor(sp.log(2 * P, 2)),
}
"""Name of the function to its closed form; in `p_hot_depth_limit` P is the number of blocks."""
