"""Predicted accuracy of each memory rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds._checks import whole
from recallscope.bounds.capacity import caches, linear
from recallscope.bounds.capacity.memory import Memory
from recallscope.bounds.capacity.readout import decoding_accuracy


def predicted_accuracy(memory: Memory, pairs: ArrayLike) -> np.ndarray:
    """Mean accuracy over all n stored pairs, in the model of `Memory`, computed without simulation.

    The result has the shape of `pairs`; only `softmax cache` depends on `Memory.bits`. What it rests on:

    ============== ====================================================================================================
    rule           status
    ============== ====================================================================================================
    slots,         exact: s + (1 - s)/V with the share s = (C/n)(1 - (1 - 1/C)^n) that nothing overwrites
    n-gram table
    window         exact: the same with s = min(1, w/n)
    least squares  n ≤ K exact, 1; beyond, leverages of a Wishart matrix, then `decoding_accuracy`
    additive       moments exact; `decoding_accuracy` for the argmax
    decayed, delta moments exact; h of the delta rule taken as normal; ages in strata; `decoding_accuracy`
    softmax cache  at 1 bit the key is exact; else scores are taken as normal (`softmax_cache_accuracy`)
    ============== ====================================================================================================

    Measured against `simulated_accuracy` (`tests/bench/bench_capacity.py`: K, W of 16, 32, 64, V of 64, 256, 1024,
    three loads, 81 settings), predicted - simulated at its largest, with the noise of the simulation (standard errors
    0.003 to 0.007): additive -0.023 (K 16, W 32, V 256, 33 pairs), decayed +0.024 (at decay 1 - 1/K), delta +0.024,
    least squares +0.019, window +0.005, slots and n-gram table +0.018 (all noise), softmax cache of 2 bits -0.002.
    Outside that grid it is worse. At V = 16 with W = 16 or 64, additive and least squares are up to 0.04 too high:
    wrong values are then few, and not independent given the read-out. At K = W = 8 additive is up to 0.03 too low, or
    0.03 too high at V = 16; delta at K = W = 4 is up to 0.04 too low. A number of pairs takes milliseconds, with
    decayed or delta up to 0.2 s. Raises `ValueError` for anything but whole numbers of at least 1.
    """
    counts = np.asarray(pairs)
    flat = [_accuracy(memory, whole("pairs", n, 1)) for n in counts.ravel().tolist()]
    return np.array(flat).reshape(counts.shape)


def _accuracy(memory: Memory, pairs: int) -> float:
    match memory.rule:
        case "slots" | "n-gram table":
            return caches.kept_or_guessed(caches.hashed_share(pairs, memory.places), memory.vocabulary)
        case "window":
            return caches.kept_or_guessed(caches.window_share(pairs, memory.places), memory.vocabulary)
        case "softmax cache":
            return caches.softmax_cache_accuracy(memory, pairs)
    if pairs == 1 or (memory.rule == "least squares" and pairs <= memory.key_width):
        return 1.0  # n ≤ K keys are linearly independent: exact interpolation
    match memory.rule:
        case "delta":
            readout = linear.delta_readout(memory, pairs)
        case "least squares":
            readout = linear.least_squares_readout(memory, pairs)
        case "decayed" if memory.decay < 1:
            readout = linear.decayed_readout(memory, pairs)
        case _:
            readout = linear.additive_readout(memory, pairs)
    return decoding_accuracy(readout, pairs, memory.value_width, memory.vocabulary)
