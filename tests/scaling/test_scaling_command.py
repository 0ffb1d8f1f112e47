"""`recallscope scaling`: answers from the shell, and one line for bad input."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from recallscope.cli import main
from recallscope.scaling import published_law
from scaling.synthetic import THREE, scattered


def shell(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["scaling", *arguments])
    assert stop.value.code == 0
    return capsys.readouterr().out


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["scaling", *arguments])
    out, error = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """60 runs of the refit's law, with columns named as the digitised runs of Hoffmann et al. are."""
    sizes, losses = scattered(published_law("besiroglu"), 60, 0.002)
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    columns = {"Model Size": sizes["N"], "Training FLOP": 6 * sizes["N"] * sizes["D"], "loss": losses}
    csv.write_csv(pa.table(columns), path)
    return path


FIT = ("--size", "N=Model Size", "--flops", "Training FLOP", "--starts", "60")


def test_a_fit_is_printed_written_and_used(capsys, table, tmp_path):
    out = tmp_path / "fit.jsonl"
    text = shell(capsys, "fit", str(table), *FIT, "--bootstrap", "40", "--out", str(out), "--json")
    rows = {row["metric"]: row for row in json.loads(text.splitlines()[-1])}
    true = published_law("besiroglu").constants()
    assert list(rows) == list(true)
    for name, row in rows.items():
        assert row["low"] <= row["value"] <= row["high"] and row["value"] == pytest.approx(true[name], rel=0.5)
    assert "60 runs, objective" in text and "40 bootstrap refits" in text and "a = β/(α + β)" in text
    found = json.loads(shell(capsys, "optimal", "1e21,5.76e23", "--law", str(out), "--json").splitlines()[-1])
    assert [one["training_flops"] for one in found] == pytest.approx([1e21, 5.76e23])
    low, high = found[1]["intervals"]["tokens_per_parameter"]
    assert low < found[1]["tokens_per_parameter"] < high
    gamma = json.loads(shell(capsys, "efficient", "--law", str(out), "--json").splitlines()[-1])["exponent"]
    assert gamma["low"] == pytest.approx(1 - 2 * rows["beta"]["value"])
    assert gamma["high_interval"] == pytest.approx([1 - rows["beta"]["high"], 1 - rows["beta"]["low"]])


def test_a_law_with_state_is_used_at_a_state(capsys, tmp_path):
    sizes, losses = scattered(THREE, 40, 0.001)
    rows = [{name: float(column[i]) for name, column in sizes.items()} | {"ar": float(losses[i])} for i in range(40)]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    three = [part for name in "NDS" for part in ("--size", f"{name}={name}")]
    out = str(tmp_path / "fit.jsonl")
    shell(capsys, "fit", str(tmp_path / "runs.jsonl"), *three, "--loss", "ar", "--starts", "60", "--bootstrap", "20",
          "--out", out)  # fmt: skip
    answer = shell(capsys, "optimal", "1e18", "--law", out, "--state", "1000", "--json")
    (found,) = json.loads(answer.splitlines()[-1])
    n = np.geomspace(1e6, 1e12, 100_001)
    losses = THREE.loss(n, 1e18 / 6 / n, 1000.0)
    assert found["loss"] == pytest.approx(losses.min(), rel=0.02)
    assert "state: elements, for a law with the size S" in refused(capsys, "optimal", "1e18", "--law", out)


def test_runs_that_determine_no_entropy_are_named(capsys, tmp_path):
    """A pure power of one size, with the noise that puts its fitted entropy at 0."""
    size = np.geomspace(1e6, 1e9, 12)
    losses = 40 * size**-0.15 * np.exp(np.linspace(0, -0.2, 12))
    csv.write_csv(pa.table({"N": size, "loss": losses}), tmp_path / "runs.csv")
    one = ("--size", "N=N", "--bootstrap", "0", "--starts", "150")
    assert "the runs determine no entropy" in shell(capsys, "fit", str(tmp_path / "runs.csv"), *one)


