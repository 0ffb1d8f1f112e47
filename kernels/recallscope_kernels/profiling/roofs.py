"""Measured roofs: what this device really copies and multiplies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from recallscope_kernels.profiling.device import Device
from recallscope_kernels.profiling.timer import Timing, time_calls

ROOFS = ("copy", "triad", "product")


@dataclass(frozen=True)
class Roof:
    """One limit: how much work a call did, in bytes or FLOPs, and how long it took."""

    name: str
    work: int
    unit: str
    timing: Timing

    @property
    def rate(self) -> float:
        """Work a second, at the median."""
        return self.work / self.timing.seconds


@dataclass(frozen=True)
class Roofs:
    """Copy and triad (bytes a second), matrix product (FLOPs a second) of one device and dtype."""

    device: Device
    dtype: str
    copy: Roof
    triad: Roof
    product: Roof

    @property
    def bytes_per_second(self) -> float:
        """The faster of copy and triad."""
        return max(self.copy.rate, self.triad.rate)

    def least_seconds(self, flops: float, moved: float) -> float:
        """The roofline: no less than the bytes take at the measured bandwidth, or the FLOPs at the measured rate."""
        return max(moved / self.bytes_per_second, flops / self.product.rate)


def faster(first: Roofs, second: Roofs) -> Roofs:
    """The better of two measurements of each roof: what others do on a machine only ever lowers it."""
    return replace(first, **{n: max(getattr(first, n), getattr(second, n), key=lambda roof: roof.rate) for n in ROOFS})


def measured_roofs(device: Device, dtype: torch.dtype = torch.float32, budget: float = 0.5) -> Roofs:
    """Measure the roofs, on operands of at least four times the last cache (on a GPU, of 1 GiB or more).

    Takes about three times `budget` seconds.

    Copy `a ← b` counts 2 operands, triad `a ← b + s c` 3; what a CPU reads of a line before it overwrites it is not
    counted, as in STREAM. Products are n × n, on a CPU in the precision of sums (float32 for half precision), as
    operators there compute.
    """
    gpu = device.device != "cpu"
    elements = max(4 * (device.cache_bytes or 2**25), 2**30 if gpu else 2**26) // 4
    a, b, c = (torch.ones(elements, dtype=torch.float32, device=device.device) for _ in range(3))
    size = 8192 if gpu else 1024
    kind = dtype if gpu or dtype == torch.float64 else torch.float32
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(size, size, generator=generator).to(device.device, kind) for _ in range(2))
    z = torch.empty_like(x)
    calls = {
        "copy": lambda: a.copy_(b),
        "triad": lambda: torch.add(b, c, alpha=0.5, out=a),
        "product": lambda: torch.mm(x, y, out=z),
    }
    timed = time_calls(calls, device.device, budget)
    work = {"copy": (2 * 4 * elements, "B"), "triad": (3 * 4 * elements, "B"), "product": (2 * size**3, "FLOP")}
    roofs = {name: Roof(name, *work[name], timed[name]) for name in calls}
    return Roofs(device, str(kind).removeprefix("torch."), **roofs)
