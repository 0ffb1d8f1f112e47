"""Accuracy and state in bits, the axis that all bounds share."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import kl_div

from recallscope.bounds._checks import whole
from recallscope.bounds.capacity.memory import Memory, state_elements


def recalled_bits(accuracy: ArrayLike, pairs: ArrayLike, vocabulary: int) -> np.ndarray:
    """Bits that a state must hold at least, if it answers so many of `pairs` independent questions right.

    With ε = 1 - accuracy, for values uniform over the V of `vocabulary`: n [log2 V - h2(ε) - ε log2(V - 1)] bits, by
    Fano's inequality (h2: binary entropy; `accuracy_limit` has the proof and is its inverse). 0 at chance, n log2 V at
    accuracy 1. `accuracy` and `pairs` broadcast. Divided by `state_bits` it is the bit efficiency.

    Computed as n times the divergence of (accuracy, ε) from chance (1/V, 1 - 1/V), a sum of two terms that are not
    negative; rounding, about 1e-16 n bits, is not let below 0. Raises `ValueError` for accuracies outside [1/V, 1] (an
    error above chance).
    """
    whole("vocabulary", vocabulary, 2)
    right, n = np.asarray(accuracy, np.float64), np.asarray(pairs, np.float64)
    if not (n >= 1).all():
        raise ValueError(f"pairs: at least 1, got {n.min():g}")
    if not ((right >= 1 / vocabulary) & (right <= 1)).all():
        outside = right[~((right >= 1 / vocabulary) & (right <= 1))].flat[0]
        raise ValueError(f"accuracy: from chance, 1/{vocabulary}, to 1, got {outside:g}")
    nats = kl_div(right, 1 / vocabulary) + kl_div(1 - right, 1 - 1 / vocabulary)
    return n * np.maximum(nats, 0) / math.log(2)


def state_bits(memory: Memory, pairs: int) -> int:
    """Bits allocated once `pairs` are stored: `state_elements` × `memory.bits`.

    An n-gram table stores ids, for which ceil(log2 V) bits an element would do: say so in `Memory.bits`.
    """
    return state_elements(memory, pairs) * memory.bits
