"""Runs from files and evidence, and fits as rows and back."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from recallscope.evidence import evidence, read_evidence, write_evidence
from recallscope.scaling import fit_loss_law, fit_rows, law_and_rows, published_law, read_runs, runs_of
from recallscope.scaling.runs import without_highest
from scaling.synthetic import THREE, scattered

ROWS = [
    {"parameters": 10.0**k, "tokens": 10.0 ** (k + 1), "run loss": 4.0 - k / 10, "text": f"t{k % 2}"} for k in range(6)
]
SIZES = {"N": "parameters", "D": "tokens"}


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl"])
def test_every_kind_of_file_gives_the_same_runs(tmp_path, kind):
    path, table = tmp_path / f"runs.{kind}", pa.Table.from_pylist(ROWS)
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif kind == "parquet":
        parquet.write_table(table, path)
    else:
        csv.write_csv(table, path, csv.WriteOptions(delimiter="\t" if kind == "tsv" else ","))
    runs = runs_of(read_runs(path), SIZES, loss="run loss")
    assert runs.losses.tolist() == [row["run loss"] for row in ROWS]
    assert {name: column.tolist() for name, column in runs.sizes.items()} == {
        "N": [row["parameters"] for row in ROWS], "D": [row["tokens"] for row in ROWS]
    }  # fmt: skip


def test_tokens_from_training_flops_and_rows_by_condition():
    rows = [row | {"flops": 6 * row["parameters"] * row["tokens"]} for row in ROWS]
    runs = runs_of(rows, {"N": "parameters"}, loss="run loss", flops="flops", where=["text=t1"])
    np.testing.assert_allclose(runs.sizes["D"], [row["tokens"] for row in ROWS if row["text"] == "t1"])


def test_rows_of_evidence_are_those_of_the_metric():
    common = {"subject": "m", "unit": "nats", "kind": "measured", "parameters": 5.0}
    rows = [common | {"metric": "loss AR", "value": 1.5}, common | {"metric": "loss other", "value": 2.5}]
    runs = runs_of(evidence(rows).to_pylist(), {"N": "parameters"}, loss="loss other")
    assert runs.losses.tolist() == [2.5]
    with pytest.raises(ValueError, match="loss: one of the metrics loss AR, loss other, got 'loss'"):
        runs_of(rows, {"N": "parameters"})


def test_the_highest_losses_are_left_out_in_the_order_of_the_table():
    runs = runs_of(ROWS, SIZES, loss="run loss")
    assert without_highest(runs, 2).losses.tolist() == [3.8, 3.7, 3.6, 3.5]
    assert without_highest(runs, 2).sizes["N"].tolist() == [1e2, 1e3, 1e4, 1e5]
    with pytest.raises(ValueError, match="drop_highest: from 0 to 5 of the runs, got 6"):
        without_highest(runs, 6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: runs_of(ROWS, {"N": "size"}), "table: no column 'size'; there are parameters, tokens, run loss, text"),
        (lambda: runs_of(ROWS, SIZES), "table: no column 'loss'"),
        (lambda: runs_of([], SIZES), "table: rows of runs, got none"),
        (lambda: runs_of(ROWS, {"N": "text"}, loss="run loss"), "a number for 'text' in every row, got 't0' in row 1"),
        (lambda: runs_of([*ROWS, {"tokens": 1}], SIZES, loss="run loss"), "got nothing in row 7"),
        (lambda: runs_of(ROWS, {"D": "tokens"}, loss="run loss", flops="tokens"), "a column for N is needed"),
    ],
)
def test_bad_tables_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"a .csv, .tsv, .parquet or .jsonl file, got .*runs.txt"):
        read_runs(tmp_path / "runs.txt")
    for name in ("none.csv", "none.parquet", "none.jsonl"):
        with pytest.raises(ValueError, match=f"table: .*{name} cannot be read"):
            read_runs(tmp_path / name)
    for text, match in (('{"a": 1}\n{', "line 2 is not JSON"), ("[1]\n", "line 1 is not an object")):
        (tmp_path / "bad.jsonl").write_text(text)
        with pytest.raises(ValueError, match=match):
            read_runs(tmp_path / "bad.jsonl")


def test_a_fit_goes_to_evidence_and_back_with_its_bootstrap(tmp_path):
    sizes, losses = scattered(THREE, 40, 0.003)
    found = fit_loss_law(sizes, losses, starts=30, bootstrap=5)
    rows = fit_rows(found, "ours", resamples=True)
    write_evidence(rows, tmp_path / "fit.jsonl")
    law, drawn = law_and_rows(tmp_path / "fit.jsonl")
    assert law == found.law and np.array_equal(drawn, found.rows)
    own = [row for row in read_evidence(tmp_path / "fit.jsonl").to_pylist() if row["resample"] is None]
    assert [row["metric"] for row in own] == ["E", "A", "alpha", "B", "beta", "C", "sigma"]
    assert all(row["low"] <= row["high"] and row["n"] == 40 and row["kind"] == "derived" for row in own)
    assert len(fit_rows(found, "ours")) == 7


def test_laws_by_name_have_no_rows_and_other_files_are_refused(tmp_path):
    law, drawn = law_and_rows("hoffmann")
    assert law == published_law("hoffmann") and drawn.shape == (0, 5)
    with pytest.raises(ValueError, match=r"law: hoffmann, .* or a file .*, got 'kaplan'"):
        law_and_rows("kaplan")
    row = {"subject": "m", "metric": "E", "value": 1.0, "unit": "1", "kind": "derived", "source": "s"}
    for rows in ([row], [row | {"terms": "N,D"}], [row | {"terms": "N", "metric": "loss"}]):
        write_evidence(evidence(rows), tmp_path / "other.jsonl")
        with pytest.raises(ValueError, match="does not hold the constants of one fit"):
            law_and_rows(tmp_path / "other.jsonl")
