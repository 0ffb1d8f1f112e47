"""Checks of the machine: torch and its devices, Triton, counters and energy, the browser, the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from recallscope.doctor.findings import Finding

PARAMETERS = Path("/proc/driver/nvidia/params")
"""What NVIDIA's kernel module was started with."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SPACE = 1e9
"""Bytes free below which a line is said: a slice of 10 M tokens writes some hundred MB."""


def torch_build(part: str) -> list[Finding]:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "for CPU"
    return [Finding(part, "ok", f"{torch.__version__} {build}, {torch.get_num_threads()} threads of {os.cpu_count()}")]


def gpu(part: str) -> list[Finding]:
    import torch

    if not torch.cuda.is_available():
        why = "this torch is built without CUDA" if not torch.version.cuda else "torch finds none"
        return [Finding(part, "absent", f"{why}: everything runs on the CPU, kernels in Triton's interpreter")]
    found = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return [Finding(part, "ok", f"{one.name}, {one.total_memory / 2**30:.0f} GiB") for one in found]


def triton(part: str) -> list[Finding]:
    if find_spec("triton") is None:
        return [
            Finding(part, "absent", "kernels have their torch paths", "pip install -e '.[triton]' -c constraints.txt")
        ]
    import triton

    return [Finding(part, "ok", triton.__version__)]


def counters(part: str) -> list[Finding]:
    """Nsight Compute, and whether the driver lets this user count."""
    path = shutil.which("ncu")
    if path is None:
        remedy = "install Nsight Compute to count FLOPs and bytes" if PARAMETERS.exists() else ""
        return [Finding(part, "absent", "no ncu on PATH: FLOPs and bytes are declared, not counted", remedy)]
    if os.geteuid() != 0 and PARAMETERS.exists() and "RmProfilingAdminOnly: 1" in PARAMETERS.read_text():
        remedy = "root, or the module option NVreg_RestrictProfilingToAdminUsers=0"
        return [Finding(part, "absent", f"{path}, but only root may count here", remedy)]
    return [Finding(part, "ok", path)]


def energy(part: str) -> list[Finding]:
    import torch
    from recallscope_kernels.profiling.energy import energy_meter

    try:
        meter = energy_meter("cuda" if torch.cuda.is_available() else "cpu")
    except ValueError as error:
        return [Finding(part, "absent", str(error).partition(": ")[2])]
    return [Finding(part, "ok", meter.name)]


def browser(part: str) -> list[Finding]:
    """Pages open in any browser; headless Chromium is for the tests of them, and for SVG."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if found and driver:
        return [Finding(part, "ok", f"{found}, {driver}")]
    missing = " and ".join(name for name, path in (("chromium", found), ("chromedriver", driver)) if not path)
    return [Finding(part, "absent", f"no {missing} on PATH: tests of the pages are skipped; pages open in any browser")]


def folder(part: str) -> list[Finding]:
    """The present folder can be written to and has room."""
    here = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=here):
            pass
    except OSError as error:
        return [Finding(part, "broken", f"{here}: {error.strerror}", "give --out a folder that can be written to")]
    free = shutil.disk_usage(here).free
    if free < SPACE:
        return [Finding(part, "broken", f"{here}: {free / 1e6:.0f} MB free", "make room, or --out on another disk")]
    return [Finding(part, "ok", f"{here}: can be written to, {free / 1e9:.0f} GB free")]
