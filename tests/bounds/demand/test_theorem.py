"""What the limit in bits bounds, on streams whose truth is known: by trying all memories, and where it would fail."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pytest
from recallscope.bounds.demand import carried_gain, demand, gain_limit, spans


def entropy(outcomes: Sequence[Hashable]) -> float:
    """Bits, of equally likely outcomes."""
    shares = np.array(list(Counter(outcomes).values())) / len(outcomes)
    return float(-(shares * np.log2(shares)).sum())


def unknown(answers: Sequence[Hashable], known: Sequence[Hashable]) -> float:
    """H(answer | known) over equally likely worlds: the least expected loss of a model that knows so much."""
    return entropy(list(zip(answers, known, strict=True))) - entropy(known)


def memories(inputs: int) -> list[tuple[int, ...]]:
    """All ways to keep one bit of one of `inputs` things."""
    return list(itertools.product((0, 1), repeat=inputs))


def test_no_memory_of_one_bit_beats_the_limit_on_three_independent_bits():
    """Stream a b ? a c ? b ? c: three bits told and asked again; every automaton of two states, other at each time.

    Positions 0 1 2 3 4 5 6 7 8. A one-bit state can serve a and then c, but not b, which lies over both.
    """
    worlds = list(itertools.product((0, 1), repeat=3))
    a, b, c = zip(*worlds, strict=True)
    best = 0.0
    for told_b, asked_a, told_c, asked_b in itertools.product(memories(4)[::2], repeat=4):
        # tables that send their last input to 0 suffice: the others rename the two states
        state = a
        state = tuple(told_b[2 * m + x] for m, x in zip(state, b, strict=True))
        gain = 1 - unknown(a, state)  # predicted from the state at 1, as the question is read
        state = tuple(asked_a[2 * m + x] for m, x in zip(state, a, strict=True))
        state = tuple(told_c[2 * m + x] for m, x in zip(state, c, strict=True))
        gain += 1 - unknown(b, state)
        state = tuple(asked_b[2 * m + x] for m, x in zip(state, b, strict=True))
        best = max(best, gain + 1 - unknown(c, state))
    begin, end = spans([0, 1, 4], [3, 6, 8])
    assert carried_gain(begin, end, np.ones(3), 1).bits == 2
    assert best == pytest.approx(2, abs=1e-12), "and some automaton attains it"


@pytest.mark.parametrize("choices", [2, 3, 4])
def test_no_code_of_few_bits_gains_more_on_independent_answers(choices):
    """Two values told, then both asked: all codes of the pair. With whole bits the limit is attained."""
    worlds = list(itertools.product(range(choices), repeat=2))
    first, second = zip(*worlds, strict=True)
    begin, end = spans([0, 1], [3, 5])
    for bits in (0, 1):
        codes = itertools.product(range(2**bits), repeat=len(worlds)) if choices < 4 else some_codes(len(worlds), bits)
        best = max(
            2 * math.log2(choices) - unknown(first, code) - unknown(second, list(zip(code, first, strict=True)))
            for code in codes
        )
        limit = carried_gain(begin, end, np.full(2, math.log2(choices)), bits).bits
        assert limit - 0.01 <= best <= limit + 1e-12, "H of the code is the gain, and within 0.01 bits of whole"


def some_codes(worlds: int, bits: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(0)
    return [tuple(rng.permutation(worlds) % 2**bits) for _ in range(50)]


def test_shared_bits_break_the_full_interval_and_not_the_reach():
    """One value of 6 bits told under two keys at 0 and 1, asked at 4 and 12: 6 bits of state gain 12."""
    value, truth = 6.0, 12.0
    assert carried_gain(*spans([0, 1], [4, 12]), [value, value], 6).bits == 6 < truth
    assert carried_gain(*spans([0, 1], [4, 12], reach=5), [value, value], 6).bits == truth
    # a memoryless model that reaches back to the first answer gains nothing from memory at the second
    assert carried_gain(*spans([0, 1], [4, 12], reach=9), [value, 0.0], 6).bits == 6


def test_the_mean_maximum_of_realised_gains_is_below_the_truth_and_the_limit_is_not():
    """One answer, v with probability q = 2^-10, else another, with one bit of state, which holds it all."""
    q = 2.0**-10
    gains = {-math.log2(q): q, -math.log2(1 - q): 1 - q}
    truth = sum(gain * p for gain, p in gains.items())
    assert truth == pytest.approx(0.01117, abs=1e-5)
    begin, end = spans([0], [4])
    realised = sum(p * carried_gain(begin, end, [gain], 1).bits for gain, p in gains.items())
    assert realised == pytest.approx(0.00238, abs=1e-5)
    for cuts in ([], [0]):
        assert sum(p * gain_limit(begin, end, [gain], 1, cuts) for gain, p in gains.items()) >= truth
    # the same through records: documents of one hit each, whose cuts come from the other document
    mean = 0.0
    for (one, p), (two, r) in itertools.product(gains.items(), repeat=2):
        found = demand(documents_of_one_hit([one, two])).at_state_bits(1)
        assert found.carried_bits <= found.limit_bits + 1e-9
        mean += p * r * found.limit_bits
    assert mean >= 2 * truth - 1e-12


def documents_of_one_hit(gains: Sequence[float]) -> dict[str, np.ndarray]:
    length, many = 5, len(gains)
    distance, loss = np.zeros((many, length), int), np.zeros((many, length))
    distance[:, 4] = 4
    loss[:, 4] = np.array(gains) * math.log(2)
    return {
        "document": np.repeat(np.arange(many), length),
        "position": np.tile(np.arange(length), many),
        "distance_2": distance.ravel(),
        "loss_whole": np.zeros(many * length),
        "loss_memoryless": loss.ravel(),
    }


def test_bets_on_hits_gain_without_any_state():
    """Told A or B, asked: the same with probability 1/2, else C. Of hits alone, who never says C gains a bit."""
    worlds = [(told, said) for told in "AB" for said in (told, told, "C", "C")]
    hits = [said for told, said in worlds if said == told]
    said = Counter(said for _, said in worlds)
    memoryless = np.mean([-math.log2(said[one] / len(worlds)) for one in hits])
    bets = np.mean([-math.log2({"A": 0.5, "B": 0.5}[one]) for one in hits])
    assert memoryless - bets == 1 > carried_gain(*spans([0], [4]), [memoryless], 0).bits == 0
    # told that it is a hit, the memoryless model says the same as the bet: nothing is left to gain without state
    assert entropy(hits) == bets


@pytest.mark.parametrize("state", [0, 1, 3, 8])
def test_over_all_tokens_nothing_need_be_told(state):
    """A string of 8 random bits, round and round; S bits of state keep S of them and gain S per round."""
    period, rounds = 8, 5
    tokens = np.arange(1, period * rounds)
    gain = (tokens >= period).astype(float)
    truth = state * (rounds - 1)
    for reach in (1, 3, 7):
        found = carried_gain(*spans(np.zeros_like(tokens), tokens, reach=reach), gain, state)
        assert found.bits >= truth
    assert found.bits <= truth + 2 * state, "reach 7, nearly a round: one cut a round"


@pytest.mark.parametrize("bits_per_value, pairs", [(3, 4), (5, 8)])
def test_pairs_told_then_asked_reach_the_limit_as_files_in_a_state(bits_per_value, pairs):
    """As MQAR: S bits hold S / b values whole; the maximum is min(S, D b), and lost loss says so in nats."""
    length = 4 * pairs
    distance = np.zeros(length, int)
    distance[2 * pairs + 1 :: 2] = 2 * pairs
    loss = (distance > 0) * bits_per_value * math.log(2)
    records = {"document": np.zeros(length, int), "position": np.arange(length), "distance_2": distance}
    found = demand(records | {"loss_whole": 0 * loss, "loss_memoryless": loss})
    for state in range(0, bits_per_value * (pairs + 1), bits_per_value):
        at = found.at_state_bits(state)
        truth = min(state, bits_per_value * pairs)
        assert at.carried_bits == pytest.approx(truth, abs=1e-9)
        assert at.limit_bits >= truth - 1e-9
        assert at.lowest_loss == pytest.approx(bits_per_value * math.log(2) - at.limit_bits * math.log(2) / pairs)
    assert found.at_state_bits(bits_per_value * pairs).lowest_loss == pytest.approx(0, abs=1e-9)


def mean_limit(draw: Callable[[np.random.Generator], list[float]], state: float, texts: int) -> float:
    rng = np.random.default_rng(0)
    found = [demand(documents_of_one_hit(draw(rng))).at_state_bits(state).limit_bits for _ in range(texts)]
    return float(np.mean(found))


def test_the_limit_of_unequal_surprises_is_above_what_a_code_reaches():
    """Answers of surprisal 1, 2, 3, 3 bits (probabilities 1/2, 1/4, 1/8, 1/8), one bit of state: it gains a bit each.

    The best one-bit code tells the likeliest answer from the others: H(1/2) = 1 of 1.75 bits.
    """
    surprise = [1.0, 2.0, 3.0, 3.0]
    draw = lambda rng: rng.choice(surprise, 4, p=[0.5, 0.25, 0.125, 0.125]).tolist()  # noqa: E731
    assert mean_limit(draw, 1, 20) >= 4 * 1 - 1e-9
