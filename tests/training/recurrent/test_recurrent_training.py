"""Runs by a plan: resumed as if nothing had happened, led by the curriculum, on text that is real; and their rows."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from recallscope.architectures.recurrent_transformer import TransformerModel, TransformerShape, parameters_count
from recallscope.bundled import held_out_documents
from recallscope.evidence import evidence, read_evidence, write_evidence
from recallscope.tasks.copying import Copying, SelectiveCopying
from recallscope.training.recurrent.loop import Point, Settings, _batches, score, train_by_plan
from recallscope.training.recurrent.plans import CopyPlan, TextPlan
from recallscope.training.recurrent.rows import curve_of, result_rows, write_rows
from recallscope.training.recurrent.runs import Result, Run, copy_run, full_runs, reduced_runs, train_runs
from recallscope.training.recurrent.text_windows import TextWindows

SMALL = TransformerShape(16, 12, 2, 64, block=8, variant="accumulate", learned=True)
SETTINGS = Settings(batch=4, every=3, validation=8, test=8)


def point(step: int, loss: float, accuracy: float = 0.0, length: int = 64) -> Point:
    return Point(step, 0.0, loss, accuracy, 1e-3, length, 0.0)


def without_time(curve: list[Point]) -> list[tuple[float, ...]]:
    return [(p.step, p.trained, p.loss, p.accuracy, p.rate, p.length) for p in curve]


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path):
    plan = CopyPlan(True, noise=32, start=16, steps=15)
    whole, curve = train_by_plan(SMALL, plan, SETTINGS, tmp_path / "whole.pt")
    assert [p.step for p in curve] == [3, 6, 9, 12, 15] and {p.length for p in curve} == {48}

    def stop(at: Point) -> None:
        if at.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_by_plan(SMALL, plan, SETTINGS, tmp_path / "part.pt", stop)
    _, stands = train_by_plan(SMALL, plan, SETTINGS, tmp_path / "part.pt", train=False)
    assert without_time(stands) == without_time(curve[:2])
    seen: list[Point] = []
    part, again = train_by_plan(SMALL, plan, SETTINGS, tmp_path / "part.pt", seen.append)
    assert without_time(again) == without_time(curve) and [p.step for p in seen] == [9, 12, 15]
    for one, other in zip(whole.parameters(), part.parameters(), strict=True):
        assert one.equal(other)
    over: list[Point] = []
    train_by_plan(SMALL, plan, SETTINGS, tmp_path / "part.pt", over.append)
    assert not over
    with pytest.raises(ValueError, match=r"file: .*part.pt holds a run with other settings"):
        train_by_plan(SMALL, plan, Settings(batch=5, every=3), tmp_path / "part.pt")


def test_seeds_have_weights_and_examples_of_their_own_and_one_validation(tmp_path: Path):
    plan = CopyPlan(False, noise=16, start=16, rate=0.0, steps=6)
    ends = [
        train_by_plan(SMALL, plan, Settings(4, 3, 8, 8, seed=s), tmp_path / f"{i}.pt") for i, s in enumerate((0, 1, 0))
    ]
    losses = [(curve[-1].trained, curve[-1].loss) for _, curve in ends]
    for _, (first, second) in ends:  # the rate is 0: other examples in every interval, to the same weights
        assert first.trained != second.trained and first.loss == second.loss
    assert losses[0] == losses[2] and losses[0][0] != losses[1][0] and losses[0][1] != losses[1][1]


def test_the_copy_plan_doubles_the_noise_and_lowers_the_rate():
    plan = CopyPlan(True, noise=512, start=128, rate=1e-3, until=0.99, steps=1000)
    curve: list[Point] = []
    stages = []
    for step, loss in ((50, 1.0), (100, 0.2), (150, 0.4), (200, 0.1), (250, 0.5), (300, 0.7)):
        interval = plan(curve)
        assert interval is not None and interval.tasks == (interval.validation,)
        stages.append((interval.validation, round(interval.rate, 9)))
        curve.append(point(step, loss, 0.5, interval.validation.length))
    first, second = 1e-3 * (1 - 256 / 1024), 1e-3 * (1 - 256 / 1024) * (1 - 512 / 1024)
    last = second * (1 - math.exp(-0.5))
    expected = [(128, 1e-3), (128, 1e-3), (256, first), (256, first), (512, second), (512, last)]
    assert stages == [(SelectiveCopying(noise=noise), pytest.approx(rate, abs=1e-9)) for noise, rate in expected]
    assert plan([*curve, point(350, 0.05, 0.98, 544)]) is not None
    assert plan([*curve, point(350, 0.05, 0.995, 544)]) is None  # reached
    assert plan([*curve, point(350, 0.05, 0.995, 288)]) is not None  # but not at less noise
    assert plan([*curve, point(1000, 0.5, 0.1, 544)]) is None  # out of steps
    assert CopyPlan(False).task(32) == Copying(noise=32)
    for threshold, noise in ((0.3, 64), (0.1, 32)):
        interval = CopyPlan(False, threshold=threshold)([point(50, 0.2)])
        assert interval is not None and interval.tasks == (Copying(noise=noise),)


def test_mixed_noise_is_every_multiple_of_the_first_up_to_the_stage_and_each_step_has_one():
    plan = CopyPlan(True, noise=64, start=16, mixed=True)
    for losses, noises in (([], (16,)), ([0.2], (16, 32)), ([0.2, 0.2, 0.5], (16, 32, 48, 64))):
        interval = plan([point(50 * k, loss) for k, loss in enumerate(losses, 1)])
        assert interval is not None
        assert interval.tasks == tuple(SelectiveCopying(noise=noise) for noise in noises)
        assert interval.validation == SelectiveCopying(noise=noises[-1])
    slow = CopyPlan(True, noise=64, start=16, rate=1e-3, warmup=3)
    made = [slow([point(50 * k, 1.0) for k in range(1, done + 1)]) for done in range(5)]
    assert [interval.rate for interval in made if interval] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])
    settings = Settings(batch=3, every=200, seed=5)
    batches = _batches(interval.tasks, settings, 400, "cpu")
    assert {len(examples) for examples in batches} == {3}
    lengths = Counter(examples.inputs.shape[1] for examples in batches)
    assert set(lengths) == {48, 64, 80, 96}
    assert all(25 <= steps <= 75 for steps in lengths.values()), lengths  # 50 expected, deviation 6.1
    seen = {tuple(row.tolist()) for examples in batches for row in examples.answers}
    assert len(seen) == 600  # nothing twice
    again = _batches(interval.tasks, settings, 400, "cpu")
    assert all(one.inputs.equal(other.inputs) for one, other in zip(batches, again, strict=True))
    (alone,) = {tuple(one.inputs.shape) for one in _batches(interval.tasks[:1], settings, 0, "cpu")}
    assert alone == (3, 48)


def test_at_full_noise_the_rate_falls_twice_by_half_a_cosine_to_zero_where_the_plan_has_a_finish():
    plan = CopyPlan(True, noise=64, start=16, rate=1e-3, finish=200)
    # full noise after two losses; 1 - 32/128 and 1 - 64/128 multiply the rate
    losses = [0.2, 0.2, 0.5, 0.1, 0.4, 0.4, 0.2, 0.1, 0.1, 0.3]
    made = [plan([point(50 * k, loss) for k, loss in enumerate(losses[:done], 1)]) for done in range(11)]
    rates = [interval.rate for interval in made if interval]
    falling = [3.75e-4, 3.2008e-4, 1.875e-4, 5.492e-5]
    assert rates == pytest.approx([1e-3, 7.5e-4, *falling, *falling], rel=1e-4)
    assert made[10] is None
    at_once = CopyPlan(True, noise=16, start=16, rate=1e-3, finish=100)
    made = [at_once([point(50 * k, 1.0, length=48) for k in range(1, done + 1)]) for done in range(5)]
    rates = [interval.rate for interval in made if interval]
    assert rates == pytest.approx([1e-3, 5e-4] * 2) and made[4] is None


def test_the_rate_on_text_falls_by_half_a_cosine_to_a_tenth():
    plan = TextPlan(TextWindows(32), TextWindows(32, "held-out"), 2e-3, 100)
    rates = [interval.rate for step in (0, 50, 99) if (interval := plan([point(step, 3.0)] if step else []))]
    assert rates == pytest.approx([2e-3, 1.1e-3, 2.00444e-4], rel=1e-5)
    assert plan([point(100, 3.0)]) is None
    with pytest.raises(ValueError, match="steps: at least 1, got 0"):
        TextPlan(TextWindows(32), TextWindows(32), 1e-3, 0)


def test_windows_are_pieces_of_the_text_and_answers_the_bytes_after():
    task = TextWindows(40, "held-out", 60_000)
    text, parts = b"", held_out_documents()
    while len(text) < 60_000:
        text += next(parts).text.encode() + b"\0"
    text = text[:60_000]
    examples = task.sample(64, 3)
    for window, asked, answers in zip(examples.inputs, examples.positions, examples.answers, strict=True):
        piece = bytes(window.tolist())
        assert piece + bytes(answers[-1:].tolist()) in text
        assert bytes(answers[:-1].tolist()) == piece[1:] and asked.tolist() == list(range(40))
    assert task.sample(64, 3).inputs.equal(examples.inputs) and not task.sample(64, 4).inputs.equal(examples.inputs)
    assert bytes(TextWindows(40, "training", 500).sample(1).inputs[0].tolist()) not in text


@pytest.mark.parametrize(
    "options, message",
    [
        ({"text": "web"}, "text: one of training, held-out, got 'web'"),
        ({"length": 0}, "length: at least 1, got 0"),
        ({"size": 128}, "size: at least 129 bytes, a window and one more, got 128"),
    ],
)
def test_bad_windows_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        TextWindows(**options)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="batch: at least 1, got 0"):
        Settings(batch=0)


def test_the_score_is_the_mean_over_all_answers():
    torch.manual_seed(0)
    model, examples = TransformerModel(SMALL), SelectiveCopying(noise=32).sample(70, 1)
    with torch.no_grad():
        logits = model(examples.inputs.long()).double().log_softmax(-1)
    right, losses = [], []
    for row in range(70):
        for at, answer in zip(examples.positions[row].tolist(), examples.answers[row].tolist(), strict=True):
            losses.append(-logits[row, at, answer].item())
            right.append(logits[row, at].argmax().item() == answer)
    loss, accuracy = score(model, examples)
    assert loss == pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert accuracy == sum(right) / len(right) and 0 < accuracy < 0.3


def test_a_small_model_learns_text(tmp_path: Path):
    """From ln 256 = 5.5 nats to below 3.6, which takes more than the frequencies of bytes at the start of training."""
    plan = TextPlan(TextWindows(32, size=200_000), TextWindows(32, "held-out", 100_000), 3e-3, 60)
    shape = TransformerShape(256, 32, 2, 32, block=8)
    _, curve = train_by_plan(shape, plan, Settings(16, 20, 32, 32), tmp_path / "text.pt")
    assert curve[0].trained > curve[-1].trained and curve[-1].loss < 3.6


def test_the_runs_have_the_sizes_of_the_note_or_say_so():
    names = [run.name for run in reduced_runs()]
    assert len(set(names)) == len(names) == 18 and names[0] == "copy-recurrent-accumulate-0"
    assert [parameters_count(run.shape) for run in full_runs()] == [508_705, 508_704]
    for run in full_runs():
        assert (run.tested.length, run.plan.rate, run.settings.batch) == (4128, 5e-4, 64)
        assert run.plan.start == 128  # type: ignore[union-attr]
        assert run.plan.threshold == 0.3  # type: ignore[union-attr]
    widths = {(run.shape.width, run.shape.heads, run.shape.block) for run in reduced_runs() if run.task != "text"}
    assert widths == {(96, 6, 32)}
    assert {run.shape.width for run in reduced_runs() if run.task == "text"} == {64}


def tiny(seed: int) -> Run:
    return Run("tiny, w = 8", "copy", SMALL, CopyPlan(False, noise=16, start=16, steps=3), Settings(4, 3, 8, 8, seed))


def test_rows_say_what_was_trained_and_replace_those_of_the_same_run(tmp_path: Path):
    lines: list[str] = []
    assert train_runs([tiny(0)], tmp_path, train=False) == []  # has not begun
    results = train_runs([tiny(0), tiny(1)], tmp_path, echo=lines.append)
    (as_it_is,) = train_runs([tiny(0)], tmp_path, train=False)
    assert as_it_is == results[0]
    assert [line.split(":")[0] for line in lines if "test" in line] == ["copy-tiny-w-8-0", "copy-tiny-w-8-1"]
    rows = result_rows(results[0], "made so")
    values = {row["metric"]: row["value"] for row in rows}
    assert values["accuracy"] == results[0].accuracy and values["training samples"] == 12
    assert results[0].finished and all(row["finished"] for row in rows)
    assert {row["n"] for row in rows if row["metric"] == "accuracy"} == {8 * 16}
    row = rows[0]
    assert (row["length"], row["noise"], row["chance"], row["source"]) == (48, 16, 1 / 14, "made so")
    assert row["parameters"] == sum(weight.numel() for weight in TransformerModel(SMALL).parameters())
    assert row["state_elements"] == 2 * 8 * 12 and row["note_flops"] == 6 * (4 * 12 * 64 + 16 * 144)
    published = {"subject": "x", "metric": "accuracy", "value": 1.0, "unit": "1", "kind": "published", "task": "copy"}
    table, curves = tmp_path / "rows.jsonl", tmp_path / "curves.jsonl"
    write_evidence(evidence([published]), table)
    write_rows(results, table, curves, "made so", "cpu")
    changed = Result(results[1].run, [*results[1].curve, point(6, 0.5, 0.25, 48)], 0.5, 0.25)
    write_rows([changed], table, curves, "made again", "cpu")
    written = read_evidence(table).to_pylist()
    assert [r["source"] for r in written if r["metric"] == "accuracy"] == [None, "made so", "made again"]
    stored = [json.loads(line) for line in curves.read_text().splitlines()]
    assert [len(line["curve"]) for line in stored] == [1, 2]
    assert stored[1]["curve"][-1] == [6, 0, 0.5, 0.25, 0.001, 48, 0] and stored[0] == curve_of(results[0])


def test_text_rows_count_bytes():
    run = next(run for run in reduced_runs() if run.task == "text")
    rows = result_rows(Result(run, [point(50, 2.0)], 2.0, 0.4), "")
    assert rows[0]["length"] == 64 and rows[0]["n"] == 4096 * 64 and rows[0]["noise"] is None
    assert rows[0]["flops"] == 64 * (2 * 64 * 256 + 24 * 64**2) + 4 * 64 * 64**2
    assert copy_run(True, 0).tested == SelectiveCopying(noise=512)
