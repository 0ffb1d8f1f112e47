"""Measurements of operators, and of roofs, as rows of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope.evidence import evidence, origin

if TYPE_CHECKING:
    from recallscope_kernels.profiling import Measurement, Missing, Roofs, Setting
    from recallscope_kernels.profiling.device import Device

ROOFS = {"copy": "copy_bytes_per_second", "triad": "triad_bytes_per_second", "product": "product_flops_per_second"}

CONVENTIONS = {
    "useful_flops": "multiply-add 2, matrix products, pairs that the mask keeps",
    "executed_flops": "multiply-add 2, matrix products, whole tiles",
}


def measured_rows(measurements: Iterable[Measurement], roofs: Roofs, source: str | None = None) -> pa.Table:
    """Nine rows or more for each measurement, its shape as columns, and what it was timed by (`timer`, `timer_note`).

    Derived: `useful_flops`, `executed_flops` (null where not modelled), `executed_per_useful`, `fused_bytes`,
    `state_elements`. Measured: `seconds` (median, quartiles, n), `useful_flops_per_second`, and two shares of the least
    time that the measured roofs allow over the time taken, with the quartiles of the time: `share_of_roof` for useful
    FLOPs, `share_of_practical_roof` for executed ones (counted, if they were), both for fused bytes. Of decoding steps
    `tokens_per_second`; with a meter `joules` and `useful_flops_per_joule`; with counters those of `_counted`.
    """
    made = origin() | {"source": source} | device_columns(roofs.device)
    return evidence(row | made for m in measurements for row in _rows(m, roofs))


def missing_rows(missing: Iterable[Missing], device: Device, source: str | None = None) -> pa.Table:
    """One row for each cell that was tried and is empty: `seconds` null, and why as its `flag`."""
    made = origin() | {"source": source} | device_columns(device)
    empty = {"metric": "seconds", "value": None, "unit": "s", "kind": "measured"}
    return evidence(setting_columns(one.setting) | empty | {"flag": one.reason} | made for one in missing)


def setting_columns(setting: Setting) -> dict[str, Any]:
    """What was run, as columns."""
    shape = setting.shape
    sizes = {"t": shape.T, "batch": shape.B, "heads": shape.H, "key_width": shape.K, "value_width": shape.V}
    return {"subject": setting.subject, "mode": setting.mode, "dtype": setting.dtype, **sizes}


def _rows(m: Measurement, roofs: Roofs) -> Iterator[dict[str, Any]]:
    setting = setting_columns(m.setting)
    cost, time = m.cost, m.timing
    executed = cost.executed_flops
    for metric, value, unit in (
        ("useful_flops", cost.useful_flops, "FLOP"),
        ("executed_flops", executed, "FLOP"),
        ("executed_per_useful", None if executed is None else executed / cost.useful_flops, "ratio"),
        ("fused_bytes", cost.fused_bytes, "B"),
        ("state_elements", cost.state_elements, "elements"),
    ):
        how = {"convention": CONVENTIONS.get(metric)}
        yield setting | {"metric": metric, "value": value, "unit": unit, "kind": "derived"} | how
    measured = setting | {"kind": "measured", "n": time.n, "timer": time.timer, "timer_note": time.note}
    yield measured | {"metric": "seconds", "value": time.seconds, "low": time.low, "high": time.high, "unit": "s"}
    works = [
        ("useful_flops_per_second", cost.useful_flops, "FLOP/s"),
        ("share_of_roof", m.least_seconds(roofs), "ratio"),
        ("share_of_practical_roof", m.least_seconds_as_run(roofs), "ratio"),
    ]
    if m.setting.mode == "decode":
        works.append(("tokens_per_second", m.shape.B, "tokens/s"))
    for metric, work, unit in works:
        of = (None, None, None) if work is None else (work / time.seconds, work / time.high, work / time.low)
        yield measured | {"metric": metric, "unit": unit} | dict(zip(("value", "low", "high"), of, strict=True))
    yield from _energy(m, setting)
    yield from _counted(m, setting)


def _energy(m: Measurement, setting: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if m.energy is None:
        return
    measured = setting | {"kind": "measured", "n": m.energy.n, "meter": m.energy.meter}
    yield measured | {"metric": "joules", "value": m.energy.joules, "unit": "J"}
    efficiency = m.cost.useful_flops / m.energy.joules if m.energy.joules > 0 else None  # a counter that did not move
    yield measured | {"metric": "useful_flops_per_joule", "value": efficiency, "unit": "FLOP/J"}


def _counted(m: Measurement, setting: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What Nsight Compute counted, and over what it should have been; null where the device has no such counter.

    `counted_flops`: where matrix products of the dtype run; FLOPs of each precision under its name; `hbm_bytes`,
    `l2_bytes`, `kernels`; `traffic_inefficiency`: HBM bytes over those of the fused limit.
    """
    if m.counts is None:
        return
    counts, cost, flops = m.counts, m.cost, m.counted_flops
    counted = setting | {"kind": "measured", "counter": "Nsight Compute"}
    for metric, value, unit in (
        ("counted_flops", flops, "FLOP"),
        ("counted_per_useful", _over(flops, cost.useful_flops), "ratio"),
        ("counted_per_executed", _over(flops, cost.executed_flops), "ratio"),
        ("hbm_bytes", counts.hbm_bytes, "B"),
        ("l2_bytes", counts.l2_bytes, "B"),
        ("traffic_inefficiency", _over(counts.hbm_bytes, cost.fused_bytes), "ratio"),
        ("kernels", counts.kernels, "1"),
        *((f"counted_{precision}_flops", value, "FLOP") for precision, value in counts.flops.items() if value != 0),
    ):
        yield counted | {"metric": metric, "value": value, "unit": unit}


def _over(value: float | None, by: float | None) -> float | None:
    return None if value is None or by is None else value / by


def roof_rows(roofs: Roofs, source: str | None = None) -> pa.Table:
    """Copy, triad and product as measured; and of a known GPU its nominal peaks, published, with their source."""
    made = origin() | device_columns(roofs.device)
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


def roofs_of(table: pa.Table, device: Device) -> Roofs:
    """The roofs that rows of `roof_rows` hold; a `ValueError` names one that was not measured."""
    from recallscope_kernels.profiling.roofs import Roof, Roofs
    from recallscope_kernels.profiling.timer import Timing

    found = {row["metric"]: row for row in table.to_pylist() if row["value"]}
    missing = [metric for metric in ROOFS.values() if metric not in found]
    if missing:
        raise ValueError(f"roofs: {', '.join(missing)} were not measured; `recallscope roofline` measures them")
    made = {}
    for name, metric in ROOFS.items():
        row = found[metric]
        work, unit = round(row["value"]), row["unit"].partition("/")[0]
        made[name] = Roof(name, work, unit, Timing(1, work / row["high"], work / row["low"], row["n"]))
    return Roofs(device, found[ROOFS["product"]]["dtype"], **made)


def device_columns(device: Device) -> dict[str, Any]:
    """What it was measured on, and with which libraries, as columns."""
    facts = {"device": device.name, "units": device.units, "cache_bytes": device.cache_bytes, "driver": device.driver}
    return facts | {"torch": device.torch, "triton": device.triton, "fla": device.fla}
