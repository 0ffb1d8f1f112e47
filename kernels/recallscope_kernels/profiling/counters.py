"""What Nsight Compute counted: its names on Hopper, the weight of each, and its raw CSV page as FLOPs and bytes.

Nothing here needs a GPU; `counting` runs Nsight Compute.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

TENSOR = "sm__ops_path_tensor_{}.sum"  # these count FLOPs, 2 a multiply-add: no weight by the size of the instruction
SASS = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"  # instructions of single threads

# Metrics of compute capability 9.0 for each quantity, with weights. Tensor cores: the two instruction families apart
# (wgmma as hgmma, mma.sync as hmma); their aggregate is never added to them.
METRICS: dict[str, dict[str, int]] = {
    "hbm_bytes": {"dram__bytes_read.sum": 1, "dram__bytes_write.sum": 1},
    "l2_bytes": {"lts__t_bytes.sum": 1},
    "bfloat16": {TENSOR.format(f"op_{op}_src_bf16_dst_fp32_sparsity_off"): 1 for op in ("hgmma", "hmma")},
    "float16": {
        TENSOR.format(f"op_{op}_sparsity_off"): 1
        for op in ("hgmma_src_fp16", "hmma_src_fp16_dst_fp32", "hmma_src_fp16_dst_fp16")
    },
    "tensorfloat32": {TENSOR.format(f"op_{op}_src_tf32_dst_fp32_sparsity_off"): 1 for op in ("hgmma", "hmma")},
    "float8": {TENSOR.format("src_fp8_sparsity_off"): 1},
    "float32": {SASS.format("fadd"): 1, SASS.format("fmul"): 1, SASS.format("ffma"): 2},
    "float64": {SASS.format("dadd"): 1, SASS.format("dmul"): 1, SASS.format("dfma"): 2},
}
CAPABILITY = (9, 0)  # H100, H200: the device that these names were seen on
BYTES = ("hbm_bytes", "l2_bytes")
ON_TENSOR_CORES = ("bfloat16", "float16", "tensorfloat32", "float8")
MARKER = "spin_kernel"  # torch.cuda._sleep: it stands before each call
PREFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}  # decimal, also of bytes


@dataclass(frozen=True)
class Counts:
    """What one call ran and moved, summed over its kernels; None for what this device has no counter for.

    `hbm_bytes`: read and written. `flops`: by precision, on tensor cores (`ON_TENSOR_CORES`), and of single threads
    (`float32`, `float64`). Executed work: masked tiles, padding and recomputation are in it. Left out: half precision
    outside tensor cores, whose weight (1 or 2 a packed instruction) sources do not agree on; and sparse products.
    """

    kernels: int
    hbm_bytes: float | None
    l2_bytes: float | None
    flops: dict[str, float | None]

    def product_flops(self, dtype: str) -> float | None:
        """FLOPs where matrix products of this precision run: tensor cores for half precision, else threads and TF32."""
        where = ON_TENSOR_CORES if dtype in ("bfloat16", "float16") else ("float32", "tensorfloat32")
        if self.flops.get(dtype) is None:  # no counter is no zero
            return None
        return sum(self.flops.get(name) or 0.0 for name in (("float64",) if dtype == "float64" else where))


def names(quantities: Collection[str] = tuple(METRICS)) -> list[str]:
    """Names of the metrics of some quantities, as `--metrics` takes them."""
    return [name for quantity in quantities for name in METRICS[quantity]]


def quantity_of(metric: str) -> str | None:
    """The quantity that a metric is part of."""
    return next((quantity for quantity, parts in METRICS.items() if metric in parts), None)


def read_counts(text: str) -> list[Counts]:
    """Counts of each profiled call from `ncu --csv --page raw`: a header, a line of units, then a line a kernel.

    Before the kernels of each call stands the kernel `MARKER`, so that one run can count several calls. Lines of ncu
    itself (`==PROF==`) may stand anywhere. Numbers may have commas at thousands, units the prefixes K, M, G, T. A
    `ValueError` for anything else.
    """
    header, units, kernels = _table(text)
    where = header.index("Kernel Name")
    sections: list[list[list[str]]] = []
    for kernel in kernels:
        if MARKER in kernel[where]:
            sections.append([])
        elif sections:
            sections[-1].append(kernel)
        else:
            raise ValueError(f"counters: the first kernel is {MARKER}, got {kernel[where]!r}")
    return [_counts(header, units, section) for section in sections]


def _table(text: str) -> tuple[list[str], list[str], list[list[str]]]:
    lines = list(_cells(text))
    if not lines or "Kernel Name" not in lines[0]:
        raise ValueError(f"counters: a raw page in CSV, with a column 'Kernel Name', got {text.strip()[:80]!r}")
    if len(lines) < 2 or lines[1][0]:
        raise ValueError("counters: units in the line after the header, got none")
    ragged = [line for line in lines if len(line) != len(lines[0])]
    if ragged:
        raise ValueError(f"counters: {len(lines[0])} cells a line, got {len(ragged[0])}; the output was cut off")
    return lines[0], lines[1], lines[2:]


def _cells(text: str) -> Iterator[list[str]]:
    quoted = [line for line in text.splitlines() if line.startswith('"')]
    start = next((i for i, line in enumerate(quoted) if line.startswith('"ID"')), len(quoted))
    yield from csv.reader(quoted[start:])


def _counts(header: list[str], units: list[str], kernels: list[list[str]]) -> Counts:
    found = {quantity: _quantity(quantity, header, units, kernels) for quantity in METRICS}
    flops = {quantity: value for quantity, value in found.items() if quantity not in BYTES}
    return Counts(len(kernels), found["hbm_bytes"], found["l2_bytes"], flops)


def _quantity(quantity: str, header: list[str], units: list[str], kernels: list[list[str]]) -> float | None:
    total = 0.0
    for metric, weight in METRICS[quantity].items():
        if metric not in header:
            return None
        column = header.index(metric)
        scale = _scale(metric, units[column], quantity in BYTES)
        for kernel in kernels:
            value = _number(metric, kernel[column])
            if value is None:
                return None
            total += weight * scale * value
    return total


def _scale(metric: str, unit: str, of_bytes: bool) -> int:
    """How many bytes, or counts, one of this unit is: `Mbyte`, `inst`, nothing at all."""
    found = re.fullmatch(r"([KMGT]?)(byte|inst|instruction|op|flop|thread inst)?s?", unit)
    if found is None or (found[2] == "byte") != of_bytes:
        raise ValueError(f"counters: {metric} in {'bytes' if of_bytes else 'counts'}, got {unit!r}")
    return PREFIXES[found[1]]


def _number(metric: str, text: str) -> float | None:
    """`1,234.5`; None where nothing was counted (`n/a`, `no data`, an empty cell)."""
    if text.strip().lower() in ("", "n/a", "nan", "no data"):
        return None
    if not re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+(\.\d+)?(e[+-]?\d+)?", text.strip()):
        raise ValueError(f"counters: {metric} as a number like 1,234.5, got {text!r}")
    return float(text.replace(",", ""))


def refusal(log: str) -> str | None:
    """Why Nsight Compute counted nothing, in one line, from what it wrote; None if it did not complain."""
    errors = [line.partition("==ERROR==")[2].strip() for line in log.splitlines() if line.startswith("==ERROR==")]
    text = "\n".join(errors)
    if "ERR_NVGPUCTRPERM" in log:
        return (
            "not permitted here (ERR_NVGPUCTRPERM): run as root, or load the driver with"
            " NVreg_RestrictProfilingToAdminUsers=0; a container needs CAP_SYS_ADMIN"
        )
    if "driver resource was unavailable" in text:
        return "another tool holds the counters of this GPU (DCGM does, for one)"
    if unknown_metrics(log):
        return f"this Nsight Compute knows no {', '.join(unknown_metrics(log))} on this device"
    if errors:
        return f"Nsight Compute failed: {errors[0]}"
    return "Nsight Compute saw no kernel" if "No kernels were profiled" in log else None


def unknown_metrics(log: str) -> list[str]:
    """Metrics of `METRICS` that an error of Nsight Compute says it cannot find."""
    lines = [line for line in log.splitlines() if line.startswith("==ERROR==") and "metric" in line.lower()]
    return [name for name in names() if any(_names(name, line) for line in lines)]


def _names(metric: str, line: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){re.escape(metric.removesuffix('.sum'))}(\.sum)?(?!\w)", line))
