"""Key-value memories as data structures: what they attain, what being online adds, and what recognising keys costs.

A *retrieval* structure holds the values of D keys out of a universe of U, and may answer anything about other keys:
that is recall as MQAR asks it. A *dictionary* also knows which keys it holds; a *filter* knows it up to false
positives, and holds no values. Sizes are in bits, without the random numbers that may be shared (parameters).
"""

from __future__ import annotations

import math

from recallscope.bounds._checks import log2_integer, probability, whole
from recallscope.bounds.information.asymptotic import Asymptotic


def dictionary_bits(pairs: int, keys: int, vocabulary: int) -> float:
    """log2 of C(U, D) V^D, exact: the state with which all pairs are held, keys too, and nothing is ever wrong.

    An upper bound with no constant hidden: number all sets of pairs, and let the state be the number of the set read so
    far (how many those are is known from the position; for D ≤ U/2 earlier sets are fewer). So a one-pass memory needs
    at most log2 C(U, D) bits above the D log2 V of the values. Distinct keys, 1 ≤ D ≤ U; V values, at least 1.
    """
    keys = whole("keys", keys, 1)
    pairs, vocabulary = whole("pairs", pairs, 1, keys), whole("vocabulary", vocabulary, 1)
    return float(log2_integer(math.comb(keys, pairs) * vocabulary**pairs))


def membership_bits(pairs: int, keys: int, false_positive: float, vocabulary: int = 1) -> float:
    """Fewest bits with which keys that were never stated are recognised, but for a share δ of them.

        S ≥ Σ_{i<D} log2 (U - i) / (D + δ (U - D) - i) + D log2 V

    The first term goes to D log2(1/δ) for U ≫ D/δ (Carter et al. 1978, STOC), always from below: D log2(1/δ) itself is
    not a bound for few keys. At δ = 0 it is log2 C(U, D). With V = 1 this is about filters, with more about recall that
    says "absent" (`recallscope.tasks.GeneralRecall`).

    Assumed: the D stated keys are a uniform random set out of U and the values independent and uniform over V; every
    stated key gets its value; an absent key, uniform among the U - D, gets one with probability at most δ, over keys
    and over random numbers that do not count as state. Proof: the state M, with those numbers, says for which keys A
    there is a value; the stated ones are D of them. So the set, given M, is one of C(|A|, D), and the values follow
    from it: log2 C(U, D) + D log2 V ≤ S + E log2 C(|A|, D). That logarithm is concave in |A|, whose mean is at most
    D + δ (U - D).

    Parameters
    ----------
    pairs, keys : int
        D and U, 1 ≤ D ≤ U.
    false_positive : float
        δ, 0 to 1.
    vocabulary : int
        V, at least 1.
    """
    keys = whole("keys", keys, 1)
    pairs, vocabulary = whole("pairs", pairs, 1, keys), whole("vocabulary", vocabulary, 1)
    accepted = pairs + float(probability("false_positive", false_positive)) * (keys - pairs)
    recognised = math.fsum(math.log2((keys - i) / (accepted - i)) for i in range(pairs))
    return max(recognised, 0.0) + pairs * math.log2(vocabulary)


def static_retrieval(pairs: int, vocabulary: int) -> Asymptotic:
    """What a retrieval structure attains that is built once, with all pairs in view: the lower bound, and little more.

    D ≥ 1 pairs, V ≥ 2 values. `state_limit` says that less than D log2 V is not possible.
    """
    pairs, vocabulary = whole("pairs", pairs, 1), whole("vocabulary", vocabulary, 2)
    return Asymptotic(
        order="D log2 V + o(D log V)",
        term=pairs * math.log2(vocabulary),
        unit="bits",
        holds="upper bound: attained by structures built from all pairs at once; queries about stated keys only",
        source="as told in Kuszmaul et al. 2026, arXiv 2606.15944, Section 1",
    )


def dynamic_extra(pairs: int, keys: int) -> Asymptotic:
    """What a retrieval structure needs above D log2 V if keys are inserted *and deleted* while it is in use.

    1 ≤ D ≤ U. The term D log2 log2(U/D) is given as 0 for U ≤ 2 D. MQAR deletes nothing: see `incremental_extra`.
    """
    keys = whole("keys", keys, 1)
    pairs = whole("pairs", pairs, 1, keys)
    ratio = max(math.log2(keys / pairs), 1.0)
    return Asymptotic(
        order="Θ(D log log(U/D))",
        term=pairs * math.log2(ratio),
        unit="bits",
        holds="keys inserted and deleted, their number at most D; any keys of U; D large, U/D large",
        source="Demaine, Meyer auf der Heide, Pagh, Pătraşcu 2006; Mortensen, Pagh, Pătraşcu 2005, arXiv cs/0502032",
    )


def incremental_extra(pairs: int, vocabulary: int) -> Asymptotic:
    """What a retrieval structure needs above D log2 V if keys are only inserted, one after another: as MQAR is read.

    Here Θ(D log log D) is needed only where values are much shorter than log2 D bits; it shrinks to Θ(D) as they
    approach log2 D (Kuszmaul et al. 2024, abstract). MQAR with V/2 = 4,096 values has 12 bits per value against 8 for
    log2 of 256 pairs: the Θ(D) end. `dictionary_bits` less D log2 V is an upper bound with a number.

    D ≥ 1 pairs, V ≥ 2 values. The term is D, or for V < D the larger of D and D log2 log2 D, the upper end.
    """
    pairs, vocabulary = whole("pairs", pairs, 1), whole("vocabulary", vocabulary, 2)
    long = vocabulary >= pairs
    return Asymptotic(
        order="Θ(D)" if long else "between Θ(D) and Θ(D log log D)",
        term=float(pairs if long else max(pairs, pairs * math.log2(math.log2(pairs)))),
        unit="bits",
        holds="keys inserted only; any keys of a universe polynomial in D; D large",
        source="Kuszmaul, Putterman, Xu, Zhou, Zhou 2024, arXiv 2410.10002",
    )
