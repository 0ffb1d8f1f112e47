"""What memory rules of growing size are predicted to recall on tests of MQAR."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from recallscope.bounds.capacity import Memory, predicted_accuracy, state_elements
from recallscope.frontier.limits import Tests

GROWTH = 2**0.5
SMALLEST, LARGEST = 16, 256
"""Key width of the first and the last memory that stores numbers; the prediction was not measured below 16."""

MEASURED_WIDTHS, MEASURED_VALUES = 64, 1024
"""Up to where predictions were held against simulations, within 0.03 (`predicted_accuracy`)."""

ENOUGH = 0.999


def rule_points(tests: Tests, bits_per_element: int = 32) -> list[dict[str, Any]]:
    """Predicted mean accuracy over the tests of six rules, each at growing state: no training, nothing fitted.

    One dictionary a memory: `rule`, `key_width`, `value_width`, `places`, `value` (accuracy), `state_elements` after
    the longest of the tests, `bits_per_element`, `flag`. The rules and what grows:

    - additive, delta, least squares: key width = value width K from 16, numbers of `bits_per_element`;
    - window: its pairs, with keys and values of 64 numbers of `bits_per_element` each, as trained models keep them;
    - softmax cache: K from 16, all pairs, 1 bit a number: the least that a cache of all pairs can do with;
    - n-gram table: its buckets, each the id of a value, log2 of the values in bits, rounded up.

    A rule ends where it recalls 99.9 %, or at its largest size. Left out: `decayed`, whose decay is one more knob, and
    `slots`, which forget as the n-gram table does, in the state of a window.
    Values are taken as drawn independently; those of MQAR are distinct, which moves predictions by less than their own
    error. Raises `ValueError` as `Memory` does.
    """
    values, *others = {test["vocabulary"] // 2 for test in tests}
    if others:
        raise ValueError(f"tests: of one vocabulary, got {1 + len(others)}")
    found = []
    for memories in _ladders(values, max(test["pairs"] for test in tests), bits_per_element):
        for memory in memories:
            found.append(_point(memory, [test["pairs"] for test in tests]))
            if found[-1]["value"] >= ENOUGH:
                break
    return found


def _ladders(values: int, pairs: int, bits: int) -> Iterator[Iterator[Memory]]:
    """The memories of each rule, smallest first."""
    widths = list(_sizes(SMALLEST, LARGEST))
    for rule in ("additive", "delta", "least squares"):
        yield (Memory(rule, width, width, values, bits=bits) for width in widths)
    yield (Memory("window", 64, 64, values, places=places, bits=bits) for places in _sizes(2, pairs))
    yield (Memory("softmax cache", width, width, values, bits=1) for width in widths)
    ids = math.ceil(math.log2(values))
    yield (Memory("n-gram table", vocabulary=values, places=places, bits=ids) for places in _sizes(2, 16 * pairs))


def _sizes(first: int, last: int) -> Iterator[int]:
    """Whole numbers growing by a factor of √2, the last one included."""
    steps = math.ceil(math.log(last / first, GROWTH) - 1e-9)
    yield from dict.fromkeys(min(round(first * GROWTH**step), last) for step in range(steps + 1))


@cache
def _predicted(memory: Memory, pairs: int) -> float:
    """Kept, as a mean over tests and a test alone ask for the same memories."""
    return float(predicted_accuracy(memory, pairs))


def _point(memory: Memory, pairs: list[int]) -> dict[str, Any]:
    keeps_pairs = memory.rule in ("window", "n-gram table")
    new = memory.vocabulary > MEASURED_VALUES or memory.key_width > MEASURED_WIDTHS
    return {
        "rule": memory.rule,
        "key_width": None if memory.rule == "n-gram table" else memory.key_width,
        "value_width": None if memory.rule == "n-gram table" else memory.value_width,
        "places": memory.places if keeps_pairs else None,
        "value": float(np.mean([_predicted(memory, count) for count in pairs])),
        "state_elements": state_elements(memory, max(pairs)),
        "bits_per_element": memory.bits,
        "flag": "larger than the settings that the prediction was simulated at" if new and not keeps_pairs else None,
    }
