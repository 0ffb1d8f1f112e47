"""What profiling is tried on without a GPU: pages as Nsight Compute writes them, its errors, and made-up roofs.

A raw page is a header, a line of units whose first cells are empty, and a line a kernel; lines of Nsight Compute itself
(`==PROF==`) stand around, and numbers have commas at thousands.
"""

from __future__ import annotations

from typing import Any

from recallscope_kernels.profiling import Roofs, Timing, counters
from recallscope_kernels.profiling.roofs import Roof

LEFT = ("ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Kernel Time", "Context", "Stream")
SPIN = "at::cuda::<unnamed>::spin_kernel(long)"
PRODUCT = {"sm__ops_path_tensor_op_hgmma_src_bf16_dst_fp32_sparsity_off.sum": f"{2 * 1024**3:,}"}
UNITS = {
    "dram__bytes_read.sum": "byte", "dram__bytes_write.sum": "byte", "lts__t_bytes.sum": "byte",
    "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum": "inst",
}  # fmt: skip


def line(cells) -> str:
    return ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells)


def page(kernels, units=None, names=None) -> str:
    """A raw page of kernels `(name, {metric: text})`; what is not given is 0."""
    names = counters.names() if names is None else names
    units = UNITS | (units or {})
    lines = [line([*LEFT, *names]), line([*[""] * len(LEFT), *(units.get(name, "") for name in names)])]
    for i, (kernel, values) in enumerate(kernels):
        left = (i, 4242, "python3.11", "127.0.0.1", kernel, "2026-Nov-28 10:00:00", 1, 7)
        lines.append(line([*left, *(values.get(name, "0") for name in names)]))
    around = '==PROF== Connected to process 4242 (/usr/bin/python3.11)\n==PROF== Profiling "k": 0%....100% - 9 passes\n'
    return around + "\n".join(lines) + "\n==PROF== Disconnected from process 4242\n"


DENIED = (
    "==PROF== Connected to process 42 (/usr/bin/python3)\n"
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters on the"
    " target device 0. For instructions on enabling permissions and to get more information see"
    " https://developer.nvidia.com/ERR_NVGPUCTRPERM\n==PROF== Disconnected from process 42\n"
)
BUSY = (
    "==ERROR== Profiling failed because a driver resource was unavailable. Ensure that no other tool (like DCGM) is"
    " concurrently collecting profiling data. See https://docs.nvidia.com/nsight-compute/ for more details.\n"
)
UNKNOWN = "==ERROR== Failed to find metric sm__ops_path_tensor_src_fp8_sparsity_off.sum\n"


def roofs_of(facts: Any, dtype: Any, budget: float = 0.5) -> Roofs:
    """In the place of `measured_roofs`, which takes seconds: 20 GB/s and 100 GFLOP/s."""
    rates = {"copy": (10**10, "B"), "triad": (2 * 10**10, "B"), "product": (10**11, "FLOP")}
    made = {name: Roof(name, work, unit, Timing(1, 0.9, 1.1, 5)) for name, (work, unit) in rates.items()}
    return Roofs(facts, str(dtype).removeprefix("torch."), **made)
