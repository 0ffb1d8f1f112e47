"""Conditions, text and the command: how published rows are chosen and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recallscope.cli import main
from recallscope.published import format_list, format_rows, matching, published_names, published_table
from recallscope.published.format import printed

Row = dict[str, Any]

ALL = published_table().to_pylist()


def rows(name: str, *where: str) -> list[Row]:
    return matching([row for row in ALL if row["table"] == name], where)


def test_conditions():
    data = [{"a": 1, "b": "x y", "c": True}, {"a": 2.5, "b": None, "c": False}, {"a": 10**10, "b": "z", "d": 1}]
    pick = lambda *where: [row["a"] for row in matching(data, where)]  # noqa: E731
    assert pick("a=1.0") == [1] and pick("a=1e10") == [10**10] and pick("a!=1") == [2.5, 10**10]
    assert pick("b=x y|z") == [1, 10**10] and pick("b=null") == [2.5] and pick("c=true", "a=1") == [1]
    assert pick("a=1|2.5; b!=null") == [1] and pick() == [1, 2.5, 10**10] and pick("b != z") == [1, 2.5]
    for wrong, message in (
        ("a", "where: column=value"),
        ("=1", "where: column=value"),
        ("e=1", "where: a column, one of a, b, c, d, got 'e'"),
    ):
        with pytest.raises(ValueError, match=message):
            matching(data, wrong)


def test_printed_numbers_keep_their_decimals():
    kept = {"jrt_table2": "43.0", "jrt_table5_length": "96.0", "zoology_table1": "5.00", "jrt_table7": "1,999.9"}
    for name, text in kept.items():
        assert text in {printed(row) for row in rows(name)}
    assert {printed(row) for row in rows("jrt_table5_length", "flag=out of memory")} == {"-"}


def test_text_shows_every_cell_and_every_flag():
    text = format_rows(rows("based_table1", "training_tokens=1e10; slice=AR"))
    assert text.count("\n") > 9 and "[1] the row implies an AR share" in text and "corpus Pile test" in text
    assert format_rows([]) == "no rows"
    assert len(format_list(published_table().to_pylist()).splitlines()) == 1 + len(published_names())


def shell(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out = capsys.readouterr()
    return int(stop.value.code or 0), out.out, out.err


def test_shell(capsys: pytest.CaptureFixture):
    code, out, _ = shell(capsys, "published")
    assert code == 0 and all(name in out for name in published_names())
    code, out, _ = shell(
        capsys, "published", "jrt_table5_batch", "--where", "batch=64", "--where", "subject!=Based PyTorch", "--json"
    )
    assert code == 0 and len(json.loads(out.splitlines()[-1])) == 7 and "108.2" in out
    for arguments, message in (
        (["nope"], "names: some of based_checkpoints, "),
        (["jrt_table5_batch", "--where", "size=1"], "where: a column, one of subject, metric, "),
        (["--where", "batch"], "where: column=value, column=one|another or column!=value, got 'batch'"),
    ):
        code, _, error = shell(capsys, "published", *arguments)
        assert code == 2 and len(error.strip().splitlines()) == 1 and message in error
