"""Exponents of compute-optimal training, from the exponents of a loss law."""

from __future__ import annotations

from recallscope.audit.findings import Row, finding, groups, known
from recallscope.audit.intervals import cell, through


def exponents(rows: list[Row]) -> list[Row]:
    """Hoffmann et al. (arXiv 2203.15556) Section 3.3, approach 3: N_opt ∝ C^a with a = β / (α + β), and b = 1 - a.

    For L = E + A N^-α + B D^-β under C = 6 N D. Rows with `alpha` and `beta`, and `a` or `b` beside them; where both
    exponents are printed they must also add up to 1.
    """
    found = []
    for own in groups(rows, "table", "row"):
        alpha, beta, a, b = (next(iter(known(own, name)), None) for name in ("alpha", "beta", "a", "b"))
        if alpha and beta and a:
            value = through(lambda x, y: (y, x + y), cell(alpha), cell(beta))
            found.append(finding("exponent of size", a, value, cell(a), "1"))
        if alpha and beta and b:
            value = through(lambda x, y: (x, x + y), cell(alpha), cell(beta))
            found.append(finding("exponent of data", b, value, cell(b), "1"))
        if a and b:
            found.append(finding("exponents add up", b, through(lambda x: (1 - x, 1), cell(a)), cell(b), "1"))
    return found
