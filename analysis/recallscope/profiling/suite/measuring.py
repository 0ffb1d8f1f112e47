"""One group of subjects: correctness, then time, then counters, into a ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from recallscope_kernels.profiling import Measurement, Missing, Roofs, Setting, count, measure, settings_of
from recallscope_kernels.profiling.calls import check_size
from recallscope_kernels.profiling.energy import Meter
from recallscope_kernels.profiling.gpu import free
from recallscope_kernels.profiling.measure import DeviceLost, device_lost, reason

from recallscope.evidence import evidence, origin
from recallscope.profiling.rows import device_columns, measured_rows, missing_rows, setting_columns
from recallscope.profiling.suite.correct import largest_error, relative_error
from recallscope.profiling.suite.groups import Group, base_of
from recallscope.profiling.suite.ledger import Ledger
from recallscope.profiling.tables import format_measurements, format_notes


@dataclass(frozen=True)
class Bench:
    """What all groups of a run share."""

    roofs: Roofs
    dtype: str
    budget: float
    source: str
    counters: bool = False
    meter: Meter | None = None
    say: Callable[[str], Any] = print


def measured_group(group: Group, bench: Bench, ledger: Ledger) -> None:
    """Measure what the ledger does not have yet. What is wrong, missing or too large becomes a row that says so.

    Raises `DeviceLost` when the GPU answers no more; what brought it down is in the ledger then, so that a new process
    leaves it out.
    """
    facts = bench.roofs.device
    settings = settings_of(group.subjects, group.shape, None, group.mode, bench.dtype, facts.device)
    missing: list[Missing] = []
    try:
        errors = _checked([setting for setting in settings if not ledger.tried(setting)], missing)
        wrong = {one.setting for one in missing}
        right = [setting.subject for setting in errors if setting not in wrong]
        made = measure(
            right, group.shape, None, group.mode, bench.dtype, facts.device, bench.budget, bench.meter, missing
        )
    except DeviceLost as lost:
        ledger.add(missing_rows([Missing(lost.setting, reason(lost.error))], facts, bench.source))
        raise
    ledger.add(_table(made, missing, errors, bench))  # before the counters, which may take long
    if bench.counters and group.counted and made:
        made = _counted(made, bench)
        ledger.add(_table(made, [], {}, bench))
    for one in missing:
        bench.say(f"{one.setting.subject}: left out, {one.reason}")
    if made:
        base = base_of([m.subject for m in made])
        bench.say("\n".join(filter(None, [format_measurements(made, bench.roofs, base), format_notes(made)])))


def _checked(settings: Sequence[Setting], missing: list[Missing]) -> dict[Setting, float]:
    """The error of each that runs; what does not, or is wrong, is one more of `missing`."""
    errors = {}
    for setting in settings:
        try:
            check_size(setting)
            errors[setting] = error = relative_error(setting)
        except Exception as problem:  # a library's own refusals are of any kind
            if device_lost(problem):
                raise DeviceLost(setting, problem) from problem
            missing.append(Missing(setting, reason(problem)))
            continue
        finally:
            free(setting.device)
        most = largest_error(setting)
        if not error <= most:  # NaN too
            missing.append(Missing(setting, f"wrong by {error:.1e}, at most {most:.0e}: not timed"))
    return errors


def _table(
    made: Sequence[Measurement], missing: Sequence[Missing], errors: Mapping[Setting, float], bench: Bench
) -> pa.Table:
    facts = bench.roofs.device
    where = {"source": bench.source} | origin() | device_columns(facts)
    of = {"metric": "relative_error", "unit": "1", "kind": "measured"}
    found = [setting_columns(s) | of | {"value": _finite(e)} | where for s, e in errors.items()]
    tables = [measured_rows(made, bench.roofs, bench.source), missing_rows(missing, facts, bench.source)]
    return pa.concat_tables([evidence(found), *tables], promote_options="permissive")


def _finite(value: float) -> float | None:
    """JSON has no NaN: null, and the time's row says that it was wrong."""
    return value if math.isfinite(value) else None


def _counted(made: Sequence[Measurement], bench: Bench) -> list[Measurement]:
    settings = [m.setting for m in made]
    free(settings[0].device)  # for the child
    try:
        counted = count(settings, bench.roofs.device.device, 60 + 15 * len(settings))
    except ValueError as error:
        bench.say(str(error))
        return list(made)
    for setting, why in counted.missing.items():
        bench.say(f"{setting.subject}: not counted, {why}")
    return [replace(m, counts=counted.counts.get(m.setting)) for m in made]
