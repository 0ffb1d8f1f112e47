"""Energy of calls: NVML's counter of the whole board, else its power in samples; on a CPU RAPL, if it can be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from recallscope_kernels.profiling import gpu

RAPL = Path("/sys/class/powercap")
EVERY = 0.02  # seconds between samples of power


@dataclass(frozen=True)
class Energy:
    """Joules a call, of all that the meter sees (idle power is in it), over `n` calls in `seconds` altogether."""

    joules: float
    n: int
    seconds: float
    meter: str


@dataclass(frozen=True)
class Meter:
    """`joules` since some fixed moment, always rising; or `watts` now, to be sampled."""

    name: str
    joules: Callable[[], float] | None = None
    watts: Callable[[], float] | None = None


def energy_of(call: Callable[[], Any], meter: Meter, device: str = "cpu", seconds: float = 2.0) -> Energy:
    """Energy of one call, by calling it for `seconds`, with caches as warm as that leaves them.

    NVML's counter moves some ten times a second, so that a much shorter stretch says little.
    """
    calls, start = 0, time.perf_counter()
    gpu.wait(device)
    with _metered(meter) as joules:
        while (taken := time.perf_counter() - start) < seconds or not calls:
            for _ in range(max(1, calls // 8)):  # waits ever more seldom, as they leave the device idle
                call()
                calls += 1
            gpu.wait(device)
    return Energy(joules() / calls, calls, taken, meter.name)


@contextmanager
def _metered(meter: Meter) -> Iterator[Callable[[], float]]:
    """Joules between entering and leaving, known after leaving."""
    if meter.joules is not None:
        start, found = meter.joules(), []
        yield lambda: found[0]
        found.append(meter.joules() - start)
        return
    samples: list[tuple[float, float]] = []
    done = threading.Event()

    def sample() -> None:
        assert meter.watts is not None
        samples.append((time.perf_counter(), meter.watts()))

    def sampled() -> None:
        while not done.wait(EVERY):
            sample()

    sample()
    thread = threading.Thread(target=sampled, daemon=True)
    thread.start()
    try:
        yield lambda: joules_of(samples)
    finally:
        done.set()
        thread.join()
    sample()


def joules_of(samples: Sequence[tuple[float, float]]) -> float:
    """Power in watts at moments in seconds, integrated by trapezoids."""
    return sum((b - a) * (p + q) / 2 for (a, p), (b, q) in pairwise(samples))


def energy_meter(device: str = "cpu") -> Meter:
    """The meter of a device; a `ValueError` says in one line why there is none."""
    return _nvml_meter(device) if torch.device(device).type == "cuda" else rapl_meter()


def _nvml_meter(device: str) -> Meter:
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        raise ValueError("energy: nvidia-ml-py is not installed (pip install nvidia-ml-py)") from None
    return nvml_meter(nvml, gpu.uuid(device))


def nvml_meter(nvml: Any, uuid: str) -> Meter:
    """The energy counter of a GPU (Volta and later), in millijoules; where it has none, samples of its power."""
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        raise ValueError(f"energy: NVML does not answer for this GPU ({error})") from None
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        try:
            nvml.nvmlDeviceGetPowerUsage(handle)
        except nvml.NVMLError as error:
            raise ValueError(f"energy: NVML knows neither energy nor power of this GPU ({error})") from None
        return Meter("NVML power, sampled", watts=lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
    return Meter("NVML energy", joules=lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)


def rapl_meter(folder: Path = RAPL) -> Meter:
    """Energy of all CPU packages by RAPL; its counters start again at a limit of their own."""
    found = []
    for package in sorted(folder.glob("intel-rapl:[0-9]")):  # intel-rapl:0:1 is a part of intel-rapl:0
        try:
            int((package / "energy_uj").read_text())
            found.append(_Package(package / "energy_uj", int((package / "max_energy_range_uj").read_text())))
        except (OSError, ValueError):
            continue
    if not found:
        raise ValueError(f"energy: no counter of this CPU can be read ({folder}/intel-rapl:*/energy_uj)")
    return Meter("RAPL", joules=lambda: sum(package.joules() for package in found))


class _Package:
    """One counter in microjoules, carried over where it starts again."""

    def __init__(self, file: Path, limit: int):
        self.file, self.limit, self.last, self.carried = file, limit, 0, 0

    def joules(self) -> float:
        now = int(self.file.read_text())
        if now < self.last:
            self.carried += self.limit
        self.last = now
        return (self.carried + now) / 1e6
