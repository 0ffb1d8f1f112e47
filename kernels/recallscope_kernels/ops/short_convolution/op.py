"""The short convolution as it is called: validation, choice of implementation, and ops that torch's counter sees."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.short_convolution import launch
from recallscope_kernels.ops.short_convolution.cost import backward_flops, forward_flops
from recallscope_kernels.ops.short_convolution.shifted import shifted_backward, shifted_forward

IMPLEMENTATIONS = ("torch", "triton")
WIDTHS = (2, 3, 4)


def short_convolution(
    x: Tensor,
    taps: Tensor,
    *,
    activation: str | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """`y_t = σ(Σ_{j<n} h_j ⊙ x_{t-j})`: how most recurrent mixers see the tokens just before, as in Mamba's blocks.

    Gu & Dao 2023 (arXiv 2312.00752), Figure 3; without a bias. NaN reaches the n outputs that see it.

    Parameters
    ----------
    x : Tensor
        `[B, T, H, V]`: H V channels, any strides; float16, bfloat16, float32 or float64. Sums in float32 or more.
    taps : Tensor
        `[n, H, V]` in the precision of x, n from 2 to 4, the first tap on the current token.
    activation : str
        `silu`, or None.
    initial_state : Tensor
        `[B, n - 1, H, V]` in the precision of x: the inputs before the first token. Zeros if None.
    output_final_state : bool
        Return the last n - 1 inputs, else None.
    implementation : str
        `torch` or `triton` (not float64). None: triton on a GPU, else torch.

    Returns outputs `[B, T, H, V]` and the state. Differentiable. Raises `ValueError` for what does not fit.
    """
    check_short_convolution(x, taps, activation, initial_state)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    silu = activation == "silu"
    run = _triton if takes_triton(x, implementation) else _torch
    y = run(x, taps, initial_state, silu)
    return y, _last(x, taps, initial_state) if output_final_state else None


def takes_triton(x: Tensor, implementation: str | None) -> bool:
    """Whether the kernels are asked for and can run; a `ValueError` if they are named and cannot."""
    triton = implementation == "triton" or (implementation is None and x.is_cuda)
    why_not = launch.refusal(x) if triton else None
    if implementation == "triton" and why_not:
        raise ValueError(f"implementation: {why_not}")
    return triton and not why_not


def check_short_convolution(
    x: Tensor, taps: Tensor, activation: str | None, state: Tensor | None, name: str = "initial_state"
) -> None:
    if x.dim() != 4 or 0 in x.shape:
        raise ValueError(f"x: [B, T, H, V], none of them 0, got {list(x.shape)}")
    if x.dtype not in _checks.DTYPES:
        raise ValueError(f"x: float16, bfloat16, float32 or float64, got {x.dtype}")
    batch, _, heads, value = x.shape
    if taps.dim() != 3 or list(taps.shape[1:]) != [heads, value] or len(taps) not in WIDTHS:
        raise ValueError(f"taps: [n, {heads}, {value}], n from 2 to 4, got {list(taps.shape)}")
    if state is not None and list(state.shape) != [batch, len(taps) - 1, heads, value]:
        raise ValueError(f"{name}: {[batch, len(taps) - 1, heads, value]}, got {list(state.shape)}")
    for other, u in (("taps", taps), (name, state)):
        if u is not None and (u.dtype != x.dtype or u.device != x.device):
            raise ValueError(f"{other}: {x.dtype} on {x.device} as x is, got {u.dtype} on {u.device}")
    if activation not in (None, "silu"):
        raise ValueError(f"activation: silu or None, got {activation!r}")


def _last(x: Tensor, taps: Tensor, state: Tensor | None) -> Tensor:
    """The last n - 1 of the inputs and what was before them; not the caller's memory."""
    before = len(taps) - 1
    if state is None:
        state = x.new_zeros(x.shape[0], before, *x.shape[2:])
    return torch.cat([state, x[:, -before:]], 1)[:, -before:].contiguous()


@torch.library.custom_op("recallscope::short_convolution", mutates_args=())
def _torch(x: Tensor, taps: Tensor, state: Tensor | None, silu: bool) -> Tensor:
    return shifted_forward(x, taps, state, silu)


@torch.library.custom_op("recallscope::short_convolution_triton", mutates_args=())
def _triton(x: Tensor, taps: Tensor, state: Tensor | None, silu: bool) -> Tensor:
    return launch.triton_forward(x, taps, state, silu)


@torch.library.custom_op("recallscope::short_convolution_backward", mutates_args=())
def _backward(grad: Tensor, x: Tensor, taps: Tensor, state: Tensor | None, silu: bool) -> tuple[Tensor, Tensor, Tensor]:
    return shifted_backward(grad, x, taps, state, silu)


@torch.library.custom_op("recallscope::short_convolution_backward_triton", mutates_args=())
def _backward_triton(
    grad: Tensor, x: Tensor, taps: Tensor, state: Tensor | None, silu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return launch.triton_backward(grad, x, taps, state, silu)


@_torch.register_fake
@_triton.register_fake
def _(x, taps, state, silu):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _empty(x: Tensor, taps: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    dx, dtaps = (torch.empty_like(u, memory_format=torch.contiguous_format) for u in (x, taps))
    return dx, dtaps, x.new_empty((x.shape[0], len(taps) - 1, *x.shape[2:]) if keep else 0)


@_backward.register_fake
def _(grad, x, taps, state, silu):
    return _empty(x, taps, True)


@_backward_triton.register_fake
def _(grad, x, taps, state, silu):
    return _empty(x, taps, state is not None)


def _save(ctx, inputs, output):
    *saved, ctx.silu = inputs
    ctx.save_for_backward(*saved)


def _gradients(backward):
    def run(ctx, grad):
        dx, dtaps, dstate = backward(grad, *ctx.saved_tensors, ctx.silu)
        return dx, dtaps, dstate if ctx.needs_input_grad[2] else None, None

    return run


_torch.register_autograd(_gradients(_backward), setup_context=_save)
_triton.register_autograd(_gradients(_backward_triton), setup_context=_save)


@register_flop_formula([torch.ops.recallscope.short_convolution, torch.ops.recallscope.short_convolution_triton])
def _flop(x, taps, state, silu, *args, out_shape=None, **kwargs) -> int:
    return forward_flops(torch.Size(x).numel(), taps[0])


@register_flop_formula(torch.ops.recallscope.short_convolution_backward)
def _backward_flop(grad, x, taps, state, silu, *args, out_shape=None, **kwargs) -> int:
    return backward_flops(torch.Size(x).numel(), taps[0], silu, "torch")


@register_flop_formula(torch.ops.recallscope.short_convolution_backward_triton)
def _backward_triton_flop(grad, x, taps, state, silu, *args, out_shape=None, **kwargs) -> int:
    return backward_flops(torch.Size(x).numel(), taps[0], silu, "triton")
