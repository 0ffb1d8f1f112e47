"""Facts about the device that measurements are made on, each with where it is from."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


@dataclass(frozen=True)
class Peak:
    """Published limits of a GPU: bytes a second of its memory, dense bfloat16 FLOPs a second, and the source."""

    bytes_per_second: float
    bfloat16_flops_per_second: float
    source: str


# Never used to judge: measured roofs are. Nominal peaks stand beside them to say how much of them can be had.
PEAKS = {
    "NVIDIA A100-SXM4-80GB": Peak(2039e9, 312e12, "NVIDIA's A100 data sheet, as in TritonBench and LLM-Viewer"),
    "NVIDIA H100 80GB HBM3": Peak(
        3350e9, 989.4e12, "NVIDIA's Hopper white paper, as quoted by GPUInspector.jl (PR 27)"
    ),
    "NVIDIA H200": Peak(4800e9, 989.5e12, "NVIDIA's H200 specification, as quoted by cudnn-frontend (PR 650)"),
}


@dataclass(frozen=True)
class Device:
    """What a device is. `cache_bytes` is the last cache before memory: L2 of a GPU, the largest level of a CPU."""

    device: str
    name: str
    units: int  # streaming multiprocessors, or the threads that torch uses
    memory_bytes: int
    cache_bytes: int | None
    source: str
    torch: str
    triton: str | None
    driver: str | None = None  # of the GPU
    fla: str | None = None  # flash-linear-attention, the peer

    @property
    def peak(self) -> Peak | None:
        return PEAKS.get(self.name)


def device_facts(device: str = "cpu") -> Device:
    """Facts about a torch device, `cpu` or `cuda[:n]`; a `ValueError` for one that is not there, or of another kind."""
    kind = torch.device(device).type if _is_device(device) else None
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device: cpu, cuda or cuda:1, got {device!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: there is no GPU that torch can use; cpu, got {device!r}")
    triton, fla = _version("triton"), _version("flash-linear-attention")
    if kind == "cuda":
        p = torch.cuda.get_device_properties(device)
        return Device(device, p.name, p.multi_processor_count, p.total_memory, p.L2_cache_size,
                      "torch.cuda.get_device_properties", torch.__version__, triton, driver_version(), fla)  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(device, _cpu_name(), torch.get_num_threads(), memory, _cpu_cache(),
                  "/proc/cpuinfo, /sys/devices/system/cpu, sysconf", torch.__version__, triton, fla=fla)  # fmt: skip


def driver_version(file: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """Of NVIDIA's kernel module, None where the system does not say."""
    try:
        found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", file.read_text())
    except OSError:
        return None
    return found[0] if found else None


def _is_device(device: str) -> bool:
    try:
        torch.device(device)
    except RuntimeError:
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _cpu_cache(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Bytes of the largest cache that the first core sees, None where the system does not say."""
    units, sizes = {"K": 2**10, "M": 2**20}, []
    for file in folder.glob("index*/size"):
        text = file.read_text().strip()
        if text[:-1].isdigit() and text[-1:] in units:
            sizes.append(int(text[:-1]) * units[text[-1]])
    return max(sizes, default=None)
