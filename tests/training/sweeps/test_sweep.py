"""Sweeps: which models they train, the rows they give, and what they refuse."""

import json
from dataclasses import replace

import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.names import parsed_options
from recallscope.evidence import read_evidence
from recallscope.tasks import MQAR, TASKS
from recallscope.training.members.mix import Mix, single
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.command import planned, task_sweep
from recallscope.training.sweeps.plans import BASED_RATES, PLANS, ZOOLOGY_RATES
from recallscope.training.sweeps.rows import task_columns
from recallscope.training.sweeps.run import run_sweep
from recallscope.training.sweeps.scales import SCALES, SETTINGS
from recallscope.training.sweeps.subjects import cannot_bind, recall_subject
from recallscope.training.sweeps.sweep import Sweep

TASK = MQAR(vocabulary=32, length=16, pairs=2)
RECIPE = Recipe(steps=6, batch=4, evaluate_every=3, validation=8, test=16)


def small(*names: str, **changes) -> Sweep:
    mix = Mix(((TASK, 1.0),), (TASK, replace(TASK, length=32, pairs=4)))
    sweep = Sweep("small", tuple(recall_subject(name, 16) for name in names), mix, (1e-3, 1e-2), (0, 1), RECIPE)
    return replace(sweep, **changes)


def mixers(text: str, **options) -> list[str]:
    return [layer["mixer"] for layer in recall_subject(text, **options).config.layers]


def test_a_short_convolution_stands_before_what_does_not_shift():
    assert mixers("attention") == ["base_conv", "attention"]
    assert mixers("mamba") == ["mamba", "mamba"]
    assert mixers("gla:conv_width=4") == ["gla", "gla"]
    assert mixers("attention:layers=1") == ["attention"]
    assert mixers("based:layers=4") == ["base_conv", "based", "based", "based"]
    assert mixers("based:layers=4,alternate=True") == ["base_conv", "based"] * 2
    assert mixers("attention:first=None") == ["attention", "attention"]
    assert mixers("attention:first=hyena") == ["hyena", "attention"]
    subject = recall_subject("based:key_width=8,width=32", width=64)
    assert subject.config.width == 32 and subject.config.layers[1] == {"mixer": "based", "key_width": 8}
    assert recall_subject("based", width=64).config.width == 64


def test_models_that_cannot_bind_are_known():
    assert "one layer without a shift" in cannot_bind(recall_subject("attention:layers=1").config)
    assert "by content" in cannot_bind(recall_subject("pooling").config)
    for able in ("attention", "attention:first=None", "mamba:layers=1", "base_conv", "based"):
        assert not cannot_bind(recall_subject(able).config)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("nope", "mixer: one of attention"),
        ("attention:heads", "name=value"),
        ("attention:headz=2", "attention takes heads"),
        ("attention:width=0", "width: an integer from 1 to"),
        ("attention:layers=0", "layers: an integer from 1 to"),
        ("attention:first=nope", "first: None or one of"),
        ("attention:heads=3", "heads: must divide the width"),
    ],
)
def test_bad_subjects(text, match):
    with pytest.raises(ValueError, match=match):
        recall_subject(text)


