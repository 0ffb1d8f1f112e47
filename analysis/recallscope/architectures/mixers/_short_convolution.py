"""Causal depthwise convolution over a few tokens: how most recurrent mixers see the tokens just before."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recallscope.architectures.mixers._members import leading
from recallscope.architectures.mixers._rotary import wide

_SUMMED = 8
"""Parts of a batch that the gradient of the taps adds up one after another: as many copies fewer at once."""


class ShortConvolution(nn.Module):
    """`y_t = b + Σ_{j < k} w_j ⊙ x_{t-k+1+j}`: one filter of k taps for each channel, the last tap on `x_t`.

    Every product is an `addcmul`, so 2 k X FLOPs a token are counted, and twice that in the backward pass. On CPU this
    is several times faster than `nn.Conv1d` with groups.

    Parameters
    ----------
    channels : int
        Number of channels X.
    width : int
        Number of taps k, at least 1.
    bias : bool
        Whether to add b.
    """

    def __init__(self, channels: int, width: int = 4, bias: bool = True):
        super().__init__()
        if width < 1:
            raise ValueError(f"width: at least 1 tap, got {width}")
        self.channels, self.width = channels, width
        self.weight = nn.Parameter(torch.empty(width, channels).uniform_(-1, 1) * width**-0.5)
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-1, 1) * width**-0.5) if bias else None

    def init_state(self, batch: int) -> Tensor:
        """The k - 1 inputs before the first, zero: `[B, k - 1, X]`."""
        return self.weight.new_zeros(batch, self.width - 1, self.channels)

    def _bias(self) -> Tensor:
        return self.weight.new_zeros(self.channels) if self.bias is None else self.bias

    def prefill(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, T, X]` and the inputs before them to `[B, T, X]` and the last k - 1 inputs."""
        recent = torch.cat([state, x], 1)
        with torch.autocast(x.device.type, enabled=False):
            y = _Convolution.apply(wide(recent), wide(self.weight), wide(self._bias()))
        return y.to(x.dtype), recent[:, x.shape[1] :]  # type: ignore[union-attr]

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, X]` and the inputs before it to `[B, X]` and the last k - 1 inputs."""
        recent = torch.cat([state, x[:, None]], 1)
        y = wide(self._bias())
        for tap, one in zip(wide(self.weight), wide(recent).unbind(1), strict=True):
            y = torch.addcmul(y, one, tap)
        return y.to(x.dtype), recent[:, 1:]

    def parameters_count(self) -> Any:
        """k X, and X with a bias."""
        return (self.width + int(self.bias is not None)) * self.channels

    def state_elements(self) -> Any:
        """(k - 1) X."""
        return (self.width - 1) * self.channels

    def flops(self) -> Any:
        """2 k X a token."""
        return 2 * self.width * self.channels


class _Convolution(torch.autograd.Function):
    """`[B, T + k - 1, X]` with taps `[k, X]` and bias `[X]` to `[B, T, X]`, without copies of the shifted inputs.

    All may have the same leading axes.
    """

    @staticmethod
    def forward(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        count = taps.shape[-2]
        time = x.shape[-2] - count + 1
        each = taps[..., None, :, :].unbind(-2)  # [..., 1, X], as the bias: one for all sequences and tokens
        y = torch.addcmul(bias[..., None, None, :], x[..., :time, :], each[0][..., None, :])
        for j in range(1, count):
            y.addcmul_(x[..., j : j + time, :], each[j][..., None, :])
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        return leading(_Convolution.apply, info, in_dims, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[override]
        x, taps = ctx.saved_tensors
        time, count = grad.shape[-2], taps.shape[-2]
        grad_x = grad_taps = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.zeros_like(x)
            for j, tap in enumerate(taps[..., None, :, :].unbind(-2)):
                seen = grad_x[..., j : j + time, :]
                seen.addcmul_(grad, tap[..., None, :])
        if ctx.needs_input_grad[1]:
            rows = -(-x.shape[-3] // _SUMMED)
            total = grad.new_zeros(count, *taps.shape[:-2], rows, time, taps.shape[-1])
            for j in range(count):
                parts = zip(x[..., j : j + time, :].split(rows, -3), grad.split(rows, -3), strict=True)
                for one, g in parts:
                    total[j, ..., : one.shape[-3], :, :].addcmul_(one, g)
            grad_taps = total.sum((-3, -2)).movedim(0, -2)
        return grad_x, grad_taps, grad.sum((-3, -2)) if ctx.needs_input_grad[2] else None
