"""What prefix linear attention computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape
from recallscope_kernels.ops.based.cost import CHUNK, based_cost, triton_encode_flops
from recallscope_kernels.ops.based.reference import feature_count


def prefix_length(tokens: int) -> int:
    """M = T / 2, rounded down: the prefix where none is given, as in the paper's training (1,024 of 2,048)."""
    return tokens // 2


def jrt_prefix_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "chunked",
    itemsize: int = 2,
    state_itemsize: int = 4,
    chunk: int = CHUNK,
    prefix: int | None = None,
) -> Cost:
    """Cost of one call on all B sequences and H heads with a `prefix` of M tokens (None: T / 2).

    That of Based; encoding adds `2 F (V + 1)` a token of the prefix, its backward pass `2 F (2 V + 1)`, and the keys
    and values of the prefix to the bytes. `triton` forward executes what its two kernels do where no gradient is
    needed; where one is, the prefix is encoded in torch, forward and backward, by the numbers above. The state between
    the two moves once more each way, which is left out as all states of a whole sequence are. Decoding is Based's.
    """
    base = based_cost(shape, mode, implementation, itemsize, state_itemsize, chunk)
    if mode == "decode":
        return base
    length = prefix_length(shape.T) if prefix is None else prefix
    tokens = shape.B * shape.H * length
    flops = {"fwd": encode_flops, "bwd": encode_backward_flops}[mode](tokens, shape.K, shape.V)
    moved = (1 if mode == "fwd" else 2) * itemsize * tokens * (shape.K + shape.V)
    encoded = triton_encode_flops(shape, length) if (mode, implementation) == ("fwd", "triton") else flops
    executed = None if base.executed_flops is None else base.executed_flops + encoded
    return Cost(base.useful_flops + flops, executed, base.fused_bytes + moved, base.state_elements)


def encode_flops(tokens: int, key_width: int, value_width: int) -> int:
    """`2 F (V + 1)` for each of so many tokens, heads and sequences together."""
    return 2 * feature_count(key_width) * (value_width + 1) * tokens


def encode_backward_flops(tokens: int, key_width: int, value_width: int) -> int:
    """`2 F (2 V + 1)`: gradients of features from V + 1 columns, of V values (that of the constant 1 is not needed)."""
    return 2 * feature_count(key_width) * (2 * value_width + 1) * tokens
