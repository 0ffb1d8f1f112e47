"""Sixteen (rate x seed) copies trained together, against one after another: whole runs at the smoke scale.

    python tests/bench/bench_members.py [--mixer attention] [--batch 16] [--steps 100] [--rounds 3]

Three ways in this process, alternating, medians: `train_members` with all members; `train_members` with one member at a
time; and a plain loop of torch modules (`LanguageModel.at`, cross-entropy, AdamW) one at a time with all threads, on
batches drawn beforehand. All see the same batches and evaluate as often (the plain loop does not evaluate at all).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import torch
from recallscope.allocator import keep_freed_memory
from recallscope.architectures.model import LanguageModel
from recallscope.training.members.members import Member
from recallscope.training.members.mix import Batches
from recallscope.training.members.trainer import train_members
from recallscope.training.sweeps.command import task_sweep
from torch.nn import functional as F


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixer", default="attention")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    keep_freed_memory()

    sweep = task_sweep([given.mixer], "mqar", "smoke", batch=given.batch, steps=given.steps, evaluate_every=given.steps)
    config, mix = sweep.subjects[0].config, sweep.mix
    config = replace(config, vocabulary=mix.vocabulary)
    recipe = replace(sweep.recipe, stop_at=None, validation=64, test=64)
    members = [Member(rate, seed) for seed in range(4) for rate in (1e-3, 3e-3, 1e-2, 3e-2)]

    def together() -> None:
        train_members(config, mix, recipe, members)

    def one_by_one() -> None:
        for member in members:
            train_members(config, mix, recipe, [member])

    def plain() -> None:
        for member in members:
            torch.manual_seed(member.seed)
            model, batches = LanguageModel(config), Batches(mix, member.seed, given.batch, None, "cpu")
            optimizer = torch.optim.AdamW(model.parameters(), lr=member.rate, weight_decay=0.1, fused=True)
            for step in range(given.steps):
                one = batches(step)
                logits = model.at(one.inputs.long(), one.positions.long())
                optimizer.zero_grad()
                F.cross_entropy(logits.flatten(0, 1), one.answers.long().flatten()).backward()
                optimizer.step()

    ways = {"together": together, "one by one": one_by_one, "plain loops": plain}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    base = median(seconds["together"])
    for name, runs in seconds.items():
        print(f"{name:<12} {median(runs):6.2f} s  {median(runs) / base:.2f} x")


if __name__ == "__main__":
    main()
