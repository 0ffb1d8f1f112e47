"""Predicted against simulated capacity over a grid of settings, and the time of a full curve, on one core.

    OMP_NUM_THREADS=1 python tests/bench/bench_capacity.py [--rules additive,window] [--trials 1000] [--out FILE.jsonl]

The grid: K, W of 16, 32, 64, V of 64, 256, 1024, at 0.3, 0.7 and 1.2 of K W / (2 ln V) pairs (least squares: that
many above K): 81 settings a rule. Prints the largest and the mean difference of every rule, then the CPU seconds of a
curve of 12 points at K = W = 64, V = 1024 with 200 trials. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from recallscope.bounds.capacity import RULES, Memory, additive_pairs_scale, capacity_curve, largest_difference
from recallscope.evidence import write_evidence

LOADS = (0.3, 0.7, 1.2)


def memory_of(rule: str, key_width: int, value_width: int, vocabulary: int) -> Memory:
    """With what the rule needs beside: a decay of 1/K a pair, K places, 2 bits."""
    decay = 1 - 1 / key_width if rule == "decayed" else 1.0
    return Memory(rule, key_width, value_width, vocabulary, decay, key_width, 2 if rule == "softmax cache" else 32)


def pairs_of(memory: Memory, loads: tuple[float, ...]) -> list[int]:
    scale = float(additive_pairs_scale(memory.key_width, memory.value_width, memory.vocabulary))
    more = memory.key_width if memory.rule == "least squares" else 1
    return sorted({more + max(round(scale * load), 1) for load in loads})


def differences(table: pa.Table) -> np.ndarray:
    """Predicted minus simulated; rows come in pairs."""
    values = table.column("value").to_numpy()
    return values[::2] - values[1::2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out")
    given = parser.parse_args()
    result: dict[str, Any] = {}
    tables = []
    for rule in given.rules.split(","):
        own = [
            capacity_curve(memory, pairs_of(memory, LOADS), given.trials, seed=3)
            for memory in (memory_of(rule, *sizes) for sizes in product((16, 32, 64), (16, 32, 64), (64, 256, 1024)))
        ]
        grid = pa.concat_tables(own, promote_options="permissive")
        tables.append(grid)
        found, worst = differences(grid), largest_difference(grid)
        error = float(np.mean(grid.column("standard_error").drop_null().to_numpy()))
        memory = memory_of(rule, 64, 64, 1024)
        began = time.process_time()
        capacity_curve(memory, pairs_of(memory, tuple(np.geomspace(0.05, 2.5, 12))))
        seconds = time.process_time() - began
        where = " ".join(f"{letter} {worst[name]}" for letter, name in zip("KWV", list(worst)[1:4], strict=True))
        where += f" n {worst['pairs']}, standard error {worst['standard_error']:.4f}"
        print(f"{rule:<14} {len(found)} settings: largest {worst['difference']:+.4f} ({where}), ", end="")
        print(f"mean {found.mean():+.4f}, mean standard error {error:.4f}; curve {seconds:.1f} CPU s", flush=True)
        result[rule] = {"settings": len(found), "largest": worst, "mean": float(found.mean()), "seconds": seconds}
    if given.out:
        write_evidence(pa.concat_tables(tables, promote_options="permissive"), given.out)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
