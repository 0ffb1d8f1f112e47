"""What the device itself does: roofs, the time of a launch, and whether its counters may be read and are right."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from recallscope_kernels.profiling import DTYPES, Roofs, count, measured_roofs, seconds_of_launch
from recallscope_kernels.profiling.device import Device

from recallscope.evidence import evidence, origin
from recallscope.profiling.rows import device_columns, roof_rows


def calibration(facts: Device, dtype: str, budget: float, source: str) -> tuple[Roofs, pa.Table]:
    """Roofs in a dtype, and all rows: those roofs, the matrix product in float32 too, a launch, the counters.

    `known_product_counted`: FLOPs that Nsight Compute counts of a matrix product over those it has; null where it
    counts nothing, and why as the flag.
    """
    roofs = measured_roofs(facts, DTYPES[dtype], budget)
    rows = roof_rows(roofs, source).to_pylist()
    if roofs.dtype != "float32":
        other = roof_rows(measured_roofs(facts, DTYPES["float32"], budget), source).to_pylist()
        rows += [
            row | {"metric": "product_float32_flops_per_second"}
            for row in other
            if row["metric"] == "product_flops_per_second"
        ]
    made = {"subject": facts.name, "kind": "measured", "source": source} | origin() | device_columns(facts)
    launch = seconds_of_launch(facts.device)
    seconds = {"value": launch.seconds, "low": launch.low, "high": launch.high, "n": launch.n, "unit": "s"}
    rows.append(made | {"metric": "launch_seconds"} | seconds)
    rows.append(made | {"metric": "known_product_counted", "unit": "ratio"} | _counters(facts.device))
    return roofs, evidence(rows)


def _counters(device: str) -> dict[str, Any]:
    try:
        return {"value": count([], device).calibration}
    except ValueError as error:
        return {"value": None, "flag": str(error)}


def counters_refused(table: pa.Table) -> str | None:
    """Why counters cannot be read, as a calibration has found; None where they can."""
    return next((row["flag"] for row in table.to_pylist() if row["metric"] == "known_product_counted"), None)
