"""Capacity of memory rules beside the information limit, for the command line and for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from recallscope.bounds.capacity.curves import capacity_curve
from recallscope.bounds.capacity.memory import RULES, Memory
from recallscope.bounds.information.fano import accuracy_limit


def named_rule(name: str) -> str:
    """A rule of `RULES`; in the shell a hyphen may stand for the blank (`least-squares`, `n-gram-table`)."""
    found = {rule.replace(" ", "-"): rule for rule in RULES}.get(name.replace(" ", "-"))
    if found is None:
        raise ValueError(f"rules: some of {', '.join(rule.replace(' ', '-') for rule in RULES)}, got {name!r}")
    return found


def capacity_rows(memories: Sequence[Memory], pairs: Sequence[int], trials: int = 0, seed: int = 0) -> pa.Table:
    """Rows of `capacity_curve` for each memory, with three columns more.

    `state_bits` (state_elements × bits), `bit_efficiency` (recalled_bits / state_bits) and `accuracy_limit`, the best
    that anything could do in these bits if the values are independent.
    """
    tables = [capacity_curve(memory, pairs, trials, seed) for memory in memories]
    rows = []
    for row in pa.concat_tables(tables, promote_options="permissive").to_pylist():
        bits = row["state_elements"] * row["bits"]
        limit = float(accuracy_limit(bits, row["pairs"], row["vocabulary"]))
        rows.append(row | {"state_bits": bits, "bit_efficiency": row["recalled_bits"] / bits, "accuracy_limit": limit})
    return pa.Table.from_pylist(rows)


def format_capacity(table: pa.Table) -> str:
    """Aligned text: a line for each rule and number of pairs."""
    rows = table.to_pylist()
    simulated = {(row["rule"], row["pairs"]): row for row in rows if row["kind"] == "measured"}
    lines = [["rule", "pairs", "predicted", "simulated", "limit", "state bits", "recalled bits", "bit efficiency"]]
    for row in rows:
        if row["kind"] == "derived":
            lines.append(_line(row, simulated.get((row["rule"], row["pairs"]))))
    if not simulated:
        lines = [line[:3] + line[4:] for line in lines]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def _line(row: dict[str, Any], simulated: dict[str, Any] | None) -> list[str]:
    interval = f"{simulated['value']:.3f} [{simulated['low']:.3f}, {simulated['high']:.3f}]" if simulated else ""
    return [
        row["rule"], f"{row['pairs']:,}", f"{row['value']:.3f}", interval, f"{row['accuracy_limit']:.3f}",
        f"{row['state_bits']:,}", f"{row['recalled_bits']:,.1f}", f"{row['bit_efficiency']:.3%}",
    ]  # fmt: skip
