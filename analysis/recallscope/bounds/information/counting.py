"""The counting bound: a state answers one sequence of questions in one way only. Exact at every size."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds._checks import at_least, lacking, log2_integer, whole


def answer_sequences(pairs: int, values: int) -> int:
    """Number of answers that D questions with distinct values can have: v! / (v - D)!, exact.

    `values` is v, how many values there are to draw from without replacement: V/2 for MQAR with a vocabulary of V.
    """
    values = whole("values", values, 1)
    return math.perm(values, whole("pairs", pairs, 1, values))


def answer_bits(pairs: int, values: int) -> float:
    """log2 of `answer_sequences`: bits of state that answering all of them takes, and the entropy of the answers."""
    return float(log2_integer(answer_sequences(pairs, values)))


def all_right_limit(state_bits: ArrayLike, pairs: int, values: int) -> np.ndarray:
    """Highest probability that any model with S bits of state answers all D questions right: 2^S (v - D)! / v!, or 1.

    For MQAR as its authors' code draws it (see `recallscope.tasks.MQAR`): given the keys, every ordered choice of D of
    the v = V/2 values is equally likely. Fix all that does not depend on the values: keys, filler, order of questions,
    randomness of the model. Its state after the statements is then one of 2^S, and each leads to one sequence of
    answers, so at most 2^S of the v! / (v - D)! equally likely sequences are answered without a mistake. Averaged over
    what was fixed, this stays. A memory that numbers 2^S of the sequences attains it, 2^S whole.

    Nothing here is asymptotic, and nothing is assumed of the model but that what passes from statements to questions is
    a state of S bits. How often single answers are right is bounded by `accuracy_limit`, with `answer_bits` as demand.

    Parameters
    ----------
    state_bits : array_like
        S ≥ 0; 2^S is the number of states.
    pairs, values : int
        D and v, 1 ≤ D ≤ v.
    """
    state = at_least("state_bits", state_bits, 0, finite=False)
    return np.exp2(lacking(state, log2_integer(answer_sequences(pairs, values))))
