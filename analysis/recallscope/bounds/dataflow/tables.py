"""What the wiring of architectures lets through, as rows of evidence and as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recallscope.bounds.dataflow.cuts import recall_capacity, state_cut
from recallscope.bounds.dataflow.wiring import reach, wiring
from recallscope.evidence import evidence

if TYPE_CHECKING:
    import pyarrow as pa

    from recallscope.architectures.architecture import Architecture

MOST_EDGES = 1_000_000
"""About 10 s for a cut."""
MOST_POSITION = 9_999


def dataflow_rows(
    architectures: Sequence[Architecture],
    length: int,
    source: Sequence[int] | None = None,
    target: Sequence[int] | None = None,
    bits_per_element: float = 32,
) -> pa.Table:
    """State, reach and, with `source` and `target`, recall capacity of each architecture, all from the wiring.

    Metrics: `state_cut` after `length` tokens and `state`, the closed form of the layers beside it (where they differ,
    `state_cut` says why); `recall_capacity`, the most that the outputs at the positions `target` can say about the
    tokens `source`, an upper bound: all in bits, with `elements` in a column. `reach` in positions; null, with a flag,
    where there is no limit. Raises `ValueError` where the unrolled graph would be too large to be built here.
    """
    if length < 1:
        raise ValueError(f"length: at least 1 token, got {length}")
    if not bits_per_element > 0:
        raise ValueError(f"bits_per_element: above 0, got {bits_per_element:g}")
    if math.isinf(bits_per_element):
        raise ValueError("bits_per_element: finite, got inf")
    if (source is None) != (target is None):
        raise ValueError("source, target: both or none, got one of them")
    rows: list[dict[str, Any]] = []
    for one in architectures:
        positions = max([length, *(n + 1 for n in [*(source or ()), *(target or ())])])
        _check_size(one, positions)
        bits = [("state_cut", state_cut(one, length).size), ("state", int(one.state_elements(length)))]
        if source is not None and target is not None:
            bits.append(("recall_capacity", recall_capacity(one, source, target).size))
        setting = {"subject": one.name, "kind": "derived", "t": length, "bits_per_element": float(bits_per_element)}
        for metric, elements in bits:
            own = {"metric": metric, "value": elements * bits_per_element, "unit": "bits", "elements": elements}
            rows.append(setting | own | {"source": _SOURCES[metric]})
            if metric == "recall_capacity":
                rows[-1] |= {"tokens": _ranges(source), "outputs": _ranges(target)}
        far = reach(one)
        limited = {"value": None if math.isinf(far) else far, "flag": "no limit" if math.isinf(far) else None}
        rows.append(setting | {"metric": "reach", "unit": "positions", "source": _SOURCES["reach"]} | limited)
    return evidence(rows)


_SOURCES = {
    "state_cut": "recallscope.bounds.state_cut",
    "state": "closed forms of the layers",
    "recall_capacity": "recallscope.bounds.recall_capacity",
    "reach": "recallscope.bounds.reach",
}


def format_dataflow(table: pa.Table) -> str:
    """Aligned text: architecture, quantity, elements, bits or positions."""
    cells = []
    for row in table.to_pylist():
        value = row["flag"] if row["value"] is None else f"{row['value']:,.6g}" if row["value"] < 1e6 else None
        value = f"{row['value']:,.0f}" if value is None else value
        elements = "" if row["elements"] is None else f"{row['elements']:,} elements"
        unit = "" if row["value"] is None else f" {row['unit']}"
        cells.append((row["subject"], row["metric"].replace("_", " "), elements, f"{value}{unit}"))
    widths = [max(len(cell[k]) for cell in cells) for k in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {metric:<{widths[1]}}  {elements:>{widths[2]}}  {value:>{widths[3]}}"
        for name, metric, elements, value in cells
    )


def numbers(name: str, text: str) -> list[int]:
    """`0-3,8` as [0, 1, 2, 3, 8]."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or (last and int(last) < int(first)):
            raise ValueError(f"{name}: positions such as 0-3,8, got {text!r}")
        if max(int(first), int(last or 0)) > MOST_POSITION:
            raise ValueError(f"{name}: positions of at most {MOST_POSITION:,}, got {part}")
        found += range(int(first), int(last or first) + 1)
    return found


def _ranges(values: Sequence[int] | None) -> str:
    """The other way round, for the row."""
    runs: list[list[int]] = []
    for value in sorted(set(values or ())):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


def _check_size(one: Architecture, positions: int) -> None:
    layers = max(len(wiring(one).layers), 1)
    most = math.isqrt(MOST_EDGES // layers)
    if positions > most:
        raise ValueError(
            f"length: at most {most:,} positions of {one.name} with its {layers} layers, as the graph has L T² edges, "
            f"got {positions:,}"
        )
