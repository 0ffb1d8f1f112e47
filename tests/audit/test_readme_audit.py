"""What the README says of published tables is what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

from recallscope.audit import audit, format_audit
from recallscope.published import published_table

SECTION = (Path(__file__).parents[2] / "README.md").read_text().split("## Published numbers, and whether they fit")[1]
SECTION = SECTION.split("\n## ")[0]


def test_the_readmes_audit_is_what_is_printed():
    blocks = re.findall(r"```\n(.*?)\n```", SECTION, re.S)
    assert format_audit(audit("zoology_table1").to_pylist()) in blocks


def test_the_readmes_counts():
    rows = audit().to_pylist()
    count = {name: sum(row["verdict"] == name for row in rows) for name in ("agrees", "disagrees", "open", "computed")}
    said = " ".join(SECTION.split())
    assert f"{published_table().num_rows:,} cells as they are printed" in said
    assert f"{count['agrees']} numbers agree, {count['disagrees']} do not, {count['open']} are open" in said
    assert f"and {count['computed']} shares of a gap are new" in said
    new = [row for row in rows if row["verdict"] == "computed"]
    based = [row["value"] for row in new if row["subject"] == "Based" and row["table"] == "based_table1"]
    assert {row["metric"] for row in new} == {"share of the gap"}
    assert f"Based's gap to attention {min(based):.0f} % to {max(based):.0f} % is recall" in said


def test_the_readmes_python():
    assert published_table("based_table1", where=["scale=1.3B", "slice=AR"]).num_rows == 6
