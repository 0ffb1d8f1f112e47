"""What linear attention computes and moves, decayed or not."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, whole_chunks

CHUNK = 64


def linear_attention_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
    gates: int = 0,
) -> Cost:
    """Cost of one call on all B sequences and H heads; gates: 0, or 1 (ln α), a number a token.

    Forward `4 K V` a token and `2 (K + V)` a pair inside a chunk; backward twice that, as states and scores are kept.
    Useful: the pairs j ≤ i of a chunk. Executed: whole chunks, C the smaller of `chunk` and T. Left out: the decays,
    elementwise, `K V` a token when decoding.
    """
    check_mode(mode)
    sequences, state = shape.B * shape.H, shape.K * shape.V
    token = itemsize * (2 * shape.K + 2 * shape.V + gates)
    if mode == "decode":
        return decode_cost(shape, 4 * state, state, state_itemsize, token)
    times, chunk, moved = (1 if mode == "fwd" else 2), min(chunk, shape.T), shape.T * token
    if mode == "bwd":
        moved = shape.T * itemsize * (4 * shape.K + 3 * shape.V + 2 * gates)
    useful = times * (4 * state * shape.T + 2 * (shape.K + shape.V) * pairs(shape.T, chunk))
    tokens = whole_chunks(shape.T, chunk)
    executed = times * tokens * (4 * state + 2 * chunk * (shape.K + shape.V))
    if mode == "bwd" and tokens == chunk:  # a lone chunk reads a state, and writes one, that need no gradient
        executed -= 6 * chunk * state
    known = sequences * executed if implementation == "chunked" else None
    return Cost(sequences * useful, known, sequences * moved, sequences * state)


def simple_gla_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """`linear_attention_cost` with ln α, in the precision of the operands."""
    return linear_attention_cost(shape, mode, implementation, itemsize, state_itemsize, chunk, gates=1)
