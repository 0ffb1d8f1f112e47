"""`recallscope bound`: what it prints, its rows, and one line for what cannot be."""

from __future__ import annotations

import json
import math

import pytest
import typer
from recallscope import cli
from recallscope.bounds.capacity import RULES, recalled_bits
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
    assert found.exit_code == 0 and all(
        name in found.stdout for name in ("recall", "copy", "sets", "depth", "capacity", "dataflow")
    )


def test_capacity_has_every_rule_beside_the_limit(call):
    code, out, _ = call("capacity", "--pairs", "8,64", "--key-width", "16", "--vocabulary", "64", "--places", "4",
                        "--bits", "8", "--json")  # fmt: skip
    *lines, last = out.splitlines()
    rows = json.loads(last)
    assert code == 0 and len(lines) == 1 + len(rows) == 17
    assert [row["rule"] for row in rows[::2]] == list(RULES)
    for row in rows:
        assert row["kind"] == "derived" and row["state_bits"] == 8 * row["state_elements"]
        assert row["accuracy_limit"] == accuracy_limit(row["state_bits"], row["pairs"], 64)
        assert row["bit_efficiency"] == row["recalled_bits"] / row["state_bits"]
    table = {(row["rule"], row["pairs"]): row for row in rows}
    assert table["window", 64]["value"] == pytest.approx(1 / 16 + 15 / 16 / 64, rel=1e-12)
    full = table["n-gram table", 64]
    assert full["state_bits"] == 32 and float(recalled_bits(full["accuracy_limit"], 64, 64)) == pytest.approx(32)
    assert lines[0].split()[:4] == ["rule", "pairs", "predicted", "limit"]
    assert lines[-1].split()[:4] == ["n-gram", "table", "64", f"{table['n-gram table', 64]['value']:.3f}"]


def test_capacity_is_simulated_on_demand(call):
    code, out, _ = call(*"capacity least-squares additive --pairs 20 --key-width 16 --trials 40 --json".split())
    *lines, last = out.splitlines()
    rows = json.loads(last)
    assert code == 0 and [row["kind"] for row in rows] == ["derived", "measured"] * 2
    assert [row["n"] for row in rows] == [None, 40, None, 40] and len(lines) == 3
    assert "simulated" in lines[0] and f"{rows[1]['value']:.3f} [{rows[1]['low']:.3f}" in lines[1]
    again = call(*"capacity least-squares --pairs 20 --key-width 16 --trials 40 --seed 1 --json".split())[1]
    assert json.loads(again.splitlines()[-1])[1]["value"] != rows[1]["value"]


def test_dataflow_says_what_the_wiring_lets_through(call):
    """Three windows of 4, width 8: 3 entries of 16 a layer are read again; each goes back by 3."""
    name = "sliding_window:width=8,heads=2,window=4,layers=3"
    code, out, _ = call("dataflow", name, "linear_attention:width=8,heads=1", "--length", "10", "--source", "0-5",
                        "--target", "10-15", "--json")  # fmt: skip
    *lines, last = out.splitlines()
    rows = {(row["subject"], row["metric"]): row for row in json.loads(last)}
    assert code == 0 and len(lines) == len(rows) == 8
    assert rows[name, "state_cut"]["elements"] == 3 * 3 * 16 and rows[name, "state_cut"]["value"] == 32 * 144
    assert rows[name, "state"]["elements"] == 3 * 4 * 16 and rows[name, "state"]["unit"] == "bits"
    assert rows[name, "reach"]["value"] == 3 * (4 - 1) and rows[name, "reach"]["unit"] == "positions"
    assert rows[name, "recall_capacity"]["elements"] == 40
    assert (rows[name, "recall_capacity"]["tokens"], rows[name, "recall_capacity"]["outputs"]) == ("0-5", "10-15")
    other = "linear_attention:width=8,heads=1"
    assert rows[other, "reach"]["value"] is None and rows[other, "reach"]["flag"] == "no limit"
    assert rows[other, "state_cut"]["value"] == rows[other, "state"]["value"]
    assert lines[0].split() == [name, "state", "cut", "144", "elements", "4,608", "bits"]
    assert lines[7].split() == [other, "reach", "no", "limit"]


def test_dataflow_in_elements(call):
    code, out, _ = call(*"dataflow attention:width=8,heads=2 --length 3 --bits-per-element 1 --json".split())
    rows = {row["metric"]: row["value"] for row in json.loads(out.splitlines()[-1])}
    assert code == 0 and rows == {"state_cut": 48, "state": 48, "reach": None}  # keys and values of 3 tokens


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
        (
            "capacity hopfield",
            "rules: some of additive, decayed, delta, least-squares, slots, window, softmax-cache, n-",
        ),
        ("capacity --pairs many", "pairs: whole numbers separated by commas, got 'many'"),
        ("capacity --pairs 0", "pairs: a whole number, at least 1, got 0"),
        ("capacity --vocabulary 1", "vocabulary: a whole number, at least 2, got 1"),
        ("capacity --key-width 1", "key_width: a whole number, at least 2, got 1"),
        ("capacity delta --decay 0.9", "decay: only with the rule decayed, got 0.9 for delta"),
        ("capacity --decay 2", "decay: above 0, at most 1, got 2"),
        ("capacity --trials 1", "trials: a whole number, at least 2, got 1"),
        ("capacity --bits 65", "bits: a whole number of 1 to 64, got 65"),
        ("dataflow nothing", "architecture: a preset (based-363m, "),
        ("dataflow attention --length 0", "length: at least 1 token, got 0"),
        ("dataflow attention --length 5000", "length: at most 1,000 positions of attention with its 1 layers"),
        ("dataflow attention --bits-per-element 0", "bits_per_element: above 0, got 0"),
        ("dataflow attention --bits-per-element inf", "bits_per_element: finite, got inf"),
        ("dataflow attention --source 3-1 --target 5", "source: positions such as 0-3,8, got '3-1'"),
        ("dataflow attention --source 1 --target x", "target: positions such as 0-3,8, got 'x'"),
        ("dataflow attention --source 0-9999999999 --target 1", "source: positions of at most 9,999, got 0-9999999999"),
        ("dataflow attention --source 1", "source, target: both or none, got 1 and None"),
        ("depth", "vocabulary, blocks, length and width: one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(call, arguments, message):
    code, out, error = call(*arguments.split())
    assert code == 2 and not out
    assert len(error.splitlines()) == 1 and message in error
