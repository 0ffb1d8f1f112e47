"""What a short causal convolution computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode

TAPS = 4


def short_convolution_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "torch",
    itemsize: int = 2,
    state_itemsize: int | None = None,
    taps: int = TAPS,
    silu: bool = False,
) -> Cost:
    """Cost of one call on B sequences of H V channels with n `taps`; K is not used.

    `2 n` FLOPs for each channel and token, backward twice that; with SiLU the sums are computed again, once in torch,
    and by the kernel for each of the n outputs that an input reaches. These are its only products, so here they count
    though they are elementwise. The state is in the precision of the operands (`state_itemsize` None). Left out: SiLU
    itself, and what tiles of the kernel add at the ends of T and of the channels.
    """
    check_mode(mode)
    channels = shape.H * shape.V
    state = shape.B * (taps - 1) * channels
    if mode == "decode":
        flops = forward_flops(shape.B * channels, taps)
        moved = itemsize * channels * (2 * shape.B + taps) + 2 * (state_itemsize or itemsize) * state
        return Cost(flops, flops, moved, state)
    elements = shape.B * shape.T * channels
    arrays = (2 if mode == "fwd" else 3) * elements + (1 if mode == "fwd" else 2) * taps * channels
    if mode == "fwd":
        flops = executed = forward_flops(elements, taps)
    else:
        flops, executed = (backward_flops(elements, taps, silu, name) for name in ("torch", implementation))
    return Cost(flops, executed, itemsize * arrays, state)


def forward_flops(elements: int, taps: int) -> int:
    """2 n for each output."""
    return 2 * taps * elements


def backward_flops(elements: int, taps: int, silu: bool, implementation: str) -> int:
    """2 n each for the gradients of inputs and taps; with SiLU 2 n for each sum that is computed again."""
    again = (taps if implementation == "triton" else 1) if silu else 0
    return (2 + again) * forward_flops(elements, taps)
