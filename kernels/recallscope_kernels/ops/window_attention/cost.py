"""What sliding-window softmax attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, whole_chunks
from recallscope_kernels.ops.window_attention.reference import WINDOW


def window_attention_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "blocked",
    itemsize: int = 2,
    state_itemsize: int = 0,
    window: int = WINDOW,
) -> Cost:
    """Cost of one call on all B sequences and H heads, keys and values of as many heads.

    Useful: `2 (K + V)` a visible pair forward, of which there are `w T - w (w - 1) / 2` with `w = min(W, T)`; backward
    `2 (2 K + 2 V)`, plus `2 K` where scores are computed again (all but `blocked` where K and V differ, which keeps
    them: torch's fused attention wants them equal). Executed by `blocked`: 2 W keys for each query of the whole blocks,
    or all T if they are no more than W; the kernels' own is not modelled. Decoding reads the keys and values of W - 1
    tokens, or of T where they are fewer, in the precision of the operands (`state_itemsize` is not used). Bytes include
    the log-sum-exp, float32. Left out: the softmax.
    """
    check_mode(mode)
    sequences, width, held = shape.B * shape.H, shape.K + shape.V, min(window, shape.T)
    again = 0 if implementation == "blocked" and shape.K != shape.V else 2 * shape.K
    each = 4 * width + again if mode == "bwd" else 2 * width
    if mode == "decode":
        seen = min(shape.T + 1, window)
        flops, moved = sequences * seen * each, sequences * itemsize * width * (seen + 1)
        return Cost(flops, flops, moved, sequences * held * width)
    kept = held * shape.T - held * (held - 1) // 2
    tiles = shape.T**2 if shape.T <= window else 2 * window * whole_chunks(shape.T, window)
    moved = shape.T * (itemsize * 2 * width + 4 if mode == "fwd" else itemsize * 4 * width + 8)
    executed = sequences * tiles * each if implementation == "blocked" else None
    return Cost(sequences * kept * each, executed, sequences * moved, sequences * held * width)
