"""The trainer of tasks: it learns what can be learned, stops members one by one, and goes on after any interruption."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.tasks import MQAR, InContextLanguage, InContextRegression, MadCompression, MadRecall, SetDisjointness
from recallscope.tasks.mad.benchmark import MadRecipe
from recallscope.tasks.task import Examples
from recallscope.training.members.members import Member
from recallscope.training.members.mix import Batches, Mix, single
from recallscope.training.members.outcome import Outcome
from recallscope.training.members.readouts import Encoding, build_model, parameters_count
from recallscope.training.members.recipe import Recipe
from recallscope.training.members.scores import score_sums
from recallscope.training.members.trainer import groups_of, train_members
from recallscope.training.sweeps.subjects import recall_subject

TASK = MQAR(vocabulary=32, length=16, pairs=2, random_filler=False)
RECIPE = Recipe(steps=12, batch=8, evaluate_every=4, validation=16, test=32)


def shape(text: str = "attention", width: int = 16) -> ModelConfig:
    return recall_subject(text, width).config


def test_attention_learns_and_its_negative_controls_do_not():
    task, recipe = MQAR(vocabulary=32, length=16, pairs=4), Recipe(steps=240, batch=32, evaluate_every=60)
    chosen = [Member(3e-2, 0), Member(1.5e-2, 0)]
    scores = {}
    for name in ("attention:rope_base=None", "attention:layers=1", "pooling"):
        outcomes = train_members(shape(name, 32), single(task), recipe, chosen)
        scores[name] = max(outcome.tests[0]["accuracy"] for outcome in outcomes)
    assert scores["attention:rope_base=None"] > 0.9
    assert scores["attention:layers=1"] < 1.5 * task.chance()
    assert scores["pooling"] < 1.5 * task.chance()


def test_a_member_stops_when_it_has_arrived():
    easy = MQAR(vocabulary=8, length=4, pairs=1)
    recipe = Recipe(steps=400, batch=32, evaluate_every=20, stop_at=0.9, validation=128)
    fast, slow = train_members(shape(), single(easy), recipe, [Member(3e-2, 0), Member(1e-9, 0)])
    assert fast.stopped == "reached" and fast.steps < 400 and fast.curve[-1][2] > 0.9
    assert slow.stopped == "" and slow.steps == 400
    assert fast.tests[0]["accuracy"] > 0.85 > slow.tests[0]["accuracy"]


def test_a_diverging_member_stops_alone():
    chosen = [Member(1e-2, 0), Member(1e30, 0), Member(1e-2, 1)]
    first, lost, last = train_members(shape(), single(TASK), RECIPE, chosen)
    assert lost.stopped == "diverged" and lost.steps < 12
    alone = train_members(shape(), single(TASK), RECIPE, [chosen[0], chosen[2]])
    for ours, theirs in zip((first, last), alone, strict=True):
        assert ours.stopped == "" and ours.steps == 12
        assert [row[1] for row in ours.curve] == pytest.approx([row[1] for row in theirs.curve], abs=1e-4)


class Killed(BaseException):
    pass


def test_an_interrupted_run_ends_with_the_same_numbers(tmp_path):
    chosen = [Member(rate, seed) for rate in (1e-3, 1e-2, 1e30) for seed in (0, 1)]
    whole = train_members(shape(), single(TASK), RECIPE, chosen)

    def kill(step: int, outcomes: list[Outcome]) -> None:
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train_members(shape(), single(TASK), RECIPE, chosen, tmp_path, log=kill)
    assert (tmp_path / "checkpoint.pt").exists()
    again = train_members(shape(), single(TASK), RECIPE, chosen, tmp_path)
    assert [repr(outcome) for outcome in again] == [repr(outcome) for outcome in whole]
    assert not (tmp_path / "checkpoint.pt").exists()


SCRIPT = """
from recallscope.tasks import MQAR
from recallscope.training.members.mix import single
from recallscope.training.sweeps.subjects import recall_subject
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.run import run_sweep
from recallscope.training.sweeps.sweep import Sweep
import sys
sweep = Sweep("kill", (recall_subject("gla", 16), recall_subject("attention", 16)), single(MQAR(32, 16, 2)),
              (1e-2, 3e-2), (0, 1), Recipe(steps=60, batch=8, evaluate_every=5, validation=16, test=32))
