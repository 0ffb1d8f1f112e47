"""Measurements of operators, and of roofs, as rows of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope.evidence import evidence, origin

if TYPE_CHECKING:
    from recallscope_kernels.profiling import Measurement, Roofs
    from recallscope_kernels.profiling.device import Device

ROOFS = {"copy": "copy_bytes_per_second", "triad": "triad_bytes_per_second", "product": "product_flops_per_second"}


def measured_rows(measurements: Iterable[Measurement], roofs: Roofs, source: str | None = None) -> pa.Table:
    """Seven rows for each measurement, its shape as columns.

    Derived: `useful_flops`, `executed_flops` (null where not modelled), `fused_bytes`, `state_elements`. Measured:
    `seconds` (median, quartiles, n), `useful_flops_per_second`, and `share_of_roof`: the least time that the measured
    roofs allow for useful FLOPs and fused bytes, over the time taken; with the quartiles of the time.
    """
    made = origin() | {"source": source} | _where(roofs.device)
    return evidence(row | made for m in measurements for row in _rows(m, roofs))


def _rows(m: Measurement, roofs: Roofs) -> Iterator[dict[str, Any]]:
    shape = {"t": m.shape.T, "batch": m.shape.B, "heads": m.shape.H, "key_width": m.shape.K, "value_width": m.shape.V}
    setting = {"subject": m.subject, "mode": m.mode, "dtype": m.dtype, **shape}
    cost, time = m.cost, m.timing
    for metric, value, unit in (
        ("useful_flops", cost.useful_flops, "FLOP"),
        ("executed_flops", cost.executed_flops, "FLOP"),
        ("fused_bytes", cost.fused_bytes, "B"),
        ("state_elements", cost.state_elements, "elements"),
    ):
        yield setting | {"metric": metric, "value": value, "unit": unit, "kind": "derived"}
    measured = setting | {"kind": "measured", "n": time.n}
    yield measured | {"metric": "seconds", "value": time.seconds, "low": time.low, "high": time.high, "unit": "s"}
    least = roofs.least_seconds(cost.useful_flops, cost.fused_bytes)
    for metric, work, unit in (
        ("useful_flops_per_second", cost.useful_flops, "FLOP/s"),
        ("share_of_roof", least, "ratio"),
    ):
        rates = {"value": work / time.seconds, "low": work / time.high, "high": work / time.low}
        yield measured | {"metric": metric, "unit": unit} | rates


def roof_rows(roofs: Roofs, source: str | None = None) -> pa.Table:
    """Copy, triad and product as measured; and of a known GPU its nominal peaks, published, with their source."""
    made = origin() | _where(roofs.device)
    rows = []
    for name, metric in ROOFS.items():
        roof = getattr(roofs, name)
        low, high = roof.work / roof.timing.high, roof.work / roof.timing.low
        rows.append(
            {"subject": roofs.device.name, "metric": metric, "value": roof.rate, "low": low, "high": high,
             "n": roof.timing.n, "unit": f"{roof.unit}/s", "kind": "measured", "source": source, "dtype": roofs.dtype}
            | made
        )  # fmt: skip
    peak = roofs.device.peak
    if peak:
        published = {"subject": roofs.device.name, "kind": "published", "source": peak.source}
        rows.append(
            published | {"metric": "peak_bytes_per_second", "value": peak.bytes_per_second, "unit": "B/s"} | made
        )
        flops = {"metric": "peak_flops_per_second", "value": peak.bfloat16_flops_per_second, "unit": "FLOP/s"}
        rows.append(published | flops | {"dtype": "bfloat16"} | made)
    return evidence(rows)


def _where(device: Device) -> dict[str, Any]:
    facts = {"device": device.name, "units": device.units, "cache_bytes": device.cache_bytes}
    return facts | {"torch": device.torch, "triton": device.triton}
