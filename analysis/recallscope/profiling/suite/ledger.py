"""Rows of evidence that are written as they come, and found again when a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope.evidence import evidence, origin, write_evidence
from recallscope.profiling.rows import setting_columns

if TYPE_CHECKING:
    from recallscope_kernels.profiling import Setting
    from recallscope_kernels.profiling.device import Device

RETRIED = "not installed"  # of a cell that is empty for that reason: someone may have installed it since


@dataclass
class Ledger:
    """The rows of one file, in memory and on disk, one for each cell and metric."""

    path: Path
    rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        """Add rows, in the place of older ones of the same cell and metric; the file is whole at every moment."""
        self.rows |= {_cell(row, row["metric"]): row for row in table.to_pylist()}
        write_evidence(self.table(), self.path)

    def table(self) -> pa.Table:
        return evidence(self.rows.values())

    def tried(self, setting: Setting) -> bool:
        """Whether this cell has a time, or a reason why it has none."""
        row = self.rows.get(_cell(setting_columns(setting), "seconds"))
        return row is not None and (row["value"] is not None or RETRIED not in (row.get("flag") or ""))


def opened(path: Path, device: Device, fresh: bool = False) -> Ledger:
    """The rows that a run before has left, if they are of this device and code; a `ValueError` if they are not.

    A last line that was cut off is dropped. `fresh` begins anew.
    """
    if fresh or not path.exists():
        return Ledger(path)
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise ValueError(f"out: {path}, line {number} is not JSON; --fresh begins anew") from None
    here = _identity({"device": device.name} | origin())
    for row in rows:
        if _identity(row) != here and row["kind"] == "measured":
            raise ValueError(
                f"out: {path} holds rows of {' at '.join(_identity(row))}, this is {' at '.join(here)};"
                " name another folder, or begin anew with --fresh"
            )
    return Ledger(path, {_cell(row, row["metric"]): row for row in rows})


def _identity(row: Mapping[str, Any]) -> tuple[str, str]:
    """Device and code; evidence that is written into a checkout makes it dirty, and no other code."""
    code = row.get("commit") or row.get("version") or "?"
    return str(row.get("device")), code.removesuffix("-dirty")


def _cell(row: Mapping[str, Any], metric: str) -> tuple[Any, ...]:
    return *(row.get(name) for name in ("subject", "mode", "dtype", "t", "batch", "heads")), metric


def of_mode(rows: Iterable[Mapping[str, Any]], mode: str) -> list[dict[str, Any]]:
    """Rows of one mode."""
    return [dict(row) for row in rows if row.get("mode") == mode]
