"""Causal convolution by FFT: validation, and custom ops that torch's counter sees."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.fft_convolution.cost import transform_flops, transform_length
from recallscope_kernels.ops.fft_convolution.transforms import backward, forward


def fft_convolution(
    x: Tensor,
    taps: Tensor,
    *,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """`y_t = Σ_{j<n} h_j ⊙ x_{t-j}`, a filter of n taps for each channel: the long convolution of Hyena and H3.

    Poli et al. 2023 (arXiv 2302.10866), without their gates, which are elementwise: gate x before and y after. O(T log
    T). A channel with a NaN or an infinity is NaN as a whole, earlier tokens too, since its transform is.

    Parameters
    ----------
    x : Tensor
        `[B, T, H, V]`: H V channels; float16, bfloat16, float32 or float64. Transforms in float32 or more.
    taps : Tensor
        `[n, H, V]` in the precision of x, the first tap on the current token.
    initial_state : Tensor
        `[B, m, H, V]` in the precision of x: inputs before the first token, of which the last n - 1 count.
    output_final_state : bool
        Return the last n - 1 inputs (or fewer, if no more came), else None.
    implementation : str
        `torch`, the only one.

    Returns outputs `[B, T, H, V]` and the state. Differentiable. Raises `ValueError` for what does not fit.
    """
    _checks.check_implementation(implementation, ("torch",))
    check_convolution(x, taps, initial_state)
    past = x if initial_state is None else torch.cat([initial_state, x], 1)
    kept = max(0, past.shape[1] - len(taps) + 1)
    seen = past[:, max(0, past.shape[1] - x.shape[1] - len(taps) + 1) :]
    y, *_ = _convolve(seen, taps, x.shape[1])
    return y, past[:, kept:] if output_final_state else None


def check_convolution(x: Tensor, taps: Tensor, past: Tensor | None) -> None:
    """x `[B, T, H, V]`, taps `[n, H, V]`, and inputs `[B, m, H, V]`: one floating dtype, one device."""
    if x.dim() != 4 or 0 in x.shape:
        raise ValueError(f"x: [B, T, H, V], none of them 0, got {list(x.shape)}")
    if x.dtype not in _checks.DTYPES:
        raise ValueError(f"x: float16, bfloat16, float32 or float64, got {x.dtype}")
    batch, _, heads, value = x.shape
    if taps.dim() != 3 or list(taps.shape[1:]) != [heads, value] or not len(taps):
        raise ValueError(f"taps: [n, {heads}, {value}], n at least 1, got {list(taps.shape)}")
    if past is not None and (past.dim() != 4 or [past.shape[0], *past.shape[2:]] != [batch, heads, value]):
        raise ValueError(f"initial_state: [{batch}, m, {heads}, {value}], got {list(past.shape)}")
    for name, u in (("taps", taps), ("initial_state", past)):
        if u is not None and (u.dtype != x.dtype or u.device != x.device):
            raise ValueError(f"{name}: {x.dtype} on {x.device} as x is, got {u.dtype} on {u.device}")


_convolve = torch.library.custom_op("recallscope::fft_convolution", forward, mutates_args=())
_backward = torch.library.custom_op("recallscope::fft_convolution_backward", backward, mutates_args=())


@_convolve.register_fake
def _(x, taps, time):
    batch, _, *channels = x.shape
    bins = transform_length(time, len(taps)) // 2 + 1
    sums = torch.complex128 if x.dtype == torch.float64 else torch.complex64
    spectrum, response = (x.new_empty([*first, *channels, bins], dtype=sums) for first in ([batch], []))
    return x.new_empty([batch, time, *channels]), spectrum, response


@_backward.register_fake
def _(grad, spectrum, response, inputs, taps):
    batch, _, *channels = grad.shape
    return grad.new_empty([batch, inputs, *channels]), grad.new_empty([taps, *channels])


def _save(ctx, inputs, output):
    x, taps, _ = inputs
    ctx.sizes = x.shape[1], len(taps)
    ctx.set_materialize_grads(False)  # the spectra have none
    ctx.save_for_backward(*output[1:])


def _gradients(ctx, grad, *_):
    return *_backward(grad, *ctx.saved_tensors, *ctx.sizes), None


_convolve.register_autograd(_gradients, setup_context=_save)


@register_flop_formula(torch.ops.recallscope.fft_convolution)
def _flop(x, taps, time, *args, out_shape=None, **kwargs) -> int:
    batch, _, heads, value = x
    return (2 * batch + 1) * heads * value * transform_flops(transform_length(time, taps[0]))


@register_flop_formula(torch.ops.recallscope.fft_convolution_backward)
def _backward_flop(grad, spectrum, response, inputs, taps, *args, out_shape=None, **kwargs) -> int:
    batch, heads, value, bins = spectrum
    return (2 * batch + 1) * heads * value * transform_flops(2 * (bins - 1))
