"""All checks over published tables or a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recallscope.audit.averages import averages, repeats, speeds
from recallscope.audit.claims import claims
from recallscope.audit.findings import Row
from recallscope.audit.gaps import gap_shares
from recallscope.audit.own import read_table
from recallscope.audit.perplexities import evaluation_shares, losses, row_shares, stated_shares
from recallscope.audit.scaling import exponents
from recallscope.audit.states import features, states
from recallscope.published.tables import published_names, published_table

if TYPE_CHECKING:
    import pyarrow as pa

CHECKS: tuple[Callable[[list[Row]], list[Row]], ...] = (
    row_shares, evaluation_shares, stated_shares, losses, gap_shares, averages, speeds, repeats, states, features,
    exponents,
)  # fmt: skip
"""Every check but `claims`: from rows to findings. A check passes over rows that lack what it needs."""


def audit(table: str | Path | None = None) -> pa.Table:
    """What can be recomputed from printed numbers, beside what is printed.

    `table` is the name of a published table, a file of the user's own (`read_table`), or None: all published ones.
    Rounding is carried through: a printed 2.01 is in [2.005, 2.015], and the verdict is `disagrees` only if no numbers
    that round to the printed ones fit. What a table says of itself (`flag`) plays no part.

    Returns rows of evidence of kind `derived`, `metric` being the check: `value`, `low`, `high` recomputed; `against`,
    `against_low`, `against_high`, the printed number or what most rows agree on; `off`, how far the two intervals are
    apart; `verdict` and `note`. `of` is the metric of the cell, `source` where it stands. Claims are recomputed from
    all published tables and the user's own; cells are compared across tables only when all are audited. Raises
    `ValueError` for unknown names, bad files and tables from which nothing can be recomputed.
    """
    from recallscope.evidence import evidence

    rows, pool = _rows(table)
    found = [one for check in CHECKS for one in check(rows)] + claims(rows, pool)
    if not found:
        raise ValueError(f"table: nothing can be recomputed from {table}; see `recallscope audit --help`")
    return evidence(found)


def _rows(table: str | Path | None) -> tuple[list[Row], list[Row]]:
    every = published_table().to_pylist()
    if table is None:
        return every, every
    if str(table) in published_names():
        return [row for row in every if row["table"] == str(table)], every
    if not Path(table).exists():
        raise ValueError(f"table: one of {', '.join(published_names())}, or a .csv or .jsonl file, got {str(table)!r}")
    own = read_table(table)
    return own, own + every
