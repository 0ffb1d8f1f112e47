"""Our Triton kernels compiled ahead of time: registers, spills, shared memory, products, instructions. No GPU needed.

Run as a program it compiles our kernels and prints one JSON object a row; it needs Triton without
TRITON_INTERPRET, which turns kernels into Python functions that cannot be compiled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from recallscope_kernels.profiling.assembly import Compiled, compile_kernel

HEADS = 16  # of contiguous operands: steps from token to token are known when a kernel of Based is compiled


def compiled_based(
    part: str = "forward",
    value_width: int = 64,
    dtype: str = "bf16",
    keep: bool = False,
    warps: int | None = None,
    stages: int | None = None,
) -> Compiled:
    """A kernel of Based at K = 16, with the tiles that it is started with; `keep` with states in and out.

    Parts are `forward`, the backward kernels `query` and `key`, and `encode` and `asked`, which sum spans for them.
    """
    from recallscope_kernels.ops.based import (
        asked_kernel,
        encode_kernel,
        forward_kernel,
        key_gradient_kernel,
        launch,
        query_gradient_kernel,
    )

    kernel = {
        "forward": forward_kernel.based_forward_kernel,
        "query": query_gradient_kernel.based_query_gradient_kernel,
        "key": key_gradient_kernel.based_key_gradient_kernel,
        "encode": encode_kernel.based_encode_kernel,
        "asked": asked_kernel.based_asked_kernel,
    }[part]
    half = {n: f"*{dtype}" for n in ("q", "k", "v", "grad", "o", "dq", "dk", "dv")}
    sums = ("normaliser", "delta", "state", "moments", "state_out", "moments_out")
    types = half | {n: "*fp32" for n in sums} | {f"{u}_{n}": "i32" for u in "qkvg" for n in "bh"}
    types |= {"scale": "fp32", "unit": "fp32", "B": "i32", "T": "i32", "SPAN": "i32"}
    strides = {"q_t": 16 * HEADS, "k_t": 16 * HEADS, "v_t": value_width * HEADS, "g_t": value_width * HEADS}
    constants = strides | {
        "H": HEADS,
        "V": value_width,
        "VALUES": launch.values_per_program(value_width),
        "C": launch.CHUNK,
    }
    constants |= {"HAS_STATE": keep, "KEEP": keep}
    tiles = warps or launch.LAUNCH["num_warps"], stages or launch.LAUNCH["num_stages"]
    return compile_kernel(kernel, _own(kernel, types), _own(kernel, constants), *tiles)


def compiled_decode(key_width: int = 16, value_width: int = 64, dtype: str = "bf16") -> Compiled:
    """The Based decoding kernel, with the tiles that it is started with."""
    from recallscope_kernels.ops.based import decode_kernel, feature_count, launch

    pointers = {n: f"*{dtype}" for n in ("q", "k", "v", "o")}
    types = pointers | {"state": "*fp32", "root": "fp32"}
    constants = {"FEATURES": feature_count(key_width), "K": key_width, "V": value_width}
    constants |= launch.decode_tiles(key_width, value_width)
    return compile_kernel(decode_kernel.based_decode_kernel, types, constants, constants.pop("num_warps"), 3)


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
    "based_encode": partial(compiled_based, part="encode"),
    "decode": compiled_decode,
    "matrix_decode": compiled_matrix_decode,
    "short_convolution": compiled_short_convolution,
}
ROWS = [
    {},
    {"keep": True},
    *({"kernel": "based_backward", "part": part, "keep": keep} for part in ("query", "key") for keep in (False, True)),
    {"kernel": "based_encode"},
    {"kernel": "based_encode", "part": "asked"},
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
