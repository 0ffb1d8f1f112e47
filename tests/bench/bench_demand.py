"""Speed of the recall demand, one core: curves for all capacities, and the maximum in bits beside linear programming.

    python tests/bench/bench_demand.py                                  # a million Zipf tokens
    python tests/bench/bench_demand.py --records run/records.parquet    # also of real records

CPU time, medians of several turns. Zipf tokens are tagged beforehand; every repeat is a hit. The window has 2,048
tokens, half of them hits, at 11 states of 2^0 to 2^10 bits. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
from recallscope.bounds.demand import carried_gain, demand, selective_capacity, stack_distance
from recallscope.slicing.tagging import tag

STATES = [2.0**k for k in range(11)]


def zipf_records(size: int, vocabulary: int, seed: int = 0) -> dict[str, Any]:
    """Documents of log-normal length, tagged; two columns of losses."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary + 1)
    tokens = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(size)).clip(max=vocabulary - 1)
    starts = np.unique(np.concatenate(([0], np.cumsum(rng.lognormal(8, 1, size // 1000).astype(int)))))
    starts = starts[starts < size]
    document = np.repeat(np.arange(starts.size), np.diff(starts, append=size))
    records = {"document": document, "position": np.arange(size) - starts[document], **tag(tokens, starts, cap=1)}
    return records | {"loss_whole": rng.exponential(1.0, size), "loss_less": rng.exponential(4.0, size)}


def seconds(job: Callable[[], Any], turns: int) -> float:
    """Median CPU time, after one turn unmeasured."""
    job()
    found = []
    for _ in range(turns):
        begin = time.process_time()
        job()
        found.append(time.process_time() - begin)
    return float(np.median(found))


def window(tokens: int = 2048) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First cut, one past the last, and gain of the hits of one window."""
    rng = np.random.default_rng(0)
    end = np.flatnonzero(rng.random(tokens) < 0.5)
    begin = np.maximum(end - (1 + rng.lognormal(3.5, 1.5, end.size)).astype(int), 0)
    kept = begin < end
    return begin[kept], end[kept], rng.exponential(4.0, int(kept.sum()))


def by_program(begin: np.ndarray, end: np.ndarray, gain: np.ndarray, state: float) -> float:
    rows = np.concatenate([np.arange(b, e) for b, e in zip(begin, end, strict=True)])
    cols, size = np.repeat(np.arange(begin.size), end - begin), int(end.max())
    over = csr_array((np.ones(rows.size), (rows, cols)), shape=(size, begin.size))
    bounds = np.column_stack([np.zeros(begin.size), gain])
    return -linprog(-np.ones(begin.size), over, np.full(size, state), bounds=bounds, method="highs").fun


def corpus_speeds(records: Any, turns: int) -> dict[str, float]:
    """M tokens a second of the curves for all capacities and of 11 states in bits, pure Python and numba."""
    result: dict[str, float] = {}
    for engine, wish in (("python", "0"), ("numba", "1")):
        os.environ["RECALLSCOPE_NUMBA"] = wish
        found = demand(records)
        tokens = found.tokens / 1e6
        result["hits, share"] = round(found.hits / found.tokens, 4)
        result[f"demand, all C, {engine}, M tokens/s"] = round(tokens / seconds(lambda: demand(records), turns), 3)
    if found.models:
        result["11 states in bits, M tokens/s"] = round(tokens / seconds(lambda: found.at_states(STATES), turns), 3)
    return result


def part_speeds(records: dict[str, Any], turns: int) -> dict[str, float]:
    distance = records["distance_2"].astype(np.int64)
    end = np.flatnonzero(distance)
    begin, tokens = end - distance[end], distance.size / 1e6
    os.environ["RECALLSCOPE_NUMBA"] = "0"
    return {
        "stack distances, M tokens/s": round(tokens / seconds(lambda: stack_distance(distance), turns), 2),
        "best memory, python, M hits/s": round(end.size / 1e6 / seconds(lambda: selective_capacity(begin, end), 1), 3),
    }


def window_times(turns: int) -> dict[str, float]:
    hits = window()
    ours = [carried_gain(*hits, state).bits for state in STATES]
    theirs = [by_program(*hits, state) for state in STATES]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    return {
        "window, one state, ms": round(1e3 * seconds(lambda: carried_gain(*hits, 64.0), turns), 2),
        "window, 11 states, ms": round(1e3 * seconds(lambda: [carried_gain(*hits, s) for s in STATES], turns), 2),
        "window, one state, HiGHS, ms": round(1e3 * seconds(lambda: by_program(*hits, 64.0), turns), 2),
        "window, 11 states, HiGHS, ms": round(1e3 * seconds(lambda: [by_program(*hits, s) for s in STATES], 1), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--vocabulary", type=int, default=50_257)
    parser.add_argument("--records", help="records.parquet, or a table of recallscope tag")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    records = zipf_records(options.tokens, options.vocabulary)
    result: dict[str, Any] = {"zipf": corpus_speeds(records, options.turns) | part_speeds(records, options.turns)}
    if options.records:
        result["records"] = corpus_speeds(options.records, options.turns)
    result["window"] = window_times(options.turns)
    for part, figures in result.items():
        for name, value in figures.items():
            print(f"{part:<10}{name:<44}{value:>12,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result | {"machine": platform.processor() or platform.machine(), "peak_mib": peak}))


if __name__ == "__main__":
    main()
