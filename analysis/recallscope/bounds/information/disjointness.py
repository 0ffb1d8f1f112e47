"""Set disjointness: do A, read first, and B share an element? In one pass, and in several."""

from __future__ import annotations

import math

from recallscope.bounds._checks import log2_integer, whole
from recallscope.bounds.information.asymptotic import Asymptotic


def disjointness_bits(first: int, second: int, ids: int, passes: int = 1) -> float:
    """Fewest bits with which a model that is never wrong decides whether A and B are disjoint, having read A B p times.

    One pass: log2 C(U, |A|), exact: a state that numbers the set A is enough. Two sets A ≠ A' need different states:
    some B holds an id of A' that is not in A, and otherwise ids outside A (there are enough: |A| + |B| ≤ U); with A it
    is disjoint, with A' not. It does not matter how small B is: what comes first is what must be held.

    p ≥ 2 passes: log2 C(U, min(|A|, |B|)) / (2 p - 1), a lower bound. The states at the ends of A and of B, in turn,
    are 2 p - 1 messages of S bits between one who knows A and one who knows B and answers. All pairs (A, B) of the same
    messages form a rectangle, and in it the answer depends on B alone: the matrix of answers is a sum of at most
    2^(S (2 p - 1)) matrices of rank 1 (Mehlhorn and Schmidt 1982). Its rank is C(U, min(|A|, |B|)), since it says which
    |A|-sets lie in which (U - |B|)-sets (Gottlieb 1966). Just Read Twice (Arora et al. 2024, arXiv 2407.05483,
    Proposition 3.1) counts 2 p messages and bounds models that may be wrong, without a number: `disjointness_growth`.

    All pairs of sets of these sizes must be decided. The task that promises one common id and asks which is another
    one: its bound is `recallscope.tasks.SetDisjointness.demand_bits`, at the paper's sizes the same number in one pass.

    Parameters
    ----------
    first, second : int
        |A| and |B|, at least 1.
    ids : int
        U, how many ids there are, at least |A| + |B|.
    passes : int
        p ≥ 1: how often `A B` is read, whole and in this order.
    """
    first, second = whole("first", first, 1), whole("second", second, 1)
    ids, passes = whole("ids", ids, first + second), whole("passes", passes, 1)
    if passes == 1:
        return float(log2_integer(math.comb(ids, first)))
    return float(log2_integer(math.comb(ids, min(first, second)))) / (2 * passes - 1)


def disjointness_growth(first: int, second: int, passes: int = 1) -> Asymptotic:
    """As the paper states it, for recurrent models that may be wrong now and then.

    The 1 / (2 p) is the proof's; what it multiplies, the randomised communication of disjointness, is known as Ω(min),
    without a number. In one pass the order counts: Ω(max) is for models that do not know which set is the smaller.
    """
    first, second, passes = whole("first", first, 1), whole("second", second, 1), whole("passes", passes, 1)
    if passes == 1:
        return Asymptotic(
            "Ω(max(|A|, |B|))", float(max(first, second)), "bits", "one pass, sets in either order",
            "Arora et al. 2024, arXiv 2402.18668, Theorem F.3; as told in arXiv 2407.05483",
        )  # fmt: skip
    return Asymptotic(
        "Ω(min(|A|, |B|) / p)", min(first, second) / (2 * passes), "bits", "p passes, errors allowed",
        "Arora et al. 2024, arXiv 2407.05483, Proposition 3.1, Theorem G.27",
    )  # fmt: skip
