"""What causal softmax attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, pairs


def attention_cost(
    shape: Shape, mode: str = "fwd", implementation: str = "flash", itemsize: int = 2, state_itemsize: int = 0
) -> Cost:
    """Cost of one call on all B sequences and H heads, keys and values of as many heads.

    Useful: `2 (K + V)` a pair forward; backward `2 (2 K + 2 V)`, plus `2 K` where scores are computed again (all but
    `math`, which keeps them). Executed: the whole T × T square, as torch counts. A kernel that skips whole tiles above
    the diagonal runs between the two; which ones do is not modelled, and nothing of the FlashAttention libraries is.
    Decoding attends to T tokens of context and itself, and reads their keys and values, in the precision of the
    operands (`state_itemsize` is not used). Bytes include the log-sum-exp, float32. Left out: the softmax, some 5 a
    pair.
    """
    check_mode(mode)
    sequences, width = shape.B * shape.H, shape.K + shape.V
    again = 0 if implementation == "math" else 2 * shape.K
    each = 4 * width + again if mode == "bwd" else 2 * width
    if mode == "decode":
        useful = executed = (shape.T + 1) * each
        moved = (shape.T + 1) * itemsize * width + itemsize * width
    else:
        useful, executed = pairs(shape.T, shape.T) * each, shape.T**2 * each
        moved = shape.T * (itemsize * 2 * width + 4 if mode == "fwd" else itemsize * 4 * width + 8)
    known = None if implementation.startswith("flash-attn") else sequences * executed
    skips = mode != "decode" and implementation != "math"
    return Cost(sequences * useful, known, sequences * moved, sequences * shape.T * width, skips)
