"""What a causal convolution by FFT computes and moves."""

from __future__ import annotations

from recallscope_kernels.ops._shape import Cost, Shape, check_mode, power_of_two


def transform_length(tokens: int, taps: int) -> int:
    """The least power of two, from 2 on, at which no later token reaches an earlier one."""
    return power_of_two(max(2, tokens + taps - 1))


def transform_flops(length: int) -> int:
    """5 n log₂ n / 2, of one real transform of n points, a power of two: half of radix 2 on complex input."""
    return 5 * length * (length.bit_length() - 1) // 2


def fft_convolution_cost(
    shape: Shape,
    mode: str = "fwd",
    implementation: str = "torch",
    itemsize: int = 2,
    state_itemsize: int = 4,
) -> Cost:
    """Cost of one call on B sequences of H V channels, with as many taps as tokens; K is not used.

    Forward: a transform of each input, of each output, and of each filter, once for all sequences. Backward: a
    transform of each gradient, one of each input's gradient and one of each filter's, as spectra are kept. Useful is
    what is executed: the direct sum would take T (T + 1) for a channel, and from some 70 tokens on more than this.
    Decoding is the direct sum over T + 1 tokens, whose inputs and taps it reads in the precision of the operands; the
    taps once for all sequences. The state is the T - 1 inputs that a further token still sees. Left out: the products
    of spectra, elementwise, 3 n a channel.
    """
    check_mode(mode)
    channels, state = shape.H * shape.V, shape.B * (shape.T - 1) * shape.H * shape.V
    if mode == "decode":
        flops = 2 * shape.B * channels * (shape.T + 1)
        moved = itemsize * channels * (shape.B * (shape.T + 2) + shape.T + 1)
        return Cost(flops, flops, moved, shape.B * shape.T * channels)
    flops = (2 * shape.B + 1) * channels * transform_flops(transform_length(shape.T, shape.T))
    arrays = 2 * shape.B + 1 if mode == "fwd" else 3 * shape.B + 2
    return Cost(flops, flops, itemsize * arrays * shape.T * channels, state)
