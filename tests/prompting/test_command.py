"""`recallscope zero-shot`."""

from __future__ import annotations

import json

import pytest
import recallscope.tasks
import typer
from recallscope.prompting.command import zero_shot_command
from recallscope.prompting.zero_shot import zero_shot
from recallscope.tasks.mqar import MQAR
from typer.testing import CliRunner

SETTINGS = ["--set", "vocabulary=64", "--set", "length=16", "--set", "random_filler=false", "--examples", "8"]


@pytest.fixture(autouse=True)
def call(monkeypatch):
    monkeypatch.setattr(recallscope.tasks, "TASKS", {"mqar": MQAR}, raising=False)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("zero-shot")(zero_shot_command)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_models_one_after_another_as_a_table_and_as_rows(call):
    found = call("attention", "hyena", *SETTINGS, "--json")
    assert found.exit_code == 0, found.output
    *lines, last = found.stdout.splitlines()
    task = MQAR(64, 16, random_filler=False)
    assert json.loads(last) == [
        r for name in ("attention", "hyena") for r in zero_shot(name, task, examples=8).to_pylist()
    ]
    row = json.loads(last)[3]
    value, low, high = (f"{row[name]:.1%}" for name in ("value", "low", "high"))
    assert lines[0].split() == ["attention", "95", "%", "interval", "chance", "questions"]
    metric = ["accuracy", "among", "answers", "of", "the", "example"]
    assert lines[4].split() == [*metric, value, low, "to", high, "25.0%", "32"]
    assert lines[6] == "" and lines[7].split()[0] == "hyena" and len(lines) == 13


def test_the_first_prompt_is_shown(call):
    found = call("window", *SETTINGS, "--show", "--by-distance")
    assert found.exit_code == 0, found.output
    title, text, questions = found.stderr.splitlines()
    words = text.removeprefix("<|endoftext|>").replace(".", " ").split()
    assert title == "window reads:" and len(words) == 12 and sorted(words[8:]) == sorted(words[:8:2])
    assert all(f"'{' ' + value}' after token" in questions for value in words[1:8:2])
    assert "window, answer 4-7 tokens back" in found.stdout
    found = call("window", *SETTINGS, "--show", "--map-to", "ids", "--tokenizer", "missing.json")
    assert "tokenizer: none found for 'missing.json'" in str(found.exception)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["attention", "--task", "mqr"], "task: one of mqar, got 'mqr'"),
        (["attention", "--set", "pair=3"], "set: mqar has no setting 'pair'"),
        (["attention"], "task: vocabulary 8192 needs 8191 words, the tokenizer has 1116; a vocabulary of at most 1117"),
        (["nobody", *SETTINGS], "model: 'nobody' is not known"),
    ],
)
def test_bad_input_is_one_line(call, arguments, message):
    found = call(*arguments)
    assert isinstance(found.exception, ValueError)
    assert str(found.exception).startswith(message) and "\n" not in str(found.exception)
