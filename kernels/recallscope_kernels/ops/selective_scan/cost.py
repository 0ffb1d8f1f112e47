"""What the selective scan computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, power_of_two, whole_chunks
from recallscope_kernels.ops.selective_scan.scan import scan_chunk_flops

CHUNK = 16


def selective_scan_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """Cost of one call on all B sequences and H heads; all operands in the same precision.

    Useful: `2 K V` a token to go on with the state (a multiply-add an element, no matrix product) and `2 K V` to read
    it; backward goes on twice, once with the states and once with their gradients, and takes three products, `10 K V`.
    Executed: whole chunks, C the smaller of `chunk` and the power of two from T on; a scan by halving takes
    `2 (2 C - 1 - log₂ C)` an element for C tokens. The rates, K V a head, are read once for all sequences. Left out:
    the exponentials, K V a token, which are what takes the time, and other elementwise work.
    """
    check_mode(mode)
    sequences, state = shape.B * shape.H, shape.K * shape.V
    token, rates = itemsize * (2 * shape.K + 3 * shape.V), itemsize * shape.H * state
    if mode == "decode":
        step = decode_cost(shape, 4 * state, state, state_itemsize, token)
        return Cost(step.useful_flops, step.executed_flops, step.fused_bytes + rates, step.state_elements)
    scans, products = (1, 1) if mode == "fwd" else (2, 3)
    chunk = min(chunk, power_of_two(shape.T))
    chunks = whole_chunks(shape.T, chunk) // chunk
    executed = sequences * state * chunks * (scans * scan_chunk_flops(chunk) + products * 2 * chunk)
    useful = sequences * state * shape.T * 2 * (scans + products)
    moved = sequences * shape.T * token + rates
    if mode == "bwd":
        moved = sequences * shape.T * itemsize * (4 * shape.K + 5 * shape.V) + 2 * rates
    return Cost(useful, executed if implementation == "chunked" else None, moved, sequences * state)
