"""One run of `recallscope profile`: counters, times and energy of all shapes, between two measurements of the roofs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recallscope.invocation import invocation
from recallscope.profiling.rows import measured_rows, roof_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from recallscope_kernels.ops import Shape
    from recallscope_kernels.profiling import Measurement, Roofs
    from recallscope_kernels.profiling.device import Device


@dataclass(frozen=True)
class Profile:
    """What was measured, as measurements and as rows; and what the user should know of it, a line each."""

    measurements: list[Measurement]
    roofs: Roofs
    rows: pa.Table
    roof_rows: pa.Table
    notes: list[str]


def profile(
    subjects: Sequence[str],
    shapes: Sequence[Shape],
    key_width: int | None,
    mode: str,
    dtype: str,
    facts: Device,
    budget: float,
    counters: bool = False,
    energy: bool = False,
) -> Profile:
    """Measure all subjects at each shape; arguments as for `measure`. Counters come first: they may be refused.

    Raises `ValueError` for what cannot run, for shapes that cannot fit, and where counters are wanted and not to be
    had. A meter that is not there is a note.
    """
    from recallscope_kernels.profiling import DTYPES, count, faster, measure, measured_roofs, settings_of
    from recallscope_kernels.profiling.calls import check_size
    from recallscope_kernels.profiling.measure import DeviceLost

    device, notes = facts.device, []
    settings = [s for each in shapes for s in settings_of(subjects, each, key_width, mode, dtype, device)]
    for setting in settings:
        check_size(setting)
    counted = count(settings, device, 60 + 10 * len(settings)) if counters else None
    meter = _meter(device, notes) if energy else None
    roofs = measured_roofs(facts, DTYPES[dtype], min(budget, 0.5))
    started = time.perf_counter(), time.process_time()
    try:
        made = [m for each in shapes for m in measure(subjects, each, key_width, mode, dtype, device, budget, meter)]
    except DeviceLost as error:
        raise ValueError(f"device: {device} was lost to {error}") from error
    share = (time.process_time() - started[1]) / (time.perf_counter() - started[0])
    roofs = faster(roofs, measured_roofs(facts, DTYPES[dtype], min(budget, 0.5)))
    if counted:
        made = [replace(m, counts=counted.counts.get(m.setting)) for m in made]
        notes += [f"{s.subject}, T = {s.shape.T:,}: not counted, {reason}" for s, reason in counted.missing.items()]
    if device == "cpu" and share < 0.8:
        notes.append(f"Others used this machine: we had {share:.0%} of a core, so times are too long.")
    source = invocation()
    return Profile(made, roofs, measured_rows(made, roofs, source), roof_rows(roofs, source), notes)


def _meter(device: str, notes: list[str]):
    from recallscope_kernels.profiling import energy_meter

    try:
        return energy_meter(device)
    except ValueError as error:
        notes.append(str(error))
        return None
