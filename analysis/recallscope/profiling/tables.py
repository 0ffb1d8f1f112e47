"""What the shell prints of measured operators and roofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recallscope_kernels.profiling import Measurement, Roofs

COLUMNS = (
    "B", "T", "K", "ms", "quartiles", "useful GFLOP", "executed/useful", "fused MB", "GFLOP/s", "of roof",
    "of practical", "ratio",
)  # fmt: skip
COUNTED = ("counted/executed", "HBM MB", "HBM/fused", "L2/fused", "kernels")
ENERGY = ("mJ", "GFLOP/J")


def format_measurements(measurements: Sequence[Measurement], roofs: Roofs, base: str) -> str:
    """One line a measurement; `ratio` is the time of `base` at the same shape over its own: above 1 it is faster.

    `of roof`: share of the least time that the roofs allow for useful FLOPs; `of practical`: for executed ones. Columns
    of counters and of energy stand where something was counted or metered; `-` is what is not known.
    """
    seconds = {(m.shape.B, m.shape.T): m.timing.seconds for m in measurements if m.subject == base}
    counted, metered = any(m.counts for m in measurements), any(m.energy for m in measurements)
    header: tuple[str, ...] = ("", *COLUMNS, *(COUNTED if counted else ()), *(ENERGY if metered else ()))
    lines: list[tuple[str, ...]] = [header]
    for m in measurements:
        line = _line(m, roofs, seconds.get((m.shape.B, m.shape.T)))
        lines.append((*line, *(_counted(m) if counted else ()), *(_energy(m) if metered else ())))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _line(m: Measurement, roofs: Roofs, base: float | None) -> tuple[str, ...]:
    cost, time = m.cost, m.timing
    executed = None if cost.executed_flops is None else cost.executed_flops / cost.useful_flops
    least, as_run = m.least_seconds(roofs), m.least_seconds_as_run(roofs)
    return (
        m.subject, str(m.shape.B), f"{m.shape.T:,}", str(m.shape.K), f"{time.seconds * 1e3:.3g}",
        f"{time.low * 1e3:.3g} - {time.high * 1e3:.3g}", f"{cost.useful_flops / 1e9:.3g}", _cell(executed, ".2f"),
        f"{cost.fused_bytes / 1e6:.3g}", f"{cost.useful_flops / time.seconds / 1e9:.3g}",
        f"{least / time.seconds:.1%}", _cell(as_run and as_run / time.seconds, ".1%"),
        _cell(base and base / time.seconds, ".2f"),
    )  # fmt: skip


def _counted(m: Measurement) -> tuple[str, ...]:
    if m.counts is None:
        return ("-",) * len(COUNTED)
    hbm, l2, executed, flops = m.counts.hbm_bytes, m.counts.l2_bytes, m.cost.executed_flops, m.counted_flops
    return (
        _cell(None if flops is None or executed is None else flops / executed, ".3f"),
        _cell(None if hbm is None else hbm / 1e6, ".3g"),
        _cell(None if hbm is None else hbm / m.cost.fused_bytes, ".2f"),
        _cell(None if l2 is None else l2 / m.cost.fused_bytes, ".2f"),
        str(m.counts.kernels),
    )


def _energy(m: Measurement) -> tuple[str, ...]:
    if m.energy is None or not m.energy.joules > 0:
        return ("-",) * len(ENERGY)
    return f"{m.energy.joules * 1e3:.3g}", f"{m.cost.useful_flops / m.energy.joules / 1e9:.3g}"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def format_notes(measurements: Sequence[Measurement]) -> str:
    """What timed the calls where that is not the clock on the wall, and why a short one was not made a graph."""
    from recallscope_kernels.profiling.timer import GRAPH

    lines = [f"{m.subject}, T = {m.shape.T:,}: {m.timing.note}" for m in measurements if m.timing.note]
    graphs = sum(m.timing.timer == GRAPH for m in measurements)
    return "\n".join([*([f"{graphs} of {len(measurements)} timed as CUDA graphs"] if graphs else []), *lines])


def format_roofs(roofs: Roofs) -> str:
    """Device, measured rates with quartiles, the ridge, and nominal peaks where they are known."""
    device = roofs.device
    cache = "unknown" if device.cache_bytes is None else f"{device.cache_bytes / 2**20:.0f} MiB"
    units = f"{device.units} {'threads' if device.device == 'cpu' else 'multiprocessors'}"
    lines = [f"{device.name}: {units}, last cache {cache}, torch {device.torch} ({device.source})"]
    for name in ("copy", "triad", "product"):
        roof = getattr(roofs, name)
        low, high = roof.work / roof.timing.high / 1e9, roof.work / roof.timing.low / 1e9
        what = f"{name} {roofs.dtype}" if name == "product" else name
        lines.append(f"{what:<18}{roof.rate / 1e9:>9.3g} G{roof.unit}/s   {low:.3g} - {high:.3g}   n = {roof.timing.n}")
    lines.append(f"{'ridge':<18}{roofs.product.rate / roofs.bytes_per_second:>9.3g} FLOP/B")
    if device.peak:
        peak = device.peak
        nominal = (
            f"{peak.bytes_per_second / 1e9:.4g} GB/s, {peak.bfloat16_flops_per_second / 1e12:.4g} TFLOP/s bfloat16"
        )
        lines.append(f"{'nominal':<18}{nominal} ({peak.source})")
    return "\n".join(lines)


def format_crossings(measurements: Sequence[Measurement], base: str) -> str:
    """Where each subject becomes faster than `base`, between the measured lengths, for each batch."""
    lines = []
    for batch in dict.fromkeys(m.shape.B for m in measurements):
        own = [m for m in measurements if m.shape.B == batch]
        lines += [line + (f", B = {batch}" if len(own) < len(measurements) else "") for line in _crossings(own, base)]
    return "\n".join(lines)


def _crossings(measurements: Sequence[Measurement], base: str) -> list[str]:
    from recallscope_kernels.profiling import crossing_length

    seconds = {subject: _by_length(measurements, subject) for subject in dict.fromkeys(m.subject for m in measurements)}
    reference, lines = seconds.pop(base, {}), []
    for subject, own in seconds.items():
        lengths = sorted(set(own) & set(reference))
        if len(lengths) < 2:
            continue
        at = crossing_length(lengths, [own[t] for t in lengths], [reference[t] for t in lengths])
        if at is not None:
            lines.append(f"{subject} is faster than {base} from T = {at:,.0f} on")
        elif own[lengths[-1]] < reference[lengths[-1]]:
            lines.append(f"{subject} is faster than {base} at every length from T = {lengths[0]:,} on")
        else:
            lines.append(f"{subject} is not faster than {base} at T = {lengths[-1]:,}")
    return lines


def _by_length(measurements: Sequence[Measurement], subject: str) -> dict[int, float]:
    return {m.shape.T: m.timing.seconds for m in measurements if m.subject == subject}