run_sweep(sweep, sys.argv[1])
"""


def test_kill_9_changes_no_number(tmp_path):
    def start(folder: Path) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)], env=dict(os.environ))

    assert start(tmp_path / "whole").wait(120) == 0
    process = start(tmp_path / "killed")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "rows.jsonl").exists()
    assert start(tmp_path / "killed").wait(120) == 0

    def numbers(folder: Path) -> list[str]:
        """All rows but for when they were made, and in how long."""
        lines = (folder / "rows.jsonl").read_text().splitlines()
        return [line for text in lines for line in text.split(", ") if not line.startswith(('"seconds"', '"time"'))]

    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_another_run_is_not_overwritten(tmp_path):
    def kill(step: int, outcomes: list[Outcome]) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_members(shape(), single(TASK), RECIPE, [Member(1e-2, 0)], tmp_path, log=kill)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        train_members(shape(), single(TASK), replace(RECIPE, batch=4), [Member(1e-2, 0)], tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_results_do_not_depend_on_threads_or_groups():
    chosen = [Member(1e-2, seed) for seed in (0, 1, 2)]
    wide = replace(RECIPE, batch=2100, steps=4, evaluate_every=2)  # no two members share a pass
    assert groups_of(3, 2100 * 16 * 16) == 3
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = train_members(shape(), single(TASK), wide, chosen)
        torch.set_num_threads(1)
        one = train_members(shape(), single(TASK), wide, chosen)
        alone = [train_members(shape(), single(TASK), wide, [member])[0] for member in chosen]
    finally:
        torch.set_num_threads(threads)
    assert [repr(outcome) for outcome in one] == [repr(outcome) for outcome in two]
    assert [repr(outcome) for outcome in one] == [repr(outcome) for outcome in alone]


def test_members_fall_into_groups_of_about_a_cache():
    assert [groups_of(members, 2**17) for members in (1, 2, 3, 4, 8, 12, 16)] == [1, 2, 2, 2, 2, 4, 4]
    assert groups_of(12, 2**14) == 2 and groups_of(12, 2**20) == 12


def test_members_must_differ():
    with pytest.raises(ValueError, match="members"):
        train_members(shape(), single(TASK), RECIPE, [Member(1e-2, 0), Member(1e-2, 0)])
    with pytest.raises(ValueError, match="members"):
        train_members(shape(), single(TASK), RECIPE, [])


@pytest.mark.parametrize(
    "task",
    [
        InContextLanguage(strings=(2, 3), string_length=(1, 5), length=17),
        InContextRegression(dimensions=2, points=4),
        MadCompression(vocabulary=8, length=8),
        MadRecall(vocabulary=8, length=16),
        SetDisjointness(vocabulary=32, first=2, second=4),
    ],
)
@pytest.mark.parametrize("mixer", ["attention", "jrt"])
def test_tasks_of_other_forms_train(task, mixer):
    recipe = replace(RECIPE, steps=60, batch=32, evaluate_every=20, stop_at=None)
    outcomes = train_members(shape(mixer), single(task), recipe, [Member(1e-2, 0), Member(1e-2, 1)])
    for outcome in outcomes:
        (scores,) = outcome.tests
        assert outcome.steps == 60 and all(math.isfinite(value) for value in scores.values())
        assert outcome.curve[-1][1] < outcome.curve[0][1]


def test_the_encoder_reads_everything_only_where_it_may():
    subject = recall_subject("jrt", 16)
    sets, pairs = SetDisjointness(vocabulary=32, first=2, second=4), TASK
    assert isinstance(build_model(subject.config, single(sets)), Encoding)
    assert not isinstance(build_model(subject.config, single(pairs)), Encoding)
    model = build_model(subject.config, single(sets)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    examples = sets.sample(1)
    inputs, start = examples.inputs.long(), torch.zeros(1, 1, dtype=torch.int64)
    changed = inputs.clone()
    changed[0, 3] = (changed[0, 3] + 1) % 32
    before, after = (model.at(ids, start) for ids in (inputs, changed))  # type: ignore[operator]
    assert not torch.allclose(before, after)  # position 0 sees position 3


def test_parameters_are_counted_without_memory_for_them():
    mix = single(TASK)
    for name in ("attention", "hyena", "jrt"):
        counted = sum(weight.numel() for weight in build_model(shape(name), mix).parameters())
        assert parameters_count(shape(name), mix) == counted


def test_schedules_by_hand():
    cosine = Recipe(steps=10, batch=4, warmup=2)
    assert [cosine.factor(step) for step in (0, 1, 2)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert cosine.factor(6) == pytest.approx(0.5) and cosine.factor(10) == pytest.approx(0)
    epochs = Recipe(steps=20, batch=5, examples=25, schedule="cosine by epoch")  # 4 epochs of 5 steps
    assert [epochs.factor(step) for step in (0, 4)] == [1, 1]
    assert epochs.factor(5) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert epochs.factor(19) == pytest.approx(0.5 * (1 + math.cos(3 * math.pi / 4)))
    assert Recipe(steps=5, batch=1, schedule="constant").factor(4) == 1
    assert cosine.rate(0.02, 6) == pytest.approx(0.01)
    assert replace(cosine, last_rate=0.01).rate(0.02, 6) == pytest.approx(0.015)
    assert replace(cosine, last_rate=0.01).rate(0.02, 2) == 0.02


def test_the_rates_of_mad():
    """By epoch, from the peak to 1e-6; the benchmark's own formula."""
    mad = MadRecipe()
    recipe = Recipe(steps=2000, batch=10, examples=100, schedule="cosine by epoch", last_rate=1e-6)
    for epoch in (0, 1, 77, 199):
        assert recipe.rate(5e-4, 10 * epoch + 3) == pytest.approx(mad.rate(5e-4, epoch), rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"steps": 0}, "steps: at least 1, got 0"),
        ({"batch": 0}, "batch"),
        ({"schedule": "linear"}, "schedule: one of cosine"),
        ({"batch": 64, "examples": 32}, "examples: at least one batch of 64, got 32"),
        ({"schedule": "cosine by epoch"}, "set examples"),
        ({"steps": 5, "warmup": 5}, "warmup"),
        ({"evaluate_every": 0}, "evaluate_every"),
        ({"test": 0}, "test"),
        ({"last_rate": -1e-6}, "last_rate: at least 0"),
    ],
)
def test_bad_recipes(settings, match):
    with pytest.raises(ValueError, match=match):
        Recipe(**settings)


