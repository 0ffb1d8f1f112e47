"""`recallscope train task` and `sweep` from the shell."""

import json

import pytest
from recallscope.architectures.mixers import MIXERS
from recallscope.cli import main
from recallscope.evidence import evidence, read_evidence
from recallscope.training.sweeps.command import format_sweep, planned

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
    source = (
        "recallscope train task attention pooling:width=16 --scale smoke --steps 8 --seeds 2 --rates 0.01,0.03 --json"
    )
    assert {row["source"] for row in json.loads(rows)} == {source}
    assert "pooling:width=16: no layer reads by content, so it will fail at recall" in said
    assert "attention step 8/8" in said


MINE = """
from recallscope.architectures.mixers import MIXERS, GLA
class Mine(GLA):
    pass
MIXERS["mine"] = Mine
"""


def test_a_mixer_of_ones_own_is_trained_and_joins_a_plan(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(MIXERS, "mine", None)  # so that it is taken out again afterwards
    del MIXERS["mine"]
    (tmp_path / "mine.py").write_text(MINE)
    load = ["--load", str(tmp_path / "mine.py")]
    with pytest.raises(SystemExit) as stopped:
        main(["train", "task", "mine:heads=2", *SMALL, *load, "--out", str(tmp_path / "run")])
    assert not stopped.value.code and "mine:heads=2" in capsys.readouterr().out
    assert set(read_evidence(tmp_path / "run" / "rows.jsonl")["mixer"].to_pylist()) == {"mine"}
    (sweep,) = planned("recall-vs-state", only="mine", also=["mine", "gla:heads=1,chunk=32"])
    assert [subject.name for subject in sweep.subjects] == ["mine"]
    (whole,) = planned("recall-vs-state", also=["gla:heads=1,chunk=32"])
    assert whole == planned("recall-vs-state")[0], "what a plan has already does not join twice"


def test_every_sweep_of_a_plan_has_a_table_of_its_own():
    rows = [
        {"subject": "a", "metric": "accuracy", "value": value, "unit": "1", "kind": "measured", "rate": rate, "seed": 0,
         "validation": value, "chance": 0.5, "mixer": "a", "width": 1, "layers": 1, "parameters": 1,
         "state_elements_longest": 1, "can_bind": True, "sweep": sweep}
        for sweep, rate, value in (("one", 0.1, 0.9), ("one", 0.2, 0.1), ("two", 0.1, 0.2), ("two", 0.2, 0.8))
    ]  # fmt: skip
    shown = format_sweep(evidence(rows))
    first, second = shown.split("\n\n")
    assert first.startswith("one\naccuracy") and "0.900" in first and "     0.1 " in first
    assert second.startswith("two\naccuracy") and "0.800" in second and "     0.2 " in second


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["train", "task", "attention", "--load", "nope.py"], "load: a Python file, got 'nope.py'"),
        (["train", "task", "attention", "--load", __file__], "adds a mixer"),
        (["sweep", "recall-vs-state", "--also", "nope"], "mixer: one of attention"),
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
