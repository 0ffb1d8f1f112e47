"""A user's own table: the same checks, CSV or JSON Lines, and one clear line for what cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from recallscope.audit import audit, format_audit, read_table
from recallscope.cli import main

HEAD = "subject,metric,slice,reference,value"
W = 0.08  # of the tokens are AR hits


def csv_of(share: str = "60.0", spoiled: str = "") -> str:
    """Two models whose losses are made from one share of tokens, printed with three decimals."""
    lines = [HEAD]
    for name, hits, other in (("mine", 0.9, 2.5), ("theirs", 1.4, 2.55)):
        every = W * hits + (1 - W) * other
        for part, loss in (("all", every), ("AR", hits), ("other", other)):
            lines.append(f"{name},perplexity,{part},theirs,{math.exp(loss):.3f}")
            lines.append(f"{name},loss,{part},theirs,{spoiled or f'{loss:.3f}'}")
    gap = W * (0.9 - 1.4) / (W * (0.9 - 1.4) + (1 - W) * (2.5 - 2.55))
    return "\n".join([*lines, f"mine,share of gap,AR,theirs,{share or f'{100 * gap:.1f}'}"])


def verdicts(path: Path) -> list[tuple[str, str, str]]:
    return [(row["metric"], row["row"], row["verdict"]) for row in audit(path).to_pylist()]


def test_a_consistent_table_agrees_and_a_poisoned_one_does_not(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(csv_of(share=""))
    found = verdicts(path)
    assert len(found) == 9 and {verdict for _, _, verdict in found} == {"agrees"}
    rows = audit(path).to_pylist()
    assert rows[0]["value"] == pytest.approx(100 * W, abs=0.05) and rows[0]["low"] < 100 * W < rows[0]["high"]
    path.write_text(csv_of(share="60.0"))
    assert [one for one in verdicts(path) if one[2] == "disagrees"] == [("share of the gap", "mine", "disagrees")]
    path.write_text(csv_of(share="", spoiled="2.000"))
    assert sum(verdict == "disagrees" for _, _, verdict in verdicts(path)) == 6


def test_json_lines_keep_the_decimals_that_are_written(tmp_path: Path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"subject": "a", "metric": "accuracy", "value": 2.50, "training_tokens": 1e10, "decay": true}\n\n')
    (row,) = read_table(path)
    assert (row["low"], row["value"], row["high"]) == (2.495, 2.5, 2.505)
    assert (
        row["training_tokens"] == 10**10 and row["decay"] is True and row["table"] == "own" and row["row"] == "a 1e10"
    )
    path.write_text(
        '{"subject": "a", "metric": "x", "value": 5, "low": 1, "high": 9}\n'
        '{"subject": "b", "metric": "x", "value": null}'
    )
    rows = read_table(path)
    assert (rows[0]["low"], rows[0]["high"]) == (1, 9) and rows[1]["value"] is None


def test_own_states_averages_and_claims(tmp_path: Path):
    rows = [
        {"subject": "me", "metric": "accuracy", "value": "80.0", "task": "SWDE"},
        {"subject": "me", "metric": "accuracy", "value": "70.0", "task": "FDA"},
        {"subject": "me", "metric": "average accuracy", "value": "75.0"},
        {"subject": "me", "metric": "size", "value": 1, "state_bytes": 524288,
         "architecture": "attention:width=64,heads=1", "t": 1024},
        {"subject": "me", "metric": "lead", "value": "11.8", "claim": "difference",
         "of": "table=own; metric=average accuracy", "to": "table=based_table1; row=Based 1.3b/50b; task=SWDE"},
    ]  # fmt: skip
    path = tmp_path / "own.jsonl"
    write = lambda: path.write_text("\n".join(map(json.dumps, rows)))  # noqa: E731
    write()
    assert {one[0]: one[2] for one in verdicts(path)} == {
        "average": "agrees",
        "state bytes": "agrees",
        "claim: lead": "open",
    }
    rows[4]["to"] = "table=based_table1; row=Based 1.35b/50b; task=SWDE"  # 64.45
    write()
    assert verdicts(path)[-1] == ("claim: lead", "me", "disagrees")  # 10.55
    rows[4]["value"], rows[3]["state_bytes"] = "10.6", 524284
    write()
    assert {one[0]: one[2] for one in verdicts(path)} == {
        "average": "agrees",
        "state bytes": "disagrees",
        "claim: lead": "agrees",
    }
    for wrong, message in (
        ({"claim": "quotient"}, "claim: one of mean, difference, .*, got 'quotient'"),
        ({"to": ""}, "claim: 'difference' needs of, to, got of"),
        ({"of": "nothing=1"}, "where: a column, one of .*, got 'nothing'"),
        ({"of": "nothing"}, "where: column=value, .*, got 'nothing'"),
        ({"claim": "mean difference", "pair": "unit"}, "pair: columns in which cells of `of` and `to` agree, got unit"),
    ):
        path.write_text("\n".join(map(json.dumps, [*rows[:4], rows[4] | wrong])))
        with pytest.raises(ValueError, match=message):
            audit(path)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("own.txt", "", "table: a published name, or a file that ends in .csv or .jsonl, got "),
        ("own.csv", "", "own.csv has no rows"),
        ("own.csv", "subject,value\na,1", "line 2: subject, metric, value are needed, metric missing"),
        ("own.csv", f"{HEAD}\na,loss,all", "line 2: 5 cells, as in the header"),
        ("own.csv", f"{HEAD}\na,loss,all,b,1,2", "line 2: 5 cells, as in the header"),
        ("own.csv", f"{HEAD}\na,loss,all,b,82%", "line 2: value is a number, got '82%'"),
        ("own.csv", f"{HEAD}\na,loss,all,b,nan", "line 2: value is a finite number or empty, got 'nan'"),
        ("own.csv", f"{HEAD}\na,loss,all,b,1e999", "line 2: value is a finite number or empty, got '1e999'"),
        ("own.csv", f"{HEAD}\na,perplexity,all,b,0", "line 2: a perplexity is above 0, got 0"),
        ("own.csv", f"{HEAD}\n,loss,all,b,1", "line 2: subject and metric in words, got '' and 'loss'"),
        ("own.csv", "subject,metric,value,low,high\na,loss,1,2,3", "both sides of the value, got 2.0 to 3.0 for 1.0"),
        ("own.csv", f"{HEAD}\na,accuracy,all,b,1", "table: nothing can be recomputed from "),
        ("own.jsonl", "{", "own.jsonl, line 1 is not JSON"),
        ("own.jsonl", "[1]", "line 1: an object with subject, metric, value, got [1]"),
        ("own.jsonl", '{"subject": "a", "metric": "b", "value": [1]}', "line 1: value is a number, a text, true"),
    ],
)  # fmt: skip
def test_bad_files_are_one_line(name: str, text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["audit", str(path)])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and message in line, line


def test_unreadable_files(tmp_path: Path):
    (tmp_path / "own.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "own.csv"):
        with pytest.raises(ValueError, match=r"table: .* cannot be read"):
            audit(path)


def shell(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_shell(tmp_path: Path, capsys: pytest.CaptureFixture):
    text, rows = shell(capsys, "audit", "zoology_table1", "--json").rstrip().rsplit("\n", 1)
    assert json.loads(rows) == audit("zoology_table1").to_pylist()
    assert "Hyena 355M" in text and "-24.3" in text and "RWKV 355M  " not in text
    assert text.startswith("5 disagrees, 45 agrees\n")
    everything = shell(capsys, "audit", "zoology_table1", "--all")
    assert "printed capped at 100" in everything and everything.count("\n") > 50
    path = tmp_path / "own.csv"
    path.write_text(csv_of())
    assert "share of the gap" in shell(capsys, "audit", str(path))


def test_text_shows_undecided_numbers():
    text = format_audit(audit("based_claims").to_pylist())
    assert "the table of v1 is not here" in text and "assumes Table 1" in text
