"""What Kimi delta attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, power_of_two, whole_chunks
from recallscope_kernels.ops.delta_rule.cost import CHUNK, delta_rule_backward


def kda_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """Cost of one call on all B sequences and H heads, in the WY form; β and ln α in the precision of the operands.

    As the delta rule's, `6 K V` a token forward, `2 V` a pair of a chunk to read, and for each pair of two tokens
    `2 K` to score, `2 K` for the system and `2 (K + V)` to solve it; halving the chunk (see `gla`) runs no more scores
    than these. Useful backward: twice that. Executed: whole chunks, C the smaller of `chunk` and the power of two from
    T on. Keys of 1 channel have a scalar decay, whose scores are the whole square. Left out: the decays, elementwise.
    """
    check_mode(mode)
    sequences, state = shape.B * shape.H, shape.K * shape.V
    token = itemsize * (3 * shape.K + 2 * shape.V + 1)
    if mode == "decode":
        return decode_cost(shape, 6 * state, state, state_itemsize, token)
    chunk, width = min(chunk, power_of_two(shape.T)), shape.K + shape.V
    kept = pairs(shape.T, chunk)
    useful = 6 * state * shape.T + 2 * shape.V * kept + 2 * (2 * shape.K + width) * (kept - shape.T)
    tokens = whole_chunks(shape.T, chunk)
    scores = 4 * chunk if shape.K == 1 else 2 * (chunk - 1) * shape.K
    executed = tokens * (6 * state + scores + 2 * chunk * shape.V + (chunk - 1) * width)
    moved = shape.T * token
    if mode == "bwd":
        useful, executed = 2 * useful, delta_rule_backward(executed, tokens, chunk, state, width)
        moved = shape.T * itemsize * (6 * shape.K + 3 * shape.V + 2)
    known = sequences * executed if implementation == "chunked" else None
    return Cost(sequences * useful, known, sequences * moved, sequences * state)
