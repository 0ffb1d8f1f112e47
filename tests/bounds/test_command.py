"""`recallscope bound`: what it prints, its rows, and one line for what cannot be."""

from __future__ import annotations

import json
import math

import pytest
import typer
from recallscope import cli
from recallscope.bounds.command import bound_app
from recallscope.bounds.information import accuracy_limit, all_right_limit, answer_bits
from typer.testing import CliRunner


@pytest.fixture
def call(monkeypatch, capsys):
    """The app as `cli.main` runs it: exit code, stdout, stderr."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.add_typer(bound_app, name="bound")
    monkeypatch.setattr(cli, "app", app)

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["bound", *arguments])
        return stopped.value.code, *capsys.readouterr()

    return run


def test_recall_as_text_and_as_rows(call):
    setting = ("--pairs", "256", "--vocabulary", "8192", "--state-bits", "1000", "--error", "0.5")
    code, out, _ = call("recall", *setting, "--false-positive", "0.01", "--json")
    assert code == 0
    *lines, last = out.splitlines()
    rows = {(row["subject"], row["metric"]): row for row in json.loads(last)}
    assert len(lines) == len(rows) == 11
    state = 256 * (13 - 1 - 0.5 * math.log2(8191))
    assert rows["independent values", "state_limit"]["value"] == pytest.approx(state, rel=1e-14)
    assert rows["independent values", "pairs_limit"]["value"] == pytest.approx(1000 * 256 / state, rel=1e-14)
    assert rows["independent values", "accuracy_limit"]["value"] == accuracy_limit(1000, 256, 8192)
    demand = answer_bits(256, 4096)
    assert rows["MQAR generator", "answer_bits"]["value"] == demand
    assert rows["MQAR generator", "accuracy_limit"]["value"] == accuracy_limit(1000, 256, 4096, demand)
    assert rows["MQAR generator", "all_right_limit"]["value"] == all_right_limit(1000, 256, 4096)
    assert all(row["kind"] == "derived" and row["pairs"] == 256 and row["source"] for row in rows.values())
    assert lines[1].split() == ["MQAR", "generator", "answer", "bits", "3,060.26", "bits"]


def test_orders_have_no_value(call):
    _, out, _ = call("recall", "--pairs", "256", "--vocabulary", "8192", "--json")
    *lines, last = out.splitlines()
    orders = [row for row in json.loads(last) if row["order"]]
    assert [row["metric"] for row in orders] == ["static_retrieval", "incremental_extra", "dynamic_extra"]
    assert all(row["value"] is None and "asymptotic, no bound" in row["flag"] for row in orders)
    assert any("-  asymptotic, no bound: Θ(D); term 256" in line for line in lines)


def test_what_has_no_limit_is_null(call):
    code, out, _ = call("recall", "--pairs", "4", "--vocabulary", "7", "--state-bits", "0", "--error",
                        str(1 - 1 / 7), "--json")  # fmt: skip
    rows = {row["metric"]: row for row in json.loads(out.splitlines()[-1])}
    assert code == 0 and rows["pairs_limit"]["value"] is None and "guessing" in rows["pairs_limit"]["flag"]
    assert "answer_bits" not in rows and "dynamic_extra" not in rows  # no MQAR of 7 ids


@pytest.mark.parametrize(
    ("arguments", "metric", "value"),
    [
        ("copy --length 100 --vocabulary 8 --state-bits 299", "copy_error_limit", 0.5),
        ("copy --length 100 --vocabulary 8 --error 0.5", "copy_state_limit", 299),
        ("copy --length 100 --vocabulary 8 --state-bits 30", "copy_length_limit", 10),
        ("sets --first 1 --second 4 --ids 8", "disjointness_bits", 3),
        ("sets --first 1 --second 4 --ids 8 --passes 2", "disjointness_bits", 1),
        ("depth --vocabulary 8192", "binary_depth_limit", 5),
        ("depth --blocks 2", "p_hot_depth_limit", 2),
        ("depth --length 1048576 --width 64", "recall_depth_scale", 2),
    ],
)
def test_the_other_commands(call, arguments, metric, value):
    code, out, _ = call(*arguments.split(), "--json")
    assert code == 0
    assert {row["metric"]: row for row in json.loads(out.splitlines()[-1])}[metric]["value"] == pytest.approx(value)


def test_help_names_the_commands():
    found = CliRunner().invoke(bound_app, ["--help"])
    assert found.exit_code == 0 and all(name in found.stdout for name in ("recall", "copy", "sets", "depth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("recall --pairs 0 --vocabulary 8", "pairs: at least 1, got 0"),
        ("recall --pairs 4 --vocabulary 0", "vocabulary: at least 2, got 0"),
        ("recall --pairs 4 --vocabulary 8 --error 0.9", "error: 0 to 0.875, that of a guess among 8 values, got 0.9"),
        ("recall --pairs 2 --vocabulary 8 --state-bits -1", "state_bits: at least 0, got -1"),
        ("recall --pairs 2 --vocabulary 8 --state-bits inf", "state_bits: finite, got inf"),
        ("recall --pairs 2 --vocabulary 8 --keys 1", "pairs: a whole number from 1 to 1, got 2"),
        ("recall --pairs 4 --vocabulary 7 --false-positive 0.1", "keys: needed with false_positive"),
        ("recall --pairs 2 --vocabulary 8 --false-positive 2", "false_positive: from 0 to 1, got 2"),
        ("copy --length 0 --vocabulary 8", "length: at least 1, got 0"),
        ("sets --first 3 --second 4 --ids 6", "ids: a whole number, at least 7, got 6"),
        ("depth --vocabulary 50257", "vocabulary: a power of two"),
        ("depth --length 64", "length, width: both or none, got 64 and None"),
        ("depth", "vocabulary, blocks, length and width: one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(call, arguments, message):
    code, out, error = call(*arguments.split())
    assert code == 2 and not out
    assert len(error.splitlines()) == 1 and message in error
