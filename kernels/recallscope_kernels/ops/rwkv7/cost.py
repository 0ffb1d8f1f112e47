"""What the generalised delta rule of RWKV-7 computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, whole_chunks

CHUNK = 64


def rwkv7_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """Cost of one call on all B sequences and H heads; ln w, a and b in the precision of the operands.

    Forward: `8 K V` a token; a pair of a chunk costs `4 K` to score (q on b and k) and `4 V` to read, and one of two
    tokens `4 K` for the system (a on b and k), `2 V` for its known side and `2 (K + V)` to solve it. Useful backward:
    twice that. Executed: whole chunks, C the smaller of `chunk` and T, only the solve triangular. Left out: the
    decays, elementwise.
    """
    check_mode(mode)
    sequences, state, width = shape.B * shape.H, shape.K * shape.V, shape.K + shape.V
    token = itemsize * (5 * shape.K + 2 * shape.V)
    if mode == "decode":
        return decode_cost(shape, 8 * state, state, state_itemsize, token)
    chunk, moved = min(chunk, shape.T), shape.T * token
    kept = pairs(shape.T, chunk)
    useful = 8 * state * shape.T + 4 * width * kept + (4 * shape.K + 2 * shape.V + 2 * width) * (kept - shape.T)
    tokens = whole_chunks(shape.T, chunk)
    executed = tokens * (8 * state + chunk * (8 * shape.K + 6 * shape.V) + (chunk - 1) * width)
    if mode == "bwd":
        useful, executed = 2 * useful, _backward(executed, tokens, chunk, state, width)
        moved = shape.T * itemsize * (10 * shape.K + 3 * shape.V)
    known = sequences * executed if implementation == "chunked" else None
    return Cost(sequences * useful, known, sequences * moved, sequences * state)


def _backward(forward: int, tokens: int, chunk: int, state: int, width: int) -> int:
    """Twice the products; a solve takes a solve and a whole product. The first and the last state need no gradient."""
    unused = 2 * chunk * state * (6 if tokens == chunk else 3)
    return 2 * forward + tokens * (chunk + 1) * width - unused
