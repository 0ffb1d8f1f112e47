"""What an operator is given and what it costs: one shape, one cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Queries and keys `[B, T, H, K]`, values `[B, T, H, V]`; when decoding, one new token after T of context."""

    B: int
    T: int
    H: int
    K: int
    V: int

    def __post_init__(self):
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"shape: {name} is a whole number of at least 1, got {value!r}")

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in vars(self).items())


@dataclass(frozen=True)
class Cost:
    """What one call computes and moves; matrix products only, a multiply-add is 2 FLOPs.

    `useful_flops` count the pairs that the causal mask keeps, `executed_flops` the products that this implementation
    runs (whole tiles, redundant features, products that only rearrange), None for a library's own that is not modelled;
    `at_most`: the kernel leaves out tiles that the closed form counts.
    `fused_bytes` is the fused limit: every operand read once, every result written once, nothing else. `state_elements`
    is what all B sequences keep between two tokens.
    """

    useful_flops: int
    executed_flops: int | None
    fused_bytes: int
    state_elements: int
    at_most: bool = False


def decode_cost(shape: Shape, flops: int, state: int, state_itemsize: int, token: int) -> Cost:
    """Of one step on all sequences and heads: `flops` on a `state` that is read and written, and a `token` of bytes."""
    sequences = shape.B * shape.H
    return Cost(
        sequences * flops, sequences * flops, sequences * (2 * state_itemsize * state + token), sequences * state
    )


MODES = ("fwd", "bwd", "decode")


def check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode: one of {', '.join(MODES)}, got {mode!r}")


def pairs(tokens: int, chunk: int) -> int:
    """Pairs (i, j ≤ i) of tokens that lie in one chunk; `chunk ≥ tokens` gives all T (T + 1) / 2."""
    whole, rest = divmod(tokens, chunk)
    return whole * chunk * (chunk + 1) // 2 + rest * (rest + 1) // 2


def squares(tokens: int, chunk: int) -> int:
    """Entries of the square score tiles, the last one as small as what is left."""
    whole, rest = divmod(tokens, chunk)
    return whole * chunk**2 + rest**2


def power_of_two(tokens: int) -> int:
    """The least power of two that is not below T."""
    return 1 << (tokens - 1).bit_length()


def whole_chunks(tokens: int, chunk: int) -> int:
    """T rounded up to whole chunks."""
    return -(-tokens // chunk) * chunk
