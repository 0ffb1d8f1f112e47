"""What the tests of operators share: operands with poison around them, and one way to compare."""

from __future__ import annotations

import torch
from recallscope_kernels.ops import OPERATORS, Shape, operands
from torch import Tensor

LENGTHS = (1, 63, 64, 65, 130)
# ‖got - want‖ / max(‖want‖, 1), want in float64; half precision rounds its results by up to 2⁻¹¹ and 2⁻⁹ each
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 3e-6,
    torch.float16: 1e-3,
    torch.bfloat16: 4e-3,
}


def assert_close(name: str, got: Tensor, want: Tensor, dtype: torch.dtype) -> None:
    """Fails with the name, the relative error, and the largest difference and where it is."""
    assert got.shape == want.shape, f"{name}: {list(got.shape)} for {list(want.shape)}"
    if not got.numel():
        return
    difference = (got.double() - want.double()).abs()
    error = (difference.norm() / want.double().norm().clamp(min=1)).item()
    worst = torch.unravel_index(difference.argmax(), difference.shape)
    said = f"{name}: {error:.1e}, largest {difference.max():.1e} at {[int(i) for i in worst]}"
    assert error <= TOLERANCES[dtype], said


def poisoned(u: Tensor) -> Tensor:
    """The same values in the middle of NaN, with strides that are not those of a whole tensor."""
    batch, time, heads, *width = u.shape
    around = u.new_full((batch, time + 70, heads + 1, *width), torch.nan)
    around[:, 3 : 3 + time, :heads] = u
    return around[:, 3 : 3 + time, :heads]


def make(name: str, time: int, dtype: torch.dtype, key: int = 16, value: int = 16) -> list[Tensor]:
    """Of 2 sequences and 2 heads."""
    return operands(name, Shape(2, time, 2, key, value), dtype)


def some_state(name: str, dtype: torch.dtype, key: int = 16, value: int = 16) -> Tensor:
    """The state after 20 other tokens."""
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    given = operands(name, Shape(2, 20, 2, key, value), torch.float64, seed=7)
    return OPERATORS[name].reference(*given)[1].to(sums)


def gradients(result: tuple[Tensor, Tensor | None], inputs: list[Tensor], retain: bool = False) -> tuple[Tensor, ...]:
    """Of a fixed random weighting of outputs, and of the final state if there is one."""
    generator = torch.Generator().manual_seed(3)
    total = torch.zeros((), dtype=torch.float64)
    for u, weight in zip(result, (1.0, 0.01), strict=True):
        if u is not None:
            direction = torch.randn(u.shape, generator=generator, dtype=torch.float64).to(u.device)
            total = total + (weight * u.double() * direction).sum().cpu()
    return torch.autograd.grad(total, inputs, retain_graph=retain)
