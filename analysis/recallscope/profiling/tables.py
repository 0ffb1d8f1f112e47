"""What the shell prints of measured operators and roofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recallscope_kernels.profiling import Measurement, Roofs

COLUMNS = ("T", "K", "ms", "quartiles", "useful GFLOP", "executed/useful", "fused MB", "GFLOP/s", "of roof", "ratio")


def format_measurements(measurements: Sequence[Measurement], roofs: Roofs, base: str) -> str:
    """One line a measurement; `ratio` is the time of `base` at the same length over its own: above 1 it is faster."""
    seconds = {m.shape.T: m.timing.seconds for m in measurements if m.subject == base}
    lines = [("", *COLUMNS)] + [_line(m, roofs, seconds[m.shape.T]) for m in measurements]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _line(m: Measurement, roofs: Roofs, base: float) -> tuple[str, ...]:
    cost, time = m.cost, m.timing
    executed = "-" if cost.executed_flops is None else f"{cost.executed_flops / cost.useful_flops:.2f}"
    return (
        m.subject, f"{m.shape.T:,}", str(m.shape.K), f"{time.seconds * 1e3:.3g}",
        f"{time.low * 1e3:.3g} - {time.high * 1e3:.3g}", f"{cost.useful_flops / 1e9:.3g}", executed,
        f"{cost.fused_bytes / 1e6:.3g}", f"{cost.useful_flops / time.seconds / 1e9:.3g}",
        f"{m.share_of_roof(roofs):.1%}", f"{base / time.seconds:.2f}",
    )  # fmt: skip


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
    """Where each subject becomes faster than `base`, between the measured lengths."""
    from recallscope_kernels.profiling import crossing_length

    seconds = {subject: _by_length(measurements, subject) for subject in dict.fromkeys(m.subject for m in measurements)}
    reference, lines = seconds.pop(base), []
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
    return "\n".join(lines)


def _by_length(measurements: Sequence[Measurement], subject: str) -> dict[int, float]:
    return {m.shape.T: m.timing.seconds for m in measurements if m.subject == subject}
