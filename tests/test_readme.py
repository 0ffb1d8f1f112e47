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
from recallscope.bundled import bundled_folder
from recallscope.frontier.state_vs_recall import state_vs_recall
from recallscope.published import published_names, published_table

EVIDENCE = Path(__file__).parents[1] / "paper_figures" / "evidence"
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
        "Limit, rule and trained model on one axis",
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
    assert checked == 7


@pytest.fixture(scope="module")
def bits_of_state() -> dict[str, list[dict]]:
    """Rows of `state_vs_recall` for the tests that the README's table names."""
    published = published_table(*published_names())
    swept = recallscope.read_evidence(EVIDENCE / "recall_vs_state.jsonl")
    tables = {
        "seven tests": state_vs_recall(published),
        "five tests": state_vs_recall(swept),
        "64 pairs": state_vs_recall(swept, {"pairs": 64}),
    }
    return {name: table.to_pylist() for name, table in tables.items()}


def test_the_readmes_bit_efficiencies_are_those_of_the_evidence(bits_of_state):
    section = README.split("### Limit, rule and trained model on one axis")[1].split("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(lines) == 7
    for label, *cells in lines:
        name, tests = label.replace("`", "").partition(",")[0].partition(" rule")[0], label.rpartition(", ")[2]
        own = [row for row in bits_of_state[tests] if row["subject"].partition(":")[0] == name]
        best = max((row for row in own if row["metric"] == "bit efficiency"), key=lambda row: row["value"])
        (accuracy,) = {
            row["value"] for row in own if row["metric"] == "accuracy" and row["recalled_bits"] == best["recalled_bits"]
        }
        interval = "" if best["low"] is None else f" [{100 * best['low']:.2f}, {100 * best['high']:.2f}]"
        recalled = f"{best['recalled_bits']:,.0f} of {best['demand_bits']:,.0f}"
        said = [f"{best['state_bits']:,.0f}", f"{accuracy:.3f}", recalled, f"{100 * best['value']:.2f} %{interval}"]
        assert cells == said, label


def test_no_trained_model_is_above_the_limit_of_half_a_bit_or_above_the_additive_rule(bits_of_state):
    used = []
    for rows in bits_of_state.values():
        trained = [row for row in rows if row["kind"] != "derived" and row["metric"] == "accuracy"]
        used += [row["recalled_bits"] / row["state_elements"] for row in trained]
        rule = [row for row in rows if row["rule"] == "additive" and row["metric"] == "accuracy"]
        bits, accuracy = ([row[name] for row in rule] for name in ("state_bits", "value"))
        within = [row for row in trained if row["state_bits"] >= bits[0]]
        leads = [row["value"] - np.interp(np.log2(row["state_bits"]), np.log2(bits), accuracy) for row in within]
        assert len(leads) >= 16 and max(leads) <= 0.01
    assert f"{max(used):.2f}" == "0.26" and "that 0.26 are used" in README


def test_the_readmes_demand_is_that_of_the_evidence():
    section = README.split("### What a text demands")[1].split("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    folder = Path(__file__).parents[1] / "paper_figures" / "evidence"
    rows = recallscope.read_evidence(*sorted(folder.glob("demand_*.jsonl"))).to_pylist()
    held_out = "held-out packages"
    subjects = {"held-out code, every repeat": held_out, "held-out code, AR hits": f"{held_out}, AR hits"}
    assert len(lines) == 5
    for label, share, *cells in lines:
        name = label.removesuffix(", windows of 1,024")
        subject = subjects.get(name, name.removesuffix(", every repeat"))
        served = [row for row in rows if row["subject"] == subject and row["metric"] == "hits served"]
        assert share == f"{100 * served[0]['n'] / served[0]['tokens']:.1f}", label
        for size, cell in zip((1, 16, 128, 1024), cells, strict=True):
            found = {row["memory"]: f"{100 * row['value'] / row['n']:.1f}" for row in served if row["size"] == size}
            assert cell == " / ".join(found[memory] for memory in ("best", "lru", "window")), label
    bits = {(row["metric"], row["bound"], row["state_bits"]): row for row in rows}
    loss = bits["loss on hits", "memoryless", None]
    for said in (
        f"the {loss['n']:,} AR hits of {loss['documents']} held-out documents",
        f"Hyena loses {loss['value']:.2f} nats a hit",
        f"attention {bits['gap on hits', None, None]['value']:.2f} less",
        f"{bits['gain per hit', 'whole context', None]['value']:.2f} bits a hit",
        f"{bits['loss on hits', 'limit', 16]['value']:.2f} nats at the lowest",
        f"one of 64 bits to {bits['loss on hits', 'limit', 64]['value']:.2f};",
        f"takes more than {bits['state that closes the gap', 'limit', None]['value']:.0f} bits",
        f"and {bits['state that closes the gap', 'carried', None]['value']:.0f} are enough",
        f"{32 * recallscope.architecture(str(bundled_folder('hyena'))).state_elements(1024):,} bits after 1,024 tokens",
    ):
        assert said in " ".join(section.split())
