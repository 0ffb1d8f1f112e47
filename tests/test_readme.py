"""The README's own mixer passes the suite that every mixer must pass."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import recallscope
from architectures import test_mixers as suite
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.mixers import MIXERS
from recallscope.architectures.model import LanguageModel

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def own(monkeypatch):
    section = README.split("### Add your own")[1]
    code = re.search(r"```python\n(.*?)```", section, re.S)
    assert code
    registered = dict(MIXERS)
    exec(compile(code[1], "README.md", "exec"), {"__name__": "own"})
    (name,) = set(MIXERS) - set(registered)
    yield name
    del MIXERS[name]


def test_the_readmes_mixer_passes_the_suite(own):
    checked = 0
    for name, test in inspect.getmembers(suite, inspect.isfunction):
        if name.startswith("test_") and list(inspect.signature(test).parameters)[:2] == ["name", "key"]:
            further = inspect.signature(test).parameters
            values = {"dtype": suite.torch.float64, "cut": 37, "length": 65}
            test(own, "{}", **{key: value for key, value in values.items() if key in further})
            checked += 1
    assert checked >= 10


def test_it_is_a_layer_like_the_others(own):
    config = ModelConfig(50, 16, ({"mixer": own},), 24)
    assert Architecture("mine", config).parameters() == sum(p.numel() for p in LanguageModel(config).parameters())


@pytest.mark.parametrize("section", ["## What an architecture keeps, computes and moves", "### Operators"])
def test_the_readmes_cost_examples_run(section):
    code = re.search(r"```python\n(.*?)```", README.split(section)[1], re.S)
    assert code
    names: dict = {"rs": recallscope}
    exec(compile(code[1], "README.md", "exec"), names)
    assert names.get("arch") or names["small"].weight_bytes() < names["dense"].weight_bytes() / 3


def test_the_readmes_mixer_can_be_swept(own):
    from recallscope.training.members.trainer import train_members
    from recallscope.training.sweeps.command import task_sweep

    sweep = task_sweep([own], "mqar", "smoke", steps=16)
    outcomes = train_members(sweep.subjects[0].config, sweep.mix, sweep.recipe, sweep.members)
    assert [outcome.steps for outcome in outcomes] == [16] * len(sweep.members)
    assert all(outcome.curve[-1][1] < outcome.curve[0][1] for outcome in outcomes)


def test_the_readmes_tasks_run(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README.split("## Recall tasks")[1], re.S)
    assert code
    monkeypatch.chdir(tmp_path)
    names: dict = {"rs": recallscope}
    exec(compile(code[1].replace('"smoke"', '"smoke", steps=8'), "README.md", "exec"), names)
    assert len(names["examples"]) == 100_000
    assert recallscope.read_evidence("runs/mine/rows.jsonl").num_rows == 4


def test_the_readmes_bounds_are_what_it_says():
    """Every expression of the self-contained examples whose comment has numbers gives these numbers."""
    names: dict = {"rs": recallscope}
    checked = 0
    for section in (
        "What information allows",
        "How many pairs a memory rule holds",
        "What an architecture really keeps",
    ):
        code = re.search(r"```python\n(.*?)```", README.split(f"### {section}")[1], re.S)
        assert code
        for line in code[1].splitlines():
            call, _, said = line.partition("  # ")
            wanted = re.findall(r"[0-9.]*[0-9]", said.removeprefix("MQAR: ").partition(":")[0])
            if not call or not isinstance(ast.parse(call).body[0], ast.Expr):
                exec(call, names)
            elif wanted:
                values = np.ravel(np.asarray(eval(call, names), dtype=float))
                shown = [
                    f"{value:.{len(text.partition('.')[2])}f}" for value, text in zip(values, wanted, strict=False)
                ]
                assert shown == wanted[: len(shown)]
                checked += 1
    assert checked == 6
