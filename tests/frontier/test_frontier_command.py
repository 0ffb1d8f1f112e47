"""`recallscope frontier`: what it prints for the committed evidence, its JSON, and how it fails."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import recallscope
from recallscope.cli import main
from recallscope.evidence import evidence, write_evidence
from recallscope.frontier.sources import rows_of

from .test_points import THREE, row


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["frontier", *arguments])
    return stopped.value.code  # type: ignore[return-value]


def test_it_prints_set_readings_and_json(tmp_path, capsys):
    write_evidence(evidence(THREE), tmp_path / "rows.jsonl")
    options = ["--cost", "parameters", "--budget", "300,1e5", "--target", "0.65,0.8", "--json"]
    assert call(str(tmp_path), *options) == 0
    *text, last = capsys.readouterr().out.splitlines()
    assert text[:3] == [
        "accuracy: higher is better",
        "against parameters: lower is better",
        "4 points: 3 on the frontier, 0 undecided, 1 dominated; 4 without an interval count as exact",
    ]
    assert text[4].split("  ")[0] == "parameters" and text[5].split() == ["100", "0.2", "x", "1.059", "a", "measured"]
    assert text[-5:] == [
        "parameters 300 buys accuracy 0.3908",
        "parameters 100,000 buys accuracy 0.7",
        "accuracy 0.65 costs parameters 3,162",
        "accuracy 0.8 costs parameters more than anything here",
        "hypervolume 0.8 decades, reference: parameters 10,000, accuracy 0",
    ]
    (found,) = json.loads(last)
    assert [p["subject"] for p in found["points"]] == ["a", "b", "d", "c"]
    assert found["cost"]["better"] == "lower" and found["hypervolume"][0] == pytest.approx(0.8)


def test_without_rows_it_shows_recall_against_state(capsys):
    assert rows_of().num_rows > 900
    assert call("--quality", "accuracy:kind=published") == 0
    out = capsys.readouterr().out
    assert "83 points: 6 on the frontier, 13 undecided, 64 dominated" in out and "below limit" in out


def test_published_tables_by_name(capsys):
    assert call("based_table1", "--quality", "perplexity:slice=AR", "--cost", "throughput:phase=generation") == 0
    assert "throughput 10 buys perplexity 1.693 [1.688, 1.698]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "rows: a file, a folder with rows.jsonl, or one of"),
        (["--budget", "many"], "budget: numbers separated by commas, got 'many'"),
        (["--budget", "0"], "budget: above 0"),
        (["--step", "0"], "step: above 0"),
        (["jrt_table1", "--cost", "state_bytes"], "such as parameters, training_tokens; got 'state_bytes'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys):
    assert call(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines


def test_mixed_units_and_metrics_without_direction(tmp_path, capsys):
    write_evidence(evidence([row("a", "taste", 1.0, parameters=3)]), tmp_path / "rows.jsonl")
    assert call(str(tmp_path), "--quality", "taste", "--cost", "parameters") == 2
    assert "say higher or lower" in capsys.readouterr().err
    assert call(str(tmp_path), "--quality", "taste", "--cost", "parameters", "--better", "higher") == 0


README = (Path(__file__).parents[2] / "README.md").read_text().split("## Quality against cost")[1].split("\n## ")[0]


def test_the_readmes_command_prints_what_it_says(capsys):
    commands, printed = re.findall(r"```\n(.*?)```", README, re.S)[:2]
    last = shlex.split(commands.splitlines()[-1])
    assert call(*last[2:]) == 0
    assert capsys.readouterr().out.strip() == printed.strip()


def test_the_readmes_readings_are_those_of_the_tables():
    code = re.search(r"```python\n(.*?)```", README, re.S)
    assert code
    names, checked = {"rs": recallscope}, 0
    for line in code[1].splitlines():
        call_, _, said = line.partition("  # ")
        if said:
            wanted = re.findall(r"[0-9.]*[0-9]", said)
            values = np.ravel(eval(call_, names))
            shown = [f"{v:.{len(w.partition('.')[2])}f}" for v, w in zip(values, wanted, strict=True)]
            assert shown == wanted
            checked += 1
        else:
            exec(call_, names)
    assert checked == 3