def test_rows_of_a_sweep(tmp_path):
    sweep, lines = small("attention", "pooling"), []
    table = run_sweep(sweep, tmp_path, log=lines.append, command="recallscope test")
    rows = table.to_pylist()
    assert len(rows) == 2 * 4 * 2  # subjects, members, test tasks
    assert {(r["subject"], r["rate"], r["seed"], r["pairs"]) for r in rows} == {
        (name, rate, seed, pairs) for name in ("attention", "pooling") for rate in (1e-3, 1e-2) for seed in (0, 1)
        for pairs in (2, 4)
    }  # fmt: skip
    for row in rows:
        assert row["metric"] == "accuracy" and 0 <= row["value"] <= 1 and row["kind"] == "measured"
        assert row["n"] == 16 * row["pairs"] and row["chance"] == 1 / row["pairs"]
        assert row["source"] == "recallscope test" and row["steps_taken"] == 6
        config = recall_subject(row["subject"], 16).config
        assert row["state_elements"] == Architecture("", config).state_elements(row["length"])
        assert row["state_elements_longest"] == Architecture("", config).state_elements(32)
        assert row["can_bind"] == (row["subject"] == "attention")
    assert read_evidence(tmp_path / "rows.jsonl").to_pylist() == rows
    curves = [json.loads(line) for line in (tmp_path / "attention.curves.json").read_text().splitlines()]
    assert [len(curve["curve"]) for curve in curves] == [2] * 4
    assert any("pooling: no layer reads by content" in line for line in lines)
    assert {path.name for path in tmp_path.iterdir()} == {
        "attention.jsonl", "attention.curves.json", "pooling.jsonl", "pooling.curves.json", "rows.jsonl", "sweep.json",
    }  # fmt: skip


def test_a_subject_that_is_finished_is_not_trained_again(tmp_path):
    run_sweep(small("attention"), tmp_path)
    before = (tmp_path / "attention.jsonl").read_bytes()
    left = tmp_path / "attention" / "checkpoint.pt"  # of a run that was killed between its rows and the end
    left.parent.mkdir()
    left.write_bytes(b"old")
    table = run_sweep(small("attention", "pooling"), tmp_path)
    assert not left.parent.exists()
    assert (tmp_path / "attention.jsonl").read_bytes() == before
    assert set(table["subject"].to_pylist()) == {"attention", "pooling"}


def test_results_of_another_sweep_are_not_mixed_in(tmp_path):
    run_sweep(small("attention"), tmp_path)
    before = (tmp_path / "attention.jsonl").read_bytes()
    for other in ({"recipe": replace(RECIPE, batch=8)}, {"rates": (1e-3,)}, {"mix": single(TASK)}):
        with pytest.raises(ValueError, match=r"folder: .* holds another sweep"):
            run_sweep(small("attention", **other), tmp_path)
    assert (tmp_path / "attention.jsonl").read_bytes() == before


def test_a_shape_that_cannot_be_built_fails_before_anything_is_trained(tmp_path):
    sweep = small("attention")
    bad = replace(sweep.subjects[0], config=replace(sweep.subjects[0].config, layers=({"mixer": "rwkv6"},)))
    with pytest.raises(ValueError, match="head_width"):
        run_sweep(replace(sweep, subjects=(*sweep.subjects, bad)), tmp_path)
    assert not list(tmp_path.iterdir())


UNTIED = ("recall-vs-state", "mad", "based-figure1-small", "based-figure3-small")


def test_published_plans():
    (based,) = PLANS["based-figure2"]()
    assert BASED_RATES == pytest.approx([10**-3, 10**-2.5, 10**-2, 10**-1.5], rel=1e-3)
    assert ZOOLOGY_RATES == pytest.approx([1e-4, 10**-3.3333333, 10**-2.6666667, 1e-2], rel=1e-3)
    sizes = [(task.length, task.pairs, weight) for task, weight in based.mix.train]  # type: ignore[attr-defined]
    assert sizes[0] == (64, 4, 100_000) and [s[2] for s in sizes[1:]] == [20_000] * 4
    assert [(task.length, task.pairs) for task in based.mix.test] == [  # type: ignore[attr-defined]
        (64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256)
    ]  # fmt: skip
    assert based.recipe.steps_per_epoch * 32 == based.recipe.steps
    by_name = {subject.name: subject for subject in based.subjects}
    assert [layer["mixer"] for layer in by_name["mamba:width=64,state_size=8"].config.layers] == ["mamba"] * 2
    shallow, deep = PLANS["zoology-figure2"](), PLANS["zoology-figure2-deep"]()
    assert [(s.mix.test[0].length, s.mix.test[0].pairs, s.recipe.batch) for s in shallow] == [  # type: ignore[attr-defined]
        (64, 4, 512), (128, 8, 512), (256, 16, 256), (512, 64, 128)
    ]  # fmt: skip
    layers = {s.mixer: len(s.config.layers) for s in deep[0].subjects}
    assert layers.pop("attention") == 2 and set(layers.values()) == {4}
    assert {len(s.config.layers) for s in shallow[0].subjects} == {2}
    for name, plan in PLANS.items():
        for sweep in plan():
            tied = {subject.config.tied for subject in sweep.subjects}
            assert tied == {name not in UNTIED}  # the authors' head is their embedding
            assert len({subject.name for subject in sweep.subjects}) == len(sweep.subjects)


