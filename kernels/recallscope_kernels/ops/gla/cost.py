"""What gated linear attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, power_of_two, whole_chunks

CHUNK = 64


def gla_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """Cost of one call on all B sequences and H heads, ln α in the precision of the operands.

    Forward `4 K V` a token, `2 V` a pair of a chunk, and `2 K` a pair of two tokens: the score of a token on itself is
    a sum, not a product. Backward twice that, as states are kept. Useful: the pairs j ≤ i of a chunk. Executed: whole
    chunks, C the smaller of `chunk` and the power of two from T on; halving it spares the upper half of the scores,
    not of what multiplies v. Left out: the decays, elementwise, `K V` a token when decoding.
    """
    check_mode(mode)
    sequences, state = shape.B * shape.H, shape.K * shape.V
    token = itemsize * (3 * shape.K + 2 * shape.V)
    if mode == "decode":
        return decode_cost(shape, 4 * state, state, state_itemsize, token)
    times, chunk, moved = (1 if mode == "fwd" else 2), min(chunk, power_of_two(shape.T)), shape.T * token
    if mode == "bwd":
        moved = shape.T * itemsize * (6 * shape.K + 3 * shape.V)
    kept = pairs(shape.T, chunk)
    useful = times * (4 * state * shape.T + 2 * shape.V * kept + 2 * shape.K * (kept - shape.T))
    tokens = whole_chunks(shape.T, chunk)
    executed = times * tokens * (4 * state + (chunk - 1) * shape.K + 2 * chunk * shape.V)
    if mode == "bwd" and tokens == chunk:  # a lone chunk reads a state, and writes one, that need no gradient
        executed -= 6 * chunk * state
    known = sequences * executed if implementation == "chunked" else None
    return Cost(sequences * useful, known, sequences * moved, sequences * state)
