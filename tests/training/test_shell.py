"""`recallscope train task` and `sweep` from the shell."""

import json

import pytest
from recallscope.cli import main
from recallscope.evidence import read_evidence

SMALL = ["--scale", "smoke", "--steps", "8", "--seeds", "2", "--rates", "0.01,0.03"]


def test_a_task_is_trained_and_its_table_printed(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "task", "attention", "pooling:width=16", *SMALL, "--out", str(tmp_path / "run"), "--json"])
    assert not stopped.value.code
    shown, said = capsys.readouterr()
    *table, rows = shown.strip().splitlines()
    assert table[0].startswith("accuracy") and table[1].startswith("attention") and "chance: 0.250" in table
    assert json.loads(rows) == read_evidence(tmp_path / "run" / "rows.jsonl").to_pylist()
    assert {(row["subject"], row["seed"], row["rate"]) for row in json.loads(rows)} == {
        (name, seed, rate) for name in ("attention", "pooling:width=16") for seed in (0, 1) for rate in (0.01, 0.03)
    }
    assert {row["source"][:40] for row in json.loads(rows)} == {"recallscope train task attention pooling"}
    assert "pooling:width=16: no layer reads by content, so it will fail at recall" in said
    assert "attention step 8/8" in said


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["train", "task", "nope"], "mixer: one of attention"),
        (["train", "task", "attention", "--task", "nope"], "task: one of mqar"),
        (["train", "task", "attention", "--scale", "huge"], "scale: one of smoke, small, paper"),
        (["train", "task", "attention", "--set", "pairs=1000"], "pairs: 1 to"),
        (["train", "task", "attention", "--set", "pairs"], "set: NAME=VALUE"),
        (["train", "task", "attention", "--rates", "fast"], "rates: numbers"),
        (["train", "task", "attention", "--batch", "0"], "batch: at least 1"),
        (["sweep", "nope"], "plan: one of recall-vs-state"),
        (["sweep", "recall-vs-state", "--only", "nope"], "only: a part of the name"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, match, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--out", str(tmp_path / "run")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert match in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
