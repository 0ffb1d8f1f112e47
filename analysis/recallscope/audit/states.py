"""State sizes behind plotted bytes, and sizes of feature maps, from the toolkit's own closed forms."""

from __future__ import annotations

from recallscope.audit.findings import Row, finding, known
from recallscope.audit.intervals import Cell, cell


def states(rows: list[Row]) -> list[Row]:
    """Based (arXiv 2402.18668) Figure 2: bytes = bytes per element · elements that the layers keep after `t` tokens.

    Rows with `state_bytes`, an `architecture` by name (`recallscope state` knows the names) and `t`;
    `bytes_per_element` is 4 where it is not named, `further_elements` are counted on top, such as zoology's short
    convolutions of width · kernel. `state_error` is the relative error of the reading. Hyena's own short convolutions,
    0.6 % at t = 1,024, are in the closed form and not in the figure.
    """
    from recallscope.architectures.names import architecture

    found = []
    for row in rows:
        if row.get("state_bytes") is None or not row.get("architecture") or row.get("t") is None:
            continue
        elements = architecture(row["architecture"]).state_elements(int(row["t"])) + (row.get("further_elements") or 0)
        size = float(elements * (row.get("bytes_per_element") or 4))
        error, plotted = row.get("state_error") or 0, row["state_bytes"]
        printed = Cell(plotted, plotted * (1 - error), plotted * (1 + error))
        note = f"{row['architecture']}, t = {row['t']:,}"
        found.append(finding("state bytes", row, Cell(size, size, size), printed, "B", note))
    return found


def features(rows: list[Row]) -> list[Row]:
    """Based Table 6, effective dimension of the feature map with key width d.

    Taylor with symmetric products has 1 + d + d (d + 1) / 2 (`recallscope.architectures`), CosFormer 2d, Performer as
    many as it is given, here d. The forward pass of Based itself has 1 + d + d².
    """
    from recallscope.architectures.names import architecture

    found = []
    for row in known(rows, "features"):
        width, name = row.get("key_width"), row.get("feature_map")
        if width is None or name not in ("Taylor2", "CosFormer", "Performer"):
            continue
        layer = architecture(f"based:width={width},heads=1,key_width={width},symmetric=True")
        count = {"Taylor2": layer.state_elements(1) // (width + 1), "CosFormer": 2 * width, "Performer": width}[name]
        found.append(finding("features", row, Cell(count, count, count), cell(row), "1", f"{name}, d = {width}"))
    return found
