"""MQAR examples per second against zoology's generator, side by side in one process, and whether both draw the same.

    git clone https://github.com/HazyResearch/zoology
    python tests/bench/bench_mqar.py --zoology zoology

Of zoology only zoology/data/multiquery_ar.py is run. The two take turns; ratios are the median over the rounds of one
example's time there by one example's time here, by the clock (ours uses all cores, theirs one) and in CPU time. Then
two-sample chi-square tests of keys, values, slots and filler. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy.stats import chi2_contingency

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
from recallscope.allocator import keep_freed_memory
from recallscope.tasks import MQAR, Examples

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Inputs, positions of the questions by key, answers."""


def zoology_generator(checkout: str) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Their function, with the two classes stubbed that it takes from the rest of their package."""
    path = Path(checkout) / "zoology/data/multiquery_ar.py"
    stubs = {"zoology.config": {"DataSegmentConfig": object}, "zoology.data.utils": {"DataSegment": _first_two}}
    for name, contents in {"zoology": {}, "zoology.data": {}, **stubs}.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(contents)
    scope: dict[str, Any] = {"__name__": "multiquery_ar"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    return scope["multiquery_ar"]


def _first_two(inputs: torch.Tensor, labels: torch.Tensor, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs, labels


def theirs_in_parts(inputs: torch.Tensor, labels: torch.Tensor, pairs: int) -> Parts:
    """Keys and values are never 0 and distinct, so a question's key tells its place."""
    rows, positions = (labels != -100).nonzero().T.view(2, len(inputs), pairs).numpy()
    asked = inputs.numpy()[rows, positions]
    place = np.argsort(asked, 1)[
        np.arange(len(inputs))[:, None], np.argsort(np.argsort(inputs[:, : 2 * pairs : 2], 1), 1)
    ]
    positions = np.take_along_axis(positions, place, 1)
    return inputs.numpy(), positions, np.take_along_axis(labels.numpy(), positions, 1)


def ours_in_parts(drawn: Examples) -> Parts:
    return drawn.inputs.numpy(), drawn.positions.numpy().astype(np.int64), drawn.answers.numpy()


def counts(parts: Parts, task: MQAR) -> dict[str, np.ndarray]:
    """What is compared: tables of counts, one draw per example and cell but for whole rows of ids."""
    inputs, positions, answers = parts
    rows, stated, half = len(inputs), 2 * task.pairs, task.vocabulary // 2
    assert (inputs[:, 1:stated:2] == answers).all() and (inputs[:, :stated:2] < half).all() and (answers >= half).all()
    filler = np.ones(inputs.shape, bool)
    filler[:, :stated] = False
    np.put_along_axis(filler, positions, False, 1)
    slots = (positions - stated) // 2
    free = (task.length - stated) // 2
    bins = 16
    found = {
        "keys": np.bincount(inputs[:, :stated:2].reshape(-1), minlength=half),
        "values": np.bincount(answers.reshape(-1) - half, minlength=half),
        "filler": np.bincount(inputs[filler], minlength=task.vocabulary),
        "filler of a place": np.bincount(inputs[filler].reshape(rows, -1)[:, 0], minlength=task.vocabulary),
        "slots taken": np.bincount(slots.reshape(-1), minlength=free),
        "first key by first value": np.bincount(
            inputs[:, 0].astype(int) * bins // half * bins + (answers[:, 0] - half).astype(int) * bins // half
        ),
        "slots of the first two keys": np.bincount(
            np.minimum(slots[:, 0], 15) * free + slots[:, 1], minlength=16 * free
        ),
        "slot by key of the first question": np.bincount(
            np.minimum(slots[:, 0], 15) * bins + inputs[:, 0].astype(int) * bins // half, minlength=16 * bins
        ),
    }
    for j in sorted({0, 1, task.pairs // 4, task.pairs // 2, task.pairs - 1}):
        found[f"slot of key {j + 1}"] = np.bincount(slots[:, j], minlength=free)
        found[f"key {j + 1}"] = np.bincount(inputs[:, 2 * j], minlength=half)
    return found


def p_value(one: np.ndarray, other: np.ndarray) -> float:
    """Of both being drawn from one distribution; cells with few counts are put together."""
    table = np.stack([one, other])
    rare = table.sum(0) < 10
    table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], 1)
    return float(chi2_contingency(table[:, table.sum(0) > 0]).pvalue)  # type: ignore[attr-defined]


def clocked(job: Callable[[], Any], examples: int) -> np.ndarray:
    """Microseconds per example: by the clock, and of CPU time."""
    begin = time.perf_counter(), time.process_time()
    job()
    return (np.array([time.perf_counter(), time.process_time()]) - begin) / examples * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoology", required=True, help="folder of a checkout")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--examples", type=int, default=100_000, help="of ours a round, and of both for the tests")
    parser.add_argument("--their-examples", type=int, default=2000, help="of theirs a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-tests", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    task = MQAR(given.vocabulary, given.length, given.pairs)
    generator = zoology_generator(given.zoology)

    def theirs(examples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        return generator(task.vocabulary, examples, task.length, seed, num_kv_pairs=task.pairs)

    def as_int64() -> torch.Tensor:
        return task.sample(given.examples).inputs.long()

    def in_their_form() -> tuple[torch.Tensor, torch.Tensor]:
        drawn = task.sample(given.examples)
        return drawn.inputs.long(), drawn.targets()

    jobs = {
        "theirs": (lambda: theirs(given.their_examples, 0), given.their_examples),
        "ours": (lambda: task.sample(given.examples), given.examples),
        "ours, inputs as int64": (as_int64, given.examples),
        "ours, int64 inputs and labels of every position": (in_their_form, given.examples),
    }
    taken: dict[str, list[np.ndarray]] = {name: [] for name in jobs}
    for turn in range(given.rounds + 1):
        for name, (job, examples) in jobs.items():
            one = clocked(job, examples)
            if turn:
                taken[name].append(one)
    print(f"vocabulary {task.vocabulary}, length {task.length}, {task.pairs} pairs; microseconds per example")
    result: dict[str, Any] = {"unit": "microseconds per example", "rounds": given.rounds, "cores": os.cpu_count()}
    result |= {"threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__}
    result |= {"numpy": np.__version__, "python": platform.python_version(), "task": repr(task)}
    for name, times in taken.items():
        clock, cpu = np.median(times, 0)
        ratio, cpu_ratio = np.median(np.array(taken["theirs"]) / np.array(times), 0)
        print(f"  {name:<48} {clock:8.2f} us  {ratio:6.1f} x      CPU {cpu:8.2f} us  {cpu_ratio:6.1f} x")
        result[name] = {"clock": clock, "times": ratio, "cpu": cpu, "cpu_times": cpu_ratio}
    if not given.no_tests:
        compared = theirs_in_parts(*theirs(given.examples, 1), task.pairs)
        both = counts(compared, task), counts(ours_in_parts(task.sample(given.examples, seed=1)), task)
        result["p"] = {name: p_value(both[0][name], both[1][name]) for name in both[0]}
        print(f"two-sample chi-square tests, {given.examples} examples each")
        for name, p in result["p"].items():
            print(f"  {name:<48} p = {p:.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
