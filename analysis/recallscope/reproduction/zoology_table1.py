"""Zoology (arXiv 2312.04927), Table 1: gaps to attention, their share on AR hits, and what does not follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from recallscope.audit import audit
from recallscope.look import family
from recallscope.reproduction.statements import Row, Spread, spread, statement

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, SHARE, TOKENS = "zoology_table1", "share of gap", "token share"


def zoology_table1_rows(published: pa.Table, own: pa.Table) -> list[Row]:
    """Gaps by slice in nats, shares of the gap and of the tokens: printed, as the audit recomputes them, and our own.

    `published` is `zoology_table1`, `own` the rows of `bigram_slices.jsonl`. A gap is the logarithm of a ratio of
    printed perplexities, with their rounding; `row` names the model and its scale.
    """
    printed = published.to_pylist()
    shares = [row for row in printed if row["metric"] == SHARE and row["value"] is not None]
    names = {"share of the gap": SHARE, "AR share of tokens": TOKENS}
    audited = [row | {"metric": names[row["metric"]]} for row in audit(TABLE).to_pylist() if row["metric"] in names]
    stated = [row for row in printed if row["metric"] == TOKENS and row["slice"] == "AR"]
    trained = [row | {"row": f"{row['subject']}, trained here"} for row in own.to_pylist()
               if row["metric"] in (SHARE, "gap") and row["slice"] in ("AR", "other")]  # fmt: skip
    return [*_gaps(printed), *stated, *shares, *audited, *trained]


def _gaps(printed: list[Row]) -> Iterable[Row]:
    cells = {(r["subject"], r["scale"], r["slice"]): r for r in printed if r["metric"] == "perplexity"}
    for (_, scale, part), row in cells.items():
        reference = cells[row["reference"], scale, part]
        if part in ("AR", "other") and row is not reference:
            kept = {name: row[name] for name in ("subject", "source", "trust", "flag", "scale", "slice", "row")}
            low, high = math.log(row["low"] / reference["high"]), math.log(row["high"] / reference["low"])
            value = math.log(row["value"] / reference["value"])
            yield kept | {"metric": "gap", "unit": "nats", "kind": "derived", "value": value, "low": low, "high": high}


def zoology_table1_statements(rows: list[Row]) -> list[Row]:
    """Whether own gaps are recall, gated convolutions first; what the audit says of the table and of the abstract."""
    claim = next(row for row in audit("zoology_claims").to_pylist() if row["metric"] == "claim: mean share of gap")
    own = [row for row in rows if row["metric"] == SHARE and row["kind"] == "measured"]
    own.sort(key=lambda row: family(row["subject"]) != "convolution")
    found = [_mostly(row, claim) for row in own] + [_per_token(rows, row["row"]) for row in own]
    shares = [row for row in rows if row["metric"] == SHARE and row.get("verdict")]
    right = 100 * sum(row["verdict"] == "agrees" for row in shares) / len(shares)
    found.append(statement("printed shares of the gap that follow from their own row", Spread(right), right == 100,
                           "all of them", unit="%", n=len(shares), basis="print"))  # fmt: skip
    for row in audit(TABLE).to_pylist():
        if row["metric"] == "stated share of tokens" and row["against"] < 50:
            found.append(_audited("AR hits, share of all tokens", row))
    return [*found, _audited("mean of the printed shares, as in the abstract", claim)]


def _mostly(row: Row, claim: Row) -> Row:
    return statement(
        f"share of the gap on AR hits, {row['row']}", spread(row),
        row["low"] is not None and row["low"] > 50, "most of the gap: its interval is above 50 %",
        published=Spread(claim["against"], claim["against_low"], claim["against_high"]), unit="%",
    )  # fmt: skip


def _per_token(rows: list[Row], name: str) -> Row:
    """The gap on an AR hit less that on another token; in print the mean over all rows of the table."""
    gaps: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["metric"] == "gap":
            gaps.setdefault(row["row"], {})[row["slice"]] = row
    lead = {row: pair["AR"]["value"] - pair["other"]["value"] for row, pair in gaps.items()}
    printed = [lead[row] for row, pair in gaps.items() if pair["AR"]["kind"] == "derived"]
    hit, other = gaps[name]["AR"], gaps[name]["other"]
    return statement(
        f"gap per token on AR hits less that on others, {name}", Spread(lead[name]), hit["low"] > other["high"],
        "the interval on AR hits is above that on others", published=Spread(sum(printed) / len(printed)), unit="nats",
    )  # fmt: skip


def _audited(what: str, row: dict[str, Any]) -> Row:
    holds = {"agrees": True, "disagrees": False}.get(row["verdict"])
    rule = "equal within rounding" + (f" ({row['note']})" if row["note"] else "")
    return statement(
        what, spread(row), holds, rule,
        published=Spread(row["against"], row["against_low"], row["against_high"]), unit=row["unit"], basis="print",
    )  # fmt: skip
