"""Costs of several architectures as evidence, and as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pyarrow as pa

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.names import architecture
from recallscope.evidence import evidence

BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "float8": 8, "int8": 8, "int4": 4}


def cost_table(
    architectures: Sequence[Architecture],
    lengths: Sequence[int],
    batch: int = 1,
    dtype: str = "bfloat16",
    state_dtype: str | None = None,
) -> pa.Table:
    """Every cost of each architecture at each length, one row a number (`recallscope.evidence`).

    Parameters
    ----------
    architectures : sequence of Architecture
    lengths : sequence of int
        Tokens t, at least 1: of the prompt for prefill and training, seen so far for state and decoding.
    batch : int
        Sequences B.
    dtype, state_dtype : str
        Of weights and activations, and of the state (None: the same): a key of `BITS`.
    """
    if batch < 1 or not lengths or min(lengths) < 1:
        raise ValueError(f"lengths, batch: at least 1, got {list(lengths)} and {batch}")
    for name, value in (("dtype", dtype), ("state_dtype", state_dtype or dtype)):
        if value not in BITS:
            raise ValueError(f"{name}: one of {', '.join(BITS)}, got {value!r}")
    bits, state_bits = BITS[dtype], BITS[state_dtype or dtype]
    rows = []
    for one in architectures:
        for t in lengths:
            tokens = batch * t
            values = {
                "parameters": (one.parameters(), "parameters"),
                "active_parameters": (one.active_parameters(), "parameters"),
                "state_elements": (one.state_elements(t), "elements/sequence"),
                "state_bytes": (one.state_elements(t) * state_bits / 8, "bytes/sequence"),
                "read_elements": (one.read_elements(t), "elements/sequence"),
                "read_bytes": (one.read_elements(t) * state_bits / 8, "bytes/sequence"),
                "training_flops": (one.training_flops(t, batch) / tokens, "FLOPs/token"),
                "prefill_flops": (one.prefill_flops(t, batch) / tokens, "FLOPs/token"),
                "decode_flops": (one.decode_flops(t, batch) / batch, "FLOPs/token"),
                "training_bytes": (one.training_bytes(t, batch, bits) / tokens, "bytes/token"),
                "prefill_bytes": (one.prefill_bytes(t, batch, bits, state_bits) / tokens, "bytes/token"),
                "decode_bytes": (one.decode_bytes(t, batch, bits, state_bits), "bytes/step"),
            }
            setting = {"t": t, "batch": batch, "dtype": dtype, "state_dtype": state_dtype or dtype}
            source = one.source or "closed forms of the layers"
            rows += [
                {"subject": one.name, "metric": m, "value": v, "unit": u, "kind": "derived", "source": source} | setting
                for m, (v, u) in values.items()
            ]
    return evidence(rows)


def crossing_lines(
    architectures: Sequence[Architecture],
    quantities: Sequence[str],
    batch: int = 1,
    dtype: str = "bfloat16",
    state_dtype: str | None = None,
) -> list[str]:
    """A sentence for each pair of architectures and quantity: the lengths at which the two cost the same."""
    from recallscope.architectures.costs import T, crossings

    bits = {"weight_bits": BITS[dtype], "state_bits": BITS[state_dtype or dtype]}
    arguments = {"state_elements": (T,), "decode_flops": (T, batch), "decode_bytes": (T, batch, *bits.values())}
    lines = []
    for quantity in quantities:
        costs = [(one.name, getattr(one, quantity)(*arguments[quantity])) for one in architectures]
        for (first, a), (second, b) in combinations(costs, 2):
            points = [f"{float(point):,.1f}".removesuffix(".0") for point in crossings(a, b)]
            if points:
                lines.append(f"{quantity.replace('_', ' ')}: {first} = {second} at t = {', '.join(points)}")
    return lines


def shell_table(
    names: Sequence[str],
    length: str,
    batch: int,
    dtype: str,
    state_dtype: str | None,
    metrics: Sequence[str],
    crossing: Sequence[str],
) -> tuple[pa.Table, str]:
    """What the command line prints: the costs as evidence; and as text, with the crossings below.

    `names` as for `architecture`, `length` whole numbers separated by commas.
    """
    try:
        lengths = [int(one) for one in length.split(",")]
    except ValueError:
        raise ValueError(f"length: whole numbers separated by commas, got {length!r}") from None
    found = [architecture(name) for name in names]
    table = cost_table(found, lengths, batch, dtype, state_dtype)
    lines = crossing_lines(found, crossing, batch, dtype, state_dtype)
    return table, "\n".join([format_costs(table, metrics), *lines])


STATE_COLUMNS = ("state_elements", "state_bytes", "read_elements", "read_bytes")
COST_COLUMNS = (
    "parameters", "active_parameters", "training_flops", "prefill_flops", "decode_flops", "decode_bytes", "state_bytes",
)  # fmt: skip


def format_costs(table: pa.Table, metrics: Sequence[str]) -> str:
    """Aligned text: a row for each architecture and length, a column for each metric, units below the names."""
    cells = {(row["subject"], row["t"], row["metric"]): row for row in table.to_pylist()}
    keys = list(dict.fromkeys((subject, t) for subject, t, _ in cells))
    first = {metric: next(row for row in cells.values() if row["metric"] == metric) for metric in metrics}
    lines = [
        ["architecture", "t", *(metric.replace("_", " ") for metric in metrics)],
        ["", "tokens", *(first[metric]["unit"] for metric in metrics)],
        *([subject, f"{t:,}", *(_number(cells[subject, t, metric]) for metric in metrics)] for subject, t in keys),
    ]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    )


def _number(row: dict) -> str:
    """Counts in full, bytes and FLOPs to four digits with a binary or decimal prefix."""
    value, unit = row["value"], row["unit"]
    if unit.startswith("bytes"):
        return _prefixed(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))
    if unit.startswith("FLOPs"):
        return _prefixed(value, 1000, ("", "k", "M", "G", "T", "P"))
    return f"{value:,.0f}"


def _prefixed(value: float, base: int, prefixes: Sequence[str]) -> str:
    power = 0
    while value >= base and power < len(prefixes) - 1:
        value, power = value / base, power + 1
    return f"{value:,.4g} {prefixes[power]}".rstrip()
