"""FLOPs and bytes that the hardware counted, by Nsight Compute around a child process (`counted`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recallscope_kernels.profiling import counters, gpu
from recallscope_kernels.profiling.calls import Setting
from recallscope_kernels.profiling.counters import METRICS, Counts

SIZE = 1024  # of the matrix product whose count is known
KNOWN = 2 * SIZE**3
TOLERANCE = 1e-3  # of the known count: tiles of a 1024³ product are whole, so that nothing may be added


@dataclass(frozen=True)
class Counted:
    """Counts of each setting, or why there are none; and of the known product, FLOPs counted over FLOPs there are."""

    counts: dict[Setting, Counts]
    missing: dict[Setting, str]
    calibration: float


def count(settings: Sequence[Setting], device: str, seconds: float = 300, ncu: str | None = None) -> Counted:
    """Count each call once, warm, in one child under Nsight Compute; a `ValueError` says in one line why it cannot be.

    The child first multiplies two known bfloat16 matrices: if their count is off, nothing is reported. Caches are
    emptied before every kernel (Nsight Compute's `--cache-control all`, without which bytes of a second pass over the
    same kernel are too few): what a later kernel of one call would find in L2 counts as read from memory. Bytes that
    are still in L2 when a kernel ends are not counted as written: up to 60 MB on an H200.
    """
    found, quantities = check_counters(device, ncu), list(METRICS)
    while True:
        said, log = _run(command(found, counters.names(quantities), settings, device), seconds)
        unknown = {counters.quantity_of(metric) for metric in counters.unknown_metrics(log)}
        if not unknown or "bfloat16" in unknown:  # without that there is no calibration
            break
        quantities = [quantity for quantity in quantities if quantity not in unknown]
    why_not = counters.refusal(log)
    if why_not or not said:
        raise ValueError(f"counters: {why_not or f'the child process failed: {last_line(log)}'}")
    return result(settings, said, log)


def check_counters(device: str, ncu: str | None = None) -> str:
    """The Nsight Compute to run; a `ValueError` where there is none, or none of whose metrics is known by name.

    Whether its counters are permitted shows only when it counts.
    """
    if torch.device(device).type != "cuda":
        raise ValueError(f"counters: Nsight Compute counts on a GPU, got {device!r}")
    found = ncu or shutil.which("ncu")
    if found is None:
        raise ValueError("counters: Nsight Compute (ncu) is not on the path")
    capability = gpu.capability(device)
    if capability != counters.CAPABILITY:
        known, got = (".".join(map(str, pair)) for pair in (counters.CAPABILITY, capability))
        raise ValueError(f"counters: metrics are known by name for compute capability {known}, this device has {got}")
    return found


def result(settings: Sequence[Setting], said: Sequence[str | None], log: str) -> Counted:
    """Counts from what the child said of each call (None: done, else why not; the known product first) and the CSV."""
    sections, done = counters.read_counts(log), [reason is None for reason in said]
    whole = len(said) == len(settings) + 1  # else the child died in the call after
    if not done[0] or len(sections) < sum(done) or (whole and len(sections) > sum(done)):
        raise ValueError(f"counters: kernels of {sum(done)} calls, the known product first, got {len(sections)}")
    product = sections[0].flops.get("bfloat16")
    if product is None or abs(product / KNOWN - 1) > TOLERANCE:
        got = "nothing" if product is None else f"{product:,.0f}"
        raise ValueError(f"counters: a {SIZE}³ product has {KNOWN:,} FLOPs, counted {got}: not to be trusted")
    rest = iter(sections[1:])
    reasons = [*said[1:], *["the child process ended before it"] * (len(settings) + 1 - len(said))]
    each = dict(zip(settings, reasons, strict=True))
    counts = {setting: next(rest) for setting, reason in each.items() if reason is None}
    return Counted(counts, {s: reason for s, reason in each.items() if reason is not None}, product / KNOWN)


def command(ncu: str, metrics: Sequence[str], settings: Sequence[Setting], device: str) -> list[str]:
    """The command line: only profiled ranges, all kernels of them, numbers in base units, clocks as they are."""
    options = {
        "--page": "raw", "--print-units": "base", "--profile-from-start": "off", "--target-processes": "all",
        "--cache-control": "all", "--clock-control": "none", "--metrics": ",".join(metrics),
    }  # fmt: skip
    child = [sys.executable, "-m", "recallscope_kernels.profiling.counted"]
    given = json.dumps({"device": device, "settings": [setting.as_json() for setting in settings]})
    return [ncu, "--csv", *(word for option in options.items() for word in option), *child, given]


def _run(call: list[str], seconds: float) -> tuple[list[str | None], str]:
    """What the child said of each call, and what Nsight Compute wrote, which goes to a file, apart from the child's."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ncu.log"
        # Commas at thousands and a decimal point, whatever the language of the machine.
        environment = os.environ | {"LC_ALL": "C", "PYTHONPATH": _path()}
        call = [call[0], "--log-file", str(log), *call[1:]]
        try:
            done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ValueError(f"counters: Nsight Compute took more than {seconds:g} seconds") from None
        except OSError as error:
            raise ValueError(f"counters: {call[0]} cannot be run ({error.strerror})") from None
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return _said(done.stdout), text if text.strip() else f"{done.stdout}\n{done.stderr}"


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _path() -> str:
    """Where the child finds this package, installed or not."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


def _said(stdout: str) -> list[str | None]:
    """`{"reason": null}` a line for a call that was made, else why it was not; other lines are a library's."""
    lines = [line for line in stdout.splitlines() if line.startswith('{"reason":')]
    return [json.loads(line)["reason"] for line in lines]
