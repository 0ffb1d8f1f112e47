"""What compiling a Triton kernel ahead of time says of it: registers, spills, shared memory. No GPU needed.

Run as a program it compiles our kernels and prints one JSON object a row; it needs Triton without
TRITON_INTERPRET, which turns kernels into Python functions that cannot be compiled.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Compiled:
    """Facts of one compilation: registers, stack and spills of a thread, shared memory of a program, static counts."""

    kernel: str
    target: str
    warps: int
    stages: int
    registers: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int
    shared_bytes: int
    wgmma: int
    mma_sync: int
    shuffles: int
    barriers: int


def compile_kernel(
    kernel: Any, types: Mapping[str, str], constants: Mapping[str, Any], warps: int, stages: int, capability: int = 90
) -> Compiled:
    """Compile a `triton.jit` function for an NVIDIA GPU of a compute capability (90: H100, H200).

    `types` gives Triton's name of each argument's type that is no constant (`*bf16`, `i32`, `fp32`); pointers are taken
    to be aligned to 16 bytes, as torch allocates them, and so are strides, which for K = 16 they are.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if not isinstance(kernel, triton.JITFunction):
        raise ValueError("kernel: one that Triton compiles; with TRITON_INTERPRET set it makes none")
    names = kernel.arg_names
    aligned = [n for n in types if types[n].startswith("*") or re.fullmatch(r"[qkvgx]_[bth]|D", n)]
    source = ASTSource(
        kernel,
        {n: "constexpr" if n in constants else types[n] for n in names},
        constexprs={(names.index(n),): value for n, value in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in aligned},
    )
    built = triton.compile(source, GPUTarget("cuda", capability, 32), {"num_warps": warps, "num_stages": stages})
    report, code = _assembled(built.asm["ptx"], built.asm["cubin"], capability)
    frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    used = re.search(r"Used (\d+) registers", report)
    if frame is None or used is None:
        raise RuntimeError(f"ptxas said nothing of registers: {report.strip()[:200]}")
    stack, stores, loads = map(int, frame.groups())
    wgmma, mma, shuffles, barriers = (
        len(re.findall(pattern, code)) for pattern in (r"\bHGMMA\.", r"\bHMMA\.", r"\bSHFL\.", r"\bBAR\.SYNC")
    )
    return Compiled(
        kernel.__name__, f"sm_{capability}", warps, stages, int(used[1]), stack, stores, loads, built.metadata.shared,
        wgmma, mma, shuffles, barriers,
    )  # fmt: skip


def _assembled(ptx: str, cubin: bytes, capability: int) -> tuple[str, str]:
    """What ptxas reports, and the instructions."""
    from triton import knobs
    from triton.backends.nvidia.compiler import get_ptxas

    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        binary.write_bytes(cubin)
        target = re.search(r"\.target\s+(\w+)", ptx)
        call = [get_ptxas(capability).path, "-v", f"--gpu-name={target[1] if target else f'sm_{capability}'}"]
        report = subprocess.run([*call, str(source), "-o", f"{folder}/again"], capture_output=True, text=True).stderr
        code = subprocess.run([knobs.nvidia.nvdisasm.path, str(binary)], capture_output=True, text=True).stdout
    return report, code


def compiled_based(
    part: str = "forward",
    value_width: int = 64,
    dtype: str = "bf16",
    keep: bool = False,
    warps: int | None = None,
    stages: int | None = None,
) -> Compiled:
    """A kernel of Based at K = 16, with the tiles that it is started with; `keep` with states in and out.

    Parts are `forward`, the backward kernels `query` and `key`, and `encode`, which sums a prefix for `forward`.
    """
    from recallscope_kernels.ops.based import forward_kernel, key_gradient_kernel, launch, query_gradient_kernel
    from recallscope_kernels.ops.jrt_prefix import encode_kernel

    kernel = {
        "forward": forward_kernel.based_forward_kernel,
        "query": query_gradient_kernel.based_query_gradient_kernel,
        "key": key_gradient_kernel.based_key_gradient_kernel,
        "encode": encode_kernel.jrt_encode_kernel,
    }[part]
    half = {n: f"*{dtype}" for n in ("q", "k", "v", "grad", "o", "dq", "dk", "dv")}
    sums = ("normaliser", "delta", "state", "moments", "state_out", "moments_out")
    types = half | {n: "*fp32" for n in sums} | {f"{u}_{n}": "i32" for u in "qkvg" for n in "bth"}
    types |= {"scale": "fp32", "B": "i32", "T": "i32", "H": "i32"}
    constants = {"V": value_width, "VALUES": launch.values_per_program(value_width), "C": launch.CHUNK}
    constants |= {"HAS_STATE": keep, "KEEP": keep}
    started = warps or launch.WARPS, stages or launch.STAGES
    return compile_kernel(kernel, _own(kernel, types), _own(kernel, constants), *started)


