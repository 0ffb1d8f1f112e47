"""What Based's linear attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, decode_cost, pairs, squares, whole_chunks
from recallscope_kernels.ops.based.reference import feature_count

CHUNK = 64
PACKED = (
    160  # feature columns of the Triton kernel at K = 16: 9 slices of rolled products, 16 each, and 16 of first order
)


def based_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
) -> Cost:
    """Cost of one call on all B sequences and H heads.

    Useful products are those of the chunked form with F symmetric features and the V + 1 columns of values and
    normaliser: `4 F (V + 1)` a token, and `2 (K + V + 1)` for each pair inside a chunk. Bytes do not include states in
    or out of a whole sequence (`state_itemsize F (V + 1)` each); decoding reads and writes the state. Left out:
    elementwise work (features, 1 + s + s²/2, the division), 3 F or so a token, and all that spans of time repeat.
    """
    check_mode(mode)
    state = feature_count(shape.K) * (shape.V + 1)
    sequences, token = shape.B * shape.H, itemsize * (2 * shape.K + 2 * shape.V)
    if mode == "decode":
        return decode_cost(shape, 4 * state, state, state_itemsize, token)
    counted = {"fwd": forward_flops, "bwd": backward_flops}[mode]
    useful, executed = counted(shape, pairs(shape.T, chunk)), counted(shape, squares(shape.T, chunk))
    if implementation == "triton":
        executed = {"fwd": triton_forward_flops, "bwd": triton_backward_flops}[mode](shape)
    moved = shape.T * (token if mode == "fwd" else itemsize * (4 * shape.K + 4 * shape.V) + 4)
    known = None if implementation.startswith("fla") else executed
    return Cost(useful, known, sequences * moved, sequences * state)


def forward_flops(shape: Shape, score_entries: int) -> int:
    """`N [4 F (V + 1) T + 2 (K + V + 1) P]`, P score entries: update the state, read it, and the chunk's own pairs."""
    values = shape.V + 1
    state = 4 * feature_count(shape.K) * values * shape.T
    return shape.B * shape.H * (state + 2 * (shape.K + values) * score_entries)


def backward_flops(shape: Shape, score_entries: int) -> int:
    """`N [10 F (V + 1) T + 2 (3 K + 2 (V + 1)) P]`: states are computed again, and so are the scores."""
    values = shape.V + 1
    state = 10 * feature_count(shape.K) * values * shape.T
    return shape.B * shape.H * (state + 2 * (3 * shape.K + 2 * values) * score_entries)


def cut(time: int, spans: int, chunk: int = CHUNK) -> tuple[int, int]:
    """Tokens of all spans of time but the last, which may have fewer: whole chunks; and how many spans that makes."""
    span = max(-(-time // (spans * chunk)), 1) * chunk
    return span, -(-time // span)


def triton_forward_flops(shape: Shape, spans: int = 1, chunk: int = CHUNK) -> int:
    """Products of the Triton kernel (K = 16), on whole chunks and per block of at most 64 columns of V.

    Where time is cut into spans, all but the last are encoded too; scores of a span's first chunk are used twice.

    A token and block: update and read of the packed state, `4 · 160 V`; scores and their use, `2 C (16 + V)`; rolled
    copies of q and k, `4 · 16 · 160`; the normaliser's Σ k kᵀ and Σ k, 16 × 16 each, and their reads, `8 · 16 · 16`.
    """
    block = min(shape.V, 64)
    each = 4 * PACKED * block + 2 * chunk * (16 + block) + 4 * 16 * PACKED + 8 * 16 * 16
    span, made = cut(shape.T, spans, chunk)
    first = made * 2 * chunk * chunk * (16 + block)
    kernel = shape.B * shape.H * (shape.V // block) * (whole_chunks(shape.T, chunk) * each + first)
    return kernel + triton_encode_flops(shape, max(made - 1, 0) * span, chunk)


def triton_encode_flops(shape: Shape, tokens: int, chunk: int = CHUNK) -> int:
    """Products of the Triton kernel that sums what tokens add to the state (K = 16): whole chunks, blocks of V.

    A token and block: update of the packed state, `2 · 160 V`; rolled copies of k, `2 · 16 · 160`; the normaliser's
    Σ k kᵀ and Σ k, 16 × 16 each, `4 · 16 · 16`.
    """
    block = min(shape.V, 64)
    each = 2 * PACKED * (block + 16) + 4 * 16 * 16
    return shape.B * shape.H * (shape.V // block) * whole_chunks(tokens, chunk) * each


def triton_backward_flops(shape: Shape, spans: int = 1, chunk: int = CHUNK) -> int:
    """Products of the two Triton kernels (K = 16), on whole chunks and per block of at most 64 columns of V.

    Where time is cut into spans, keys of all but the last are encoded, and so is what queries of all but the first ask.

    A token and block, queries: packed states are written and pulled from, `4 · 160 V`; rolled copies of q and k and
    what is rolled back, `6 · 16 · 160`; scores, their gradient and its use, `2 C (2 · 16 + V)`; the normaliser,
    `8 · 16 · 16`. Keys and values: the same, one more read of the state, `2 · 160 V`, and the use of scores, `2 C V`.
    """
    block = min(shape.V, 64)
    queries = 4 * PACKED * block + 6 * 16 * PACKED + 2 * chunk * (2 * 16 + block) + 8 * 16 * 16
    keys = queries + 2 * PACKED * block + 2 * chunk * block
    span, made = cut(shape.T, spans, chunk)
    encoded, asked = max(made - 1, 0) * span, max(shape.T - span, 0)
    again = triton_encode_flops(shape, encoded, chunk) + triton_encode_flops(shape, asked, chunk)
    return shape.B * shape.H * (shape.V // block) * whole_chunks(shape.T, chunk) * (queries + keys) + again


def triton_backward_bytes(shape: Shape, itemsize: int = 2) -> int:
    """What the two Triton kernels read and write for V up to 64, where `fused_bytes` has every operand once.

    A token: q, k, v and do twice, o, and the three gradients, `itemsize (6 K + 6 V)`; the normaliser twice, and
    -do·o / z out and in, 16. States in and out are left out.
    """
    if shape.V > 64:
        raise ValueError(f"shape: V of at most 64, a block of the kernels, got {shape.V}")
    return shape.B * shape.H * shape.T * (itemsize * 6 * (shape.K + shape.V) + 16)