def test_batches_depend_on_seed_and_step_alone():
    mix = Mix(((TASK, 3.0), (replace(TASK, length=32), 1.0)), (TASK,))
    ahead, jumped = Batches(mix, 5, 4, None, "cpu"), Batches(mix, 5, 4, None, "cpu")
    rows = [ahead(step).inputs for step in range(70)]
    assert torch.equal(jumped(69).inputs, rows[69]) and torch.equal(jumped(3).inputs, rows[3])
    other = Batches(mix, 6, 4, None, "cpu")
    assert [other(step).inputs.shape for step in range(70)] == [row.shape for row in rows]  # they can be stacked
    assert not torch.equal(other(0).inputs, rows[0])
    flat = [row.tobytes() for part in rows for row in part.numpy().view(np.uint8)]
    assert len(set(flat)) == len(flat)
    lengths = [kind for block in range(125) for kind in ahead.kinds(block)]
    assert np.mean(lengths) == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))


def test_every_example_of_a_fixed_set_is_seen_once_in_an_epoch():
    mix = Mix(((TASK, 3.0), (replace(TASK, length=32), 1.0)), (TASK,))
    batches = Batches(mix, 0, 4, 32, "cpu")

    def epoch(number: int) -> list[bytes]:
        return [row.tobytes() for step in range(8) for row in batches(number * 8 + step).inputs.numpy()]

    first, second = epoch(0), epoch(1)
    assert len(set(first)) == 32 and sorted(first) == sorted(second) and first != second
    assert sum(len(row) == 16 * 2 for row in first) == 24
    again = Batches(mix, 0, 4, 32, "cpu")
    assert again(13).inputs.numpy().tobytes() == batches(13).inputs.numpy().tobytes()


def test_held_out_examples_are_not_trained_on():
    mix = single(MQAR(vocabulary=512, length=32, pairs=4))
    validation, test = (next(iter(mix.held_out(200, final, "cpu"))).inputs for final in (False, True))
    trained = torch.cat([Batches(mix, seed, 64, None, "cpu")(step).inputs for seed in (0, 1) for step in range(5)])
    sets = [{row.tobytes() for row in part.numpy()} for part in (validation, test, trained)]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


def test_mixes_are_checked():
    with pytest.raises(ValueError, match="at least one task each"):
        Mix((), (TASK,))
    with pytest.raises(ValueError, match="weights above 0"):
        Mix(((TASK, 0.0),), (TASK,))


def test_scores_against_plain_loops():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 5, 3, 7, generator=generator)
    answers = torch.randint(0, 7, (5, 3), generator=generator)
    answers[1, 2] = -100
    reference = torch.rand(5, 3, 7, generator=generator) * (torch.rand(5, 3, 7, generator=generator) > 0.5)
    reference[1, 2] = 0
    reference /= reference.sum(-1, keepdim=True).clamp(min=1e-9)
    plain = Examples(torch.zeros(5, 4), torch.zeros(5, 3), answers)
    with_reference = replace(plain, reference=reference)
    sums, referred = score_sums(outputs, plain), score_sums(outputs, with_reference)
    for member in range(2):
        count = loss = correct = legal = variation = scored = 0.0
        for b in range(5):
            for q in range(3):
                probabilities = outputs[member, b, q].double().softmax(0)
                best = int(outputs[member, b, q].argmax())
                if reference[b, q].sum() > 0:
                    scored += 1
                    legal += float(reference[b, q, best] > 0)
                    variation += 0.5 * float((probabilities - reference[b, q]).abs().sum())
                if answers[b, q] >= 0:
                    count += 1
                    loss -= math.log(float(probabilities[answers[b, q]]))
                    correct += best == int(answers[b, q])
        assert [sums[k][member].item() for k in ("count", "correct")] == [count, correct]
        assert sums["loss"][member].item() == pytest.approx(loss, abs=1e-4)
        assert [referred[k][member].item() for k in ("count", "correct", "answered")] == [scored, legal, count]
        assert referred["variation"][member].item() == pytest.approx(variation, abs=1e-4)