def test_the_plan_of_set_disjointness():
    (sweep,) = PLANS["jrt-figure2"]()
    assert sweep.rates == (1e-4, 5e-4, 8e-4) and sweep.seeds == (0, 1)
    assert len(sweep.mix.train) == 12 and len(sweep.mix.test) == 20
    assert sweep.recipe.steps == 48 * 1875 and sweep.recipe.examples == 240_000
    pairs = {(subject.mixer, subject.config.width) for subject in sweep.subjects}
    assert len(sweep.subjects) == 40 and len(pairs) == 10
    for subject in sweep.subjects:
        assert [layer["mixer"] for layer in subject.config.layers] == ["base_conv", subject.mixer] * 2


def test_the_committed_sweep_is_wide_enough():
    (sweep,) = PLANS["recall-vs-state"]()
    assert len({subject.mixer for subject in sweep.subjects}) >= 10
    assert len(sweep.seeds) >= 3 and sweep.rates == BASED_RATES
    assert sum(bool(cannot_bind(subject.config)) for subject in sweep.subjects) == 2


def test_plans_by_name():
    assert [len(sweep.subjects) for sweep in planned("zoology-figure2", only="mamba:width=64")] == [1] * 4
    with pytest.raises(ValueError, match="plan: one of recall-vs-state"):
        planned("nope")
    with pytest.raises(ValueError, match="only: a part of the name"):
        planned("recall-vs-state", only="nope")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_sizes_that_can_be_drawn(name):
    for scale in SCALES:
        sweep = task_sweep(["attention"], name, scale)
        (task,) = sweep.mix.test
        assert len(task.sample(2)) == 2
        columns = task_columns(task)
        assert columns["task"] == TASKS[name].__name__ and columns["chance"] >= 0
    assert set(SETTINGS[name]) <= set(SCALES)


def test_sweeps_from_text():
    sweep = task_sweep(["attention", "gla"], "mqar", "smoke", {"pairs": "2"}, 16, [1e-2], 2, steps=80)
    assert sweep.mix.test[0].pairs == 2 and sweep.mix.test[0].vocabulary == 64  # type: ignore[attr-defined]
    assert (sweep.rates, sweep.seeds, sweep.recipe.steps, sweep.recipe.evaluate_every) == ((1e-2,), (0, 1), 80, 10)
    assert {subject.config.width for subject in sweep.subjects} == {16}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"task": "nope"}, "task: one of mqar"),
        ({"scale": "nope"}, "scale: one of smoke"),
        ({"settings": {"pairs": "99"}}, "pairs: 1 to"),
        ({"settings": {"pear": "2"}}, "no setting 'pear'"),
        ({"seeds": 0}, "seeds: at least 1"),
        ({"rates": [-1.0]}, "rates: above 0"),
        ({"steps": 0}, "steps: at least 1"),
    ],
)
def test_bad_sweeps(arguments, match):
    with pytest.raises(ValueError, match=match):
        task_sweep(["attention"], **({"task": "mqar", "scale": "smoke"} | arguments))


def test_options_are_literals_or_text():
    assert parsed_options("a=1,b=None,c=relu") == {"a": 1, "b": None, "c": "relu"}
