"""No check that cannot fail: a value that is moved, in any table or claim, is reported."""

from __future__ import annotations

from typing import Any

import pytest
from recallscope.audit.averages import averages, repeats, speeds
from recallscope.audit.claims import CLAIMS, claims
from recallscope.audit.gaps import gap_shares
from recallscope.audit.perplexities import evaluation_shares, losses, row_shares, stated_shares
from recallscope.audit.scaling import exponents
from recallscope.audit.states import features, states
from recallscope.published import matching, published_table

Row = dict[str, Any]

ALL = published_table().to_pylist()


def table(name: str) -> list[Row]:
    return [dict(row) for row in ALL if row["table"] == name]


def poisoned(rows: list[Row], where: str, by: float) -> list[Row]:
    """The rows with one cell (its interval too) moved."""
    (wrong,) = matching(rows, where)
    moved = {name: wrong[name] + by for name in ("value", "low", "high") if wrong[name] is not None}
    return [row | moved if row is wrong else row for row in rows]


def off(findings: list[Row]) -> set[tuple[str, str]]:
    return {(row["metric"], row["row"]) for row in findings if row["verdict"] == "disagrees"}


POISON = [  # check, table, cell, by how much, the finding that must be reported
    (row_shares, "zoology_table1", "row=H3 125M; metric=perplexity; slice=AR", 0.9, "H3 125M"),
    (
        row_shares,
        "based_table6",
        "row=5: Taylor2 32 (561), window 64, convolutions yes, decay yes; slice=all",
        0.05,
        None,
    ),
    (losses, "zoology_table1", "row=RWKV 355M; metric=loss; slice=other", 0.02, "RWKV 355M"),
    (gap_shares, "zoology_table1", "row=Long Conv 355M; metric=share of gap", -2.0, "Long Conv 355M"),
    (gap_shares, "zoology_table1", "row=RWKV 125M; metric=share of gap", -1.0, "RWKV 125M"),
    (averages, "jrt_table2", "row=Based 1.3B/50B; metric=average accuracy", 0.2, "Based 1.3B/50B"),
    (averages, "jrt_table2", "row=Based 1.3B/50B; task=FDA; length=512", 3.0, "Based 1.3B/50B"),
    (speeds, "based_table1", "row=Mamba 1.32b/50b; phase=prefill", 0.02, "Mamba 1.32b/50b"),
    (
        features,
        "based_table6",
        "row=8: Taylor2 16 (153), window 64, convolutions yes, decay no; metric=features",
        1,
        None,
    ),
]


@pytest.mark.parametrize("check, name, where, by, row", POISON)
def test_a_poisoned_cell_is_reported(check: Any, name: str, where: str, by: float, row: str | None):
    rows = table(name)
    new = off(check(poisoned(rows, where, by))) - off(check(rows))
    (wrong,) = matching(rows, where)
    assert [one for _, one in new] == [row or wrong["row"]]


def test_poisoned_headers_states_repeats_and_evaluations():
    rows = table("zoology_table1")
    found = stated_shares(poisoned(rows, "metric=token share; slice=AR", 0.62))
    assert [row["verdict"] for row in found] == ["agrees", "disagrees"]  # 7.02 would be right
    rows = table("based_figure2")
    (point,) = matching(rows, "subject=Based; width=64; key_width=8")
    assert off(states(rows)) == set()
    for name, value in (("state_bytes", point["state_bytes"] * 1.03), ("t", 2048), ("bytes_per_element", 2)):
        attention = "subject=Attention; width=64" if name == "t" else "subject=Based; width=64; key_width=8"
        (one,) = matching(rows, attention)
        assert len([row for row in states([one | {name: value}]) if row["verdict"] == "disagrees"]) == 1
    both = table("zoology_table1") + table("zoology_table2")
    assert len(repeats(both)) == 3 and off(repeats(both)) == set()
    moved = poisoned(both, "table=zoology_table2; subject=Attention; slice=AR", 0.02)
    assert off(repeats(moved)) == {("printed twice", "Attention 355M")}
    rows = table("chinchilla_fits")
    assert [row["verdict"] for row in exponents(rows)] == ["agrees"] * 6
    (one,) = off(exponents(poisoned(rows, "row=Hoffmann et al., approach 2; metric=b", 0.03)))
    assert one == ("exponents add up", "Hoffmann et al., approach 2")
    rows = [row for row in table("based_table1") if row["row"] != "GLA 362m/10b"]
    same = [
        row | {"training_tokens": 1 if row["training_tokens"] == 5e10 else 2}
        for row in rows
        if row["training_tokens"] > 1e10
    ]
    assert off(evaluation_shares(same)) == set() and len(evaluation_shares(same)) == 1
    assert len(off(evaluation_shares(rows))) == 2


@pytest.mark.parametrize(
    "row", [row for row in ALL if row.get("claim") in CLAIMS], ids=lambda row: f"{row['subject']}, {row['metric']}"
)
def test_every_claim_can_fail(row: Row):
    (found,) = claims([row], ALL)
    if row["claim"] == "below":
        wrong = row | {"of": row["to"], "to": row["of"]}
    else:
        middle, width = found["value"], found["high"] - found["low"] + row["high"] - row["low"]
        wrong = row | {"value": middle + width, "low": middle + width, "high": middle + width}
    assert claims([wrong | {"assumes": None}], ALL)[0]["verdict"] == "disagrees"
    assert claims([wrong | {"assumes": "something"}], ALL)[0]["verdict"] in ("open", "disagrees")


def test_a_share_outside_0_to_100_needs_no_other_row():
    rows = [row for row in table("zoology_table1") if row["row"] == "H3 125M"]
    assert [row["verdict"] for row in row_shares(rows)] == ["computed"]
    for by in (2.0, -6.0):  # all worse than both slices, or better than both
        (found,) = row_shares(poisoned(rows, "metric=perplexity; slice=all", by))
        assert found["verdict"] == "disagrees" and found["note"] == "not a share"
    two = [row for row in table("zoology_table1") if row["row"] in ("H3 125M", "Hyena 125M")]
    assert {row["note"] for row in row_shares(two)} == {"no two rows agree"}
