"""FLOPs as executed: what torch's counter sees, and the products that it does not know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

aten = torch.ops.aten


def _attention(q, k, v, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop(q, k, v)


def _attention_backward(grad, q, k, v, *args, out_shape=None, **kwargs) -> int:
    return sdpa_backward_flop(grad, q, k, v)


def _multiply_add(base, a, b, *args, out_shape=None, **kwargs) -> int:
    """`base + a ⊙ b`: the recurrent states' update, 2 FLOPs an element."""
    return 2 * _elements(out_shape)


def _elements(shape: Any) -> int:
    return int(torch.Size(shape).numel())


def _real_transform(x, dim, *args, out_shape=None, **kwargs) -> int:
    """5 n log₂ n / 2 for each real transform of n points, n being a power of two."""
    return _transforms(x, x[dim[-1]])


def _inverse_transform(x, dim, normalization, last_dim_size, *args, out_shape=None, **kwargs) -> int:
    return _transforms(x, last_dim_size, spectrum=x[dim[-1]])


def _transforms(shape: Any, size: int, spectrum: int | None = None) -> int:
    count = _elements(shape) // (size if spectrum is None else spectrum)
    if size & (size - 1):
        raise ValueError(f"size: transforms of a power of two are counted, got {size}")
    return count * (5 * size * (size.bit_length() - 1) // 2)


def _convolution_backward(grad, x, weight, bias, stride, padding, dilation, transposed, *args, out_shape=None) -> int:
    """Each gradient asked for takes the products of the forward pass (torch's own formula forgets groups)."""
    wanted = sum(args[-1][:2])
    return wanted * 2 * _elements(grad) * _elements(weight) // weight[0]


def _complex_transform(x, dim, *args, out_shape=None, **kwargs) -> int:
    """The backward pass of a real transform runs a complex one: twice the work."""
    return 2 * _transforms(x, x[dim[-1]])


def _triangular_solve(a, b, *args, out_shape=None, **kwargs) -> int:
    """C² multiply-adds a column, of which half are needed; the unit triangle needs C (C − 1) / 2: C (C − 1) FLOPs."""
    *batch, rows, columns = b
    return int(torch.Size(batch).numel()) * columns * rows * (rows - 1)


FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.convolution_backward: _convolution_backward,
    aten.addcmul: _multiply_add,
    aten.addcmul_: _multiply_add,
    aten._fft_r2c: _real_transform,
    aten._fft_c2r: _inverse_transform,
    aten._fft_c2c: _complex_transform,
    aten.linalg_solve_triangular: _triangular_solve,
}


class Count:
    """Holds `flops` once the block of `count_flops` is left."""

    flops: int = 0


@contextlib.contextmanager
def count_flops() -> Iterator[Count]:
    """Count the FLOPs of products that run inside the block, forward and backward, on any device.

    Matrix products, convolutions and attention kernels by torch's counter (multiply-add 2, causal masks not halved),
    to which this adds attention on CPU, real FFTs, `addcmul` on states and triangular solves. Elementwise work is left
    out.
    """
    count = Count()
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:  # type: ignore[arg-type]
        yield count
    count.flops = int(counter.get_total_flops())