def compiled_decode(key_width: int = 16, value_width: int = 64, dtype: str = "bf16") -> Compiled:
    """The Based decoding kernel, with the tiles that it is started with."""
    from recallscope_kernels.ops.based import decode_kernel, feature_count, launch

    pointers = {n: f"*{dtype}" for n in ("q", "k", "v", "o")}
    types = pointers | {"state": "*fp32", "pairs": "*i32", "scale": "fp32"}
    constants = {"FEATURES": feature_count(key_width), "K": key_width, "V": value_width}
    constants |= launch.decode_tiles(value_width)
    return compile_kernel(decode_kernel.based_decode_kernel, types, constants, launch.DECODE_WARPS, 3)


def compiled_matrix_decode(
    key_width: int = 64, value_width: int = 64, dtype: str = "bf16", delta: bool = False, decay: bool = False
) -> Compiled:
    """The decoding kernel of matrix states, with the tiles that it is started with; gates in the dtype of q."""
    from recallscope_kernels.ops.matrix_state import kernel, launch

    pointers = {n: f"*{dtype}" for n in ("q", "k", "v", "beta", "log_decay", "o")} | {"state": "*fp32"}
    strides = {f"{u}_{n}": "i32" for u in ("q", "k", "v", "beta", "log_decay") for n in "bh"}
    constants = {"K": key_width, "V": value_width, "DELTA": delta, "DECAY": decay}
    constants |= launch.tiles(key_width, value_width)
    types = pointers | {"scale": "fp32", "H": "i32"} | strides
    return compile_kernel(kernel.matrix_decode_kernel, types, constants, launch.WARPS, 3)


def compiled_short_convolution(
    part: str = "forward", silu: bool = False, dtype: str = "bf16", taps: int = 4, keep: bool = False
) -> Compiled:
    """A kernel of the short convolution, `forward`, `backward` or `step`, with the tiles that it is started with."""
    from recallscope_kernels.ops.short_convolution import kernel as kernels
    from recallscope_kernels.ops.short_convolution import launch

    kernel = {
        "forward": kernels.short_convolution_kernel,
        "backward": kernels.short_convolution_gradient_kernel,
        "step": kernels.short_convolution_step_kernel,
    }[part]
    pointers = {n: f"*{dtype}" for n in ("x", "taps", "state", "y", "grad", "dx", "dstate")} | {"dtaps": "*fp32"}
    types = pointers | {n: "i32" for n in ("x_b", "x_t", "g_b", "g_t", "T", "D")}
    tokens, channels = launch.TILES[part]
    constants = {"N": taps, "TOKENS": tokens, "CHANNELS": channels, "SPAN": launch.SPAN}
    constants |= {"HAS_STATE": keep, "SILU": silu}
    return compile_kernel(kernel, _own(kernel, types), _own(kernel, constants), launch.WARPS, 3)


def _own(kernel: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of the arguments those that this kernel has."""
    return {n: u for n, u in arguments.items() if n in kernel.arg_names}


KERNELS = {
    "based": compiled_based,
    "based_backward": partial(compiled_based, part="query"),
    "jrt_encode": partial(compiled_based, part="encode"),
    "decode": compiled_decode,
    "matrix_decode": compiled_matrix_decode,
    "short_convolution": compiled_short_convolution,
}
ROWS = [
    {},
    {"keep": True},
    *({"kernel": "based_backward", "part": part, "keep": keep} for part in ("query", "key") for keep in (False, True)),
    {"kernel": "jrt_encode"},
    *({"kernel": "short_convolution", "part": part, "silu": True} for part in ("forward", "backward", "step")),
    {"kernel": "decode"},
    {"kernel": "matrix_decode"},
    {"kernel": "matrix_decode", "decay": True},
    {"kernel": "matrix_decode", "delta": True, "decay": True},
]

if __name__ == "__main__":
    for row in json.loads(sys.argv[1]) if len(sys.argv) > 1 else ROWS:
        built = KERNELS[row.get("kernel", "based")](**{k: v for k, v in row.items() if k != "kernel"})
        print(json.dumps(row | asdict(built)), flush=True)