def test_outlying_runs_without_which_no_law_is_determined_are_still_printed(capsys, tmp_path):
    """The only runs of the third size are both far off."""
    n = np.repeat([1e6, 1e7, 1e8, 1e9], [6, 6, 6, 1])
    d = np.tile([1e8, 1e9, 1e8, 1e9, 1e8, 1e10], 4)[: len(n)]
    sizes = {"N": np.where(n == 1e9, 1e8, n), "D": np.where(np.arange(len(n)) % 6 == 5, 1e9, d)}
    sizes["D"][[3, 9]] = 1e10
    losses = published_law("besiroglu").loss(**sizes) * np.exp(0.001 * np.sin(np.arange(len(n)) ** 2))
    losses[[3, 9]] *= [1.5, 0.6]
    csv.write_csv(pa.table(sizes | {"loss": losses}), tmp_path / "runs.csv")
    text = shell(capsys, "fit", str(tmp_path / "runs.csv"), "--size", "N=N", "--size", "D=D", "--bootstrap", "0",
                 "--starts", "200")  # fmt: skip
    assert "far from the law" in text and "without" not in text.splitlines()[0]


def test_optima_of_a_published_law_are_printed_without_intervals(capsys):
    text = shell(capsys, "optimal", "5.76e23", "--law", "hoffmann-tex")
    assert "58.9" in text and "1.9184" in text and "no interval" in text
    text = shell(capsys, "optimal", "--loss", "2.0,2.1", "--inference-tokens", "1e12")
    assert len(text.splitlines()) >= 6


def test_the_step_law_and_its_range(capsys):
    text = shell(capsys, "step", "7e9", "1.4e12", "--json")
    assert "0.0009166" in text and "outside of the fitted range: tokens" in text
    assert json.loads(text.splitlines()[-1])["batch_tokens"] == pytest.approx(5.0e6, rel=1e-3)
    assert "inside the range" in shell(capsys, "step", "5e8", "2e10")


def test_an_efficient_size_needs_an_anchor_and_says_what_is_reconstructed(capsys):
    text = shell(capsys, "efficient")
    assert "0.44" in text and "0.72" in text and "reconstruction" in text and "no size without an anchor" in text
    text = shell(capsys, "efficient", "1e12", "--anchor-tokens", "1e11", "--anchor-parameters", "5e9", "--json")
    size = json.loads(text.splitlines()[-1])["size"]
    assert (size["low"], size["high"]) == pytest.approx((5e9 * 10**0.44, 5e9 * 10**0.72))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("optimal",), "flops, --loss: one of the two"),
        (("optimal", "1e20", "--loss", "2"), "flops, --loss: one of the two"),
        (("optimal", "1e20,x"), "flops: numbers separated by commas, got '1e20,x'"),
        (("optimal", "0"), "flops: finite and above 0, got 0"),
        (("optimal", "1e20", "--inference-tokens", "5"), "inference_tokens: only with --loss"),
        (("optimal", "--loss", "1.5"), "loss: above the entropy of the law, 1.8172 nats, got 1.5"),
        (("optimal", "1e20", "--law", "nobody"), "law: hoffmann, hoffmann-tex, besiroglu, or a file"),
        (("optimal", "1e20", "--state", "3"), "state: only for a law with the size S"),
        (("step", "0", "1e9"), "parameters: finite and above 0"),
        (("efficient", "1e9"), "all three for a size"),
        (("efficient", "--beta", "1.5"), "beta: between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, says):
    assert says in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--size", "N=Size", "--size", "D=Tokens"),
            "table: no column 'Size'; there are Model Size, Training FLOP, loss",
        ),
        (("--size", "N"), "size: NAME=COLUMN as N=parameters, got 'N'"),
        ((*FIT, "--drop-highest", "56"), "5 constants (E, A, alpha, B, beta) need as many runs, got 4"),
        ((*FIT, "--loss", "ppl"), "table: no column 'ppl'"),
        ((*FIT, "--check", "hoffmann-tex"), "law: constants at a minimum, got some from which a descent lowers"),
        ((*FIT, "--bootstrap", "2", "--resample", "no"), "resample: runs or residuals, got 'no'"),
    ],
)
def test_bad_tables_are_one_line(capsys, table, options, says):
    assert says in refused(capsys, "fit", str(table), *options)


@pytest.mark.parametrize(("column", "value"), [("Model Size", -1.0), ("loss", 0.0)])
def test_sizes_and_losses_that_are_not_above_zero_are_one_line(capsys, table, tmp_path, column, value):
    rows = csv.read_csv(table).to_pylist()
    rows[3][column] = value
    csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "bad.csv")
    assert f"above 0, {'in nats per token, ' if column == 'loss' else ''}got {value:g}" in refused(
        capsys, "fit", str(tmp_path / "bad.csv"), *FIT
    )
