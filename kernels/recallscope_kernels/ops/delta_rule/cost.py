"""What the delta rule computes and moves, gated or not."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, whole_chunks

CHUNK = 64


def delta_rule_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
    gates: int = 1,
) -> Cost:
    """Cost of one call on all B sequences and H heads, in the WY form; gates: 1 (β) or 2 (β, ln α), a number a token.

    Forward: `6 K V` a token; a pair of a chunk costs `2 K` to score, `2 V` to read, and below the diagonal `2 K` for
    the system and `2 (K + V)` to solve it. Useful backward: twice that. Executed: whole chunks, C the smaller of
    `chunk` and T, only the solve triangular. Left out: the decays, elementwise.
    """
    check_mode(mode)
    sequences, state = shape.B * shape.H, shape.K * shape.V
    token = itemsize * (2 * shape.K + 2 * shape.V + gates)
    if mode == "decode":
        return decode_cost(shape, 6 * state, state, state_itemsize, token)
    chunk, width = min(chunk, shape.T), shape.K + shape.V
    kept = pairs(shape.T, chunk)
    useful = 6 * state * shape.T + 2 * width * kept + 2 * (shape.K + width) * (kept - shape.T)
    tokens = whole_chunks(shape.T, chunk)
    executed = tokens * (6 * state + 2 * chunk * (shape.K + width) + (chunk - 1) * width)
    moved = shape.T * token
    if mode == "bwd":
        useful, executed = 2 * useful, delta_rule_backward(executed, tokens, chunk, state, width)
        moved = shape.T * itemsize * (4 * shape.K + 3 * shape.V + 2 * gates)
    known = sequences * executed if implementation == "chunked" else None
    return Cost(sequences * useful, known, sequences * moved, sequences * state)


def delta_rule_backward(forward: int, tokens: int, chunk: int, state: int, width: int) -> int:
    """Twice the products; a solve takes a solve and a whole product. The first and the last state need no gradient."""
    unused = 2 * chunk * state * (3 + (tokens == chunk))
    return 2 * forward + tokens * (chunk + 1) * width - unused


def gated_delta_rule_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """`delta_rule_cost` with ln α beside β, in the precision of the operands."""
    return delta_rule_cost(shape, mode, implementation, itemsize, state_itemsize, chunk, gates=2)
