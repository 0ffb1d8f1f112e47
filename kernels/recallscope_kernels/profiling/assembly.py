"""Compiling a Triton kernel ahead of time, and what its machine code says of it. No GPU needed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Compiled:
    """Facts of one compilation: registers, stack and spills of a thread, shared memory of a program, static counts.

    `loop_instructions` are those of the longest loop, once through, for one warp (0: no loop); so many `loop_waits` are
    waits for products. These are `serialized` where ptxas waits for each by itself, which it says with a reason.
    `issue_cycles` is the least that a program takes of a multiprocessor, which issues for four warps in a cycle: once
    through the loop, or all of a kernel that has none.
    """

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
    instructions: int
    loop_instructions: int
    loop_waits: int
    serialized: bool
    issue_cycles: float


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
    wgmma, mma, shuffles, barriers = (_count(name, code) for name in (r"HGMMA\.", r"HMMA\.", r"SHFL\.", r"BAR\.SYNC"))
    instructions, loop = _instructions(code)
    return Compiled(
        kernel.__name__, f"sm_{capability}", warps, stages, int(used[1]), stack, stores, loads, built.metadata.shared,
        wgmma, mma, shuffles, barriers, len(instructions), len(loop), _count(r"WARPGROUP\.DEPBAR", "\n".join(loop)),
        "are serialized" in report,
        warps * len(loop or instructions) / 4,
    )  # fmt: skip


def _count(name: str, code: str) -> int:
    return len(re.findall(rf"\b{name}", code))


def _instructions(code: str) -> tuple[list[str], list[str]]:
    """All, and those from a label to the last jump back to it, of the loop that has the most (a trap has one)."""
    labels: dict[str, int] = {}
    found: list[str] = []
    longest: list[str] = []
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(found)
        elif re.search(r"/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?[A-Z]", line):
            found.append(line)
            jump = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", line)
            if jump and len(found) - labels.get(jump[1], len(found)) > max(len(longest), 1):
                longest = found[labels[jump[1]] :]
    return found, longest


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
