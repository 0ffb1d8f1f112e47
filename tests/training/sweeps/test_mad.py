"""The benchmark of MAD as sweeps: all its runs, and its scores against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.evidence import evidence
from recallscope.tasks.mad import SWEEP, TASKS, MadFuzzyRecall, settings
from recallscope.training.sweeps.mad import SUBJECTS, format_scores, mad, mad_scores
from recallscope.training.sweeps.run import run_sweep

SWEEPS = mad()


def test_every_run_of_the_benchmark_is_there_once():
    assert len({sweep.name for sweep in SWEEPS}) == len(SWEEPS) == 132
    runs = [
        (sweep.mix.test[0], sweep.recipe.examples, sweep.recipe.weight_decay, rate)
        for sweep in SWEEPS
        for rate in sweep.rates
    ]
    wanted = [
        (s.test, s.train_examples, decay, rate) for kind in TASKS for s in settings(kind) for rate, decay in SWEEP
    ]
    assert len(runs) == 396 and set(map(repr, runs)) == set(map(repr, wanted))
    for sweep in SWEEPS:
        assert sweep.recipe.steps == 200 * sweep.recipe.steps_per_epoch and sweep.recipe.last_rate == 1e-6
        assert sweep.recipe.evaluate_every % sweep.recipe.steps_per_epoch == 0 and sweep.recipe.batch == 128
        ((train, _),) = sweep.mix.train
        assert isinstance(train, MadFuzzyRecall) or train == sweep.mix.test[0]


def test_states_are_those_of_the_authors():
    states = {s.mixer: Architecture("", s.config).state_elements(128) for s in SWEEPS[0].subjects}
    assert len(states) == len(SUBJECTS) and states["gla"] == 4096
    assert states["mamba"] == 2 * (256 * 4 + 256 * 3)
    assert states["rwkv6"] == 4096 + 2 * 128  # and the last input of each layer
    assert {len(s.config.layers) for s in SWEEPS[0].subjects} == {2}


def rows(mixer: str, score: float, **changes) -> list[dict]:
    """Every run of every setting: `score` at the best of its runs, half of it at the others."""
    made = []
    for sweep in SWEEPS:
        for i, rate in enumerate(sweep.rates):
            best = i == 1 and sweep.recipe.weight_decay > 0
            made.append({
                "subject": mixer, "metric": "accuracy", "value": score if best else score / 2, "unit": "1",
                "kind": "measured", "mixer": mixer, "sweep": sweep.name, "stopped": None, "rate": rate,
                "task": type(sweep.mix.test[0]).__name__, "parameters": 5, "state_elements_longest": 7,
            } | changes)  # fmt: skip
    return made


def test_scores_are_means_of_best_runs():
    good, bad = rows("gla", 0.8), rows("attention", 0.4)
    easy = [row | {"value": 1.0} if row["task"] == "MadRecall" and "decay0.1" in row["sweep"] else row for row in bad]
    table = mad_scores(evidence(good + easy))
    found = {(row["subject"], row["metric"]): row["value"] for row in table.to_pylist()}
    assert len(found) == 14
    assert [found["gla", f"{metric} score"] for metric in ("MAD", "MadRecall")] == pytest.approx([0.8, 0.8])
    assert found["attention", "MadRecall score"] == 1
    assert found["attention", "MAD score"] == pytest.approx((1 + 5 * 0.4) / 6)
    first, *lines = format_scores(table).splitlines()
    assert first.split()[-1] == "MAD" and [line.split()[0] for line in lines] == ["gla", "attention"]
    assert lines[1].split()[-1] == "0.500"


def test_diverged_runs_do_not_count_and_missing_ones_are_named():
    made = rows("gla", 0.8)
    lost = [row | {"stopped": "diverged", "value": 1.0} if row["value"] == 0.4 else row for row in made]
    assert mad_scores(evidence(lost)).to_pylist()[-1]["value"] == pytest.approx(0.8)
    with pytest.raises(ValueError, match="table: every setting of MadRecall with 6 runs"):
        mad_scores(evidence(made[1:]))


def test_a_setting_can_be_trained(tmp_path):
    sweep = next(s for s in SWEEPS if s.name == "MadMemorization-baseline-decay0.1")
    small = replace(sweep.recipe, steps=4, evaluate_every=2, validation=8, test=8)
    table = run_sweep(replace(sweep, subjects=sweep.subjects[:1], recipe=small), tmp_path)
    assert {row["rate"] for row in table.to_pylist()} == {1e-4, 5e-4, 1e-3}
    assert {row["weight_decay"] for row in table.to_pylist()} == {0.1}
