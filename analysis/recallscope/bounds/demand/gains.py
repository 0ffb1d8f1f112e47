"""How much of the gain from recall a state of S bits can carry: the exact optimum, and the limit that is proven.

A hit at i, last seen at p, gains g_i bits: the loss of a model without memory less that of one with the whole context.
The state M_c is what passes from the steps up to c to those after it: S bits. The prediction of x_i is a function of
M_c and x_{c+1} .. x_{i-1} for every c ≤ i - 2 (x_{i-1} comes in beside the state). So the bits of the hit must be in
the state at the *cuts* c = p .. i - 2; there are none for i = p + 1. If x_i ≤ g_i bits are carried for each hit, the
sum over the hits that span one cut is at most S; `carried_gain` is the maximum of Σ x_i.

What of this is a theorem, and what is not
------------------------------------------
**Chain rule.** Let the text have a law P, and let a model with state M_c lose ℓ_i at i. For every cut c, and for tokens
i > c of a set that everybody is told (all entropies are given what is told),

    Σ_{i > c} (H(x_i | x_{c+1} .. x_{i-1}) - E ℓ_i) ≤ Σ_{i > c} I(x_i; M_c | x_{c+1} .. x_{i-1}) ≤ H(M_c) ≤ S.

So the gains that span a cut add up to at most S if the memoryless model is as good at i as *the best predictor that
sees all tokens after the cut*, for all cuts that are charged: E ℓ⁰_i ≤ H(x_i | x_{c+1} .. x_{i-1}), c = p .. i - 2.
Call this (R). And a gain is at most E g_i if the other model is the best that sees the whole context.

(R) holds for the full interval if nothing after p tells of x_i what the memoryless model does not know: *independent
associations*, as in MQAR with independent values. The best model with a *reach* of w tokens, which sees x_{i-w} ..
x_{i-1}, fulfils it for any text at the cuts c ≥ i - 1 - w; `spans(..., reach=w)` charges no others. The gain over any w
tokens in a row is then at most S.

**The maximum with measured gains is not a bound.** Three things break it, each with an example in the tests:

- *Shared bits.* Two keys with one value of b bits: a state of b bits gains b at each, 2 b over a cut. (R) fails, as the
  first answer tells the second. Counted within reach w, the bound stands.
- *Chance.* The theorem is of expected gains; the maximum is concave in them, so its mean over texts is lower (Jensen).
  A value is v with probability 2^-10, else another: one bit of state gains 0.0112 bits, the mean of the maximum of the
  realised gains is 0.0024.
- *Hindsight.* Hits are picked with the answer in hand. A model without state that bets on repeats gains on hits and
  pays on the misses. So the bound is for models that are told which tokens are hits, the two of the gain among them.

**What is proven instead.** The dual of the maximum has an optimum of zeros and ones (rows of consecutive ones are
totally unimodular), that is, a set K of cuts with

    Σ gains ≤ S |K| + Σ (gains of hits that span no cut of K),                                                (*)

which is linear in the gains. With K chosen without this text's own answers (from intervals, and gains expected from
other documents), the mean of the right side bounds the expected gain of every model of S bits, under (R), with hits
told and documents independent: `gain_limit`. A better K makes it tighter, a worse one leaves it true, and a floor at
zero, g_i = max(., 0), only raises it. Over *all* tokens nothing need be told: `spans(zeros, i, reach=w)` for every i ≥
1.

On real text, trained models stand for the best ones and are not told the hits, so the limit is an estimate: a model
above it refutes one of the assumptions, not the chain rule. S counts the whole state; weights are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds.demand.intervals import Array, at_least, checked_intervals

_UNIT = 2.0**-40  # bits; whole multiples add up without rounding, so that primal and dual agree exactly


@dataclass(frozen=True)
class Carried:
    """The most gain that a state can carry, and why it is the most.

    Attributes
    ----------
    bits : float
        Σ amounts, the maximum.
    amounts : float array `[I]`, in bits
        x_i of each hit, 0 to its gain.
    cuts : int64 array `[K]`, rising
        Cuts whose dual price is 1: `bits` = S K + the gains of hits that span none of them, which proves the maximum.
    """

    bits: float
    amounts: Array
    cuts: Array


def spans(begin: ArrayLike, end: ArrayLike, reach: int | None = None) -> tuple[Array, Array]:
    """First cut that each hit spans, and one past the last: p and i - 1; with `reach` w, max(p, i - 1 - w) and i - 1.

    `begin` and `end` are p < i of the hits, int arrays `[I]` in tokens. `reach` is the number w ≥ 1 of tokens that the
    memoryless model sees, x_{i-1} the last; None charges the whole interval, which needs independent associations.
    """
    begin, end = checked_intervals(begin, end)
    if (begin == end).any():
        raise ValueError(f"end: above begin, got {end[begin == end][0]} for both")
    if reach is None:
        return begin, end - 1
    at_least("reach", reach, 1)
    return np.maximum(begin, end - 1 - int(reach)), end - 1


def carried_gain(begin: ArrayLike, end: ArrayLike, gain: ArrayLike, state_bits: float) -> Carried:
    """max Σ x_i with 0 ≤ x_i ≤ gain_i and, over the hits that span any one cut, Σ x_i ≤ S. Exact, O(I log I).

    Every bit counts the same, so the greedy of equal intervals is exact, a hit being gain_i equal intervals: at each
    begin take the whole gain, and while the cut holds more than S, take the excess from the hits that end last [1]_.
    The proof comes with each result. Go back over the cuts where a hit was cut short, from the last, and keep a cut if
    that hit spans no cut kept so far. Then a hit cut short spans a kept cut; one that spans two kept cuts ends later
    than the hit cut short at the first, so it carries nothing; and kept cuts are full: complementary slackness, with
    prices of 1.

    Parameters
    ----------
    begin, end : int arrays `[I]`
        First cut that each hit spans and one past the last (`spans`); equal: none, the hit needs no state.
    gain : float array `[I]`, in bits, finite, at least 0 and taken to 2^-40 bits
    state_bits : float
        S, at least 0.

    Raises `ValueError` for gains or states that are negative or not finite. What it bounds, see this module.

    References
    ----------
    .. [1] Faigle, Nawijn, "Note on scheduling intervals on-line", Discrete Applied Mathematics 58, 1995.
    """
    begin, end = checked_intervals(begin, end)
    gain = _checked_gain(gain, begin.size)
    at_least("state_bits", state_bits, 0)
    units = np.rint(gain / _UNIT).astype(np.int64)
    by_end = np.argsort(end, kind="stable")
    by_end = by_end[begin[by_end] < end[by_end]]  # the others span no cut and keep their gain
    left = units[by_end].tolist()
    events = _sweep(begin[by_end], end[by_end], left, round(state_bits / _UNIT))
    units[by_end] = left
    return Carried(sum(units.tolist()) * _UNIT, units * _UNIT, _kept(events))


def gain_limit(begin: ArrayLike, end: ArrayLike, gain: ArrayLike, state_bits: float, cuts: ArrayLike) -> float:
    """S times the cuts, plus the gains of hits that span none: the right side of (*), in bits, for any set of cuts.

    With `carried_gain(...).cuts` of the same gains it is the maximum; with cuts chosen without sight of these gains its
    mean bounds every model of S bits (assumptions: see this module). `cuts` are whole numbers, in any order.
    """
    begin, end = checked_intervals(begin, end)
    gain = _checked_gain(gain, begin.size)
    at_least("state_bits", state_bits, 0)
    cuts = np.unique(np.asarray(cuts, dtype=np.int64))
    free = np.searchsorted(cuts, begin) == np.searchsorted(cuts, end)
    return float(state_bits * cuts.size + gain[free].sum())


def _sweep(begin: Array, end: Array, left: list[int], state: int) -> list[tuple[int, int]]:
    """Reduce `left` to the amounts; (cut, end of the hit cut short) in order of time. Hits come in order of ends."""
    begins, ends = begin.tolist(), end.tolist()
    held, ended, load, events = [], 0, 0, []
    for new in np.argsort(begin, kind="stable").tolist():
        cut = begins[new]
        while ends[ended] <= cut:
            load -= left[ended]
            ended += 1
        heappush(held, -new)
        load += left[new]
        while load > state:
            last = -held[0]
            taken = min(left[last], load - state)
            if taken:  # a hit without gain is not cut short
                left[last] -= taken
                load -= taken
                events.append((cut, ends[last]))
            if not left[last]:
                heappop(held)
    return events


def _kept(events: list[tuple[int, int]]) -> Array:
    kept: list[int] = []
    for cut, end in reversed(events):
        if not kept or end <= kept[-1]:
            kept.append(cut)
    return np.array(kept[::-1], dtype=np.int64)


def _checked_gain(gain: ArrayLike, size: int) -> Array:
    gain = np.asarray(gain, dtype=np.float64)
    if gain.shape != (size,):
        raise ValueError(f"gain: one number for each of {size} hits, got shape {gain.shape}")
    if not ((gain >= 0) & (gain < 2**22)).all():
        raise ValueError(f"gain: bits from 0 to below 2^22, got {gain[~((gain >= 0) & (gain < 2**22))][0]}")
    return gain
