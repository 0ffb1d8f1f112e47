"""The selective scan of Mamba: a diagonal recurrence whose states exist for one chunk at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recallscope.architectures.mixers._counts import ceil_div
from recallscope.architectures.mixers._members import one_by_one
from recallscope.architectures.mixers._scan import scan_, scan_chunk_flops


def selective_scan(
    step: Tensor, x: Tensor, rate: Tensor, b: Tensor, c: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`h_t = exp(-Δ_t λ) ⊙ h_{t-1} + b_t x_tᵀ`, `y_t = h_tᵀ c_t`; differentiable.

    Parameters
    ----------
    step, x : Tensor
        Δ, at least 0, and the input, already times Δ: `[B, T, I]`.
    rate : Tensor
        λ, at least 0: `[N, I]`.
    b, c : Tensor
        `[B, T, N]`.
    state : Tensor
        `[B, N, I]`, before the first token.
    chunk : int
        Tokens C whose states are held at once, `[B, C, N, I]`, a power of two: forward keeps the state before each
        chunk, and backward computes the states of a chunk again.

    Returns the outputs `[B, T, I]` and the state after the last token.
    """
    time = x.shape[1]
    step, x, b, c = (F.pad(u, (0, 0, 0, -time % chunk)) for u in (step, x, b, c))  # Δ = 0 changes no state
    y, state, _ = _SelectiveScan.apply(step, x, rate, b, c, state, chunk)  # type: ignore[misc]
    return y[:, :time], state


def selective_scan_flops(t: Any, chunk: int, training: bool = False) -> Any:
    """FLOPs for each element of the state: scan and read; in training, scan again, back, and read in three products."""
    scans, products = (3, 4) if training else (1, 1)
    return ceil_div(t, chunk) * (scans * scan_chunk_flops(chunk) + products * 2 * chunk)


class _SelectiveScan(torch.autograd.Function):
    """Outputs, the state after them, and the states before each chunk `[B, T / C, N, I]`: backward starts there."""

    @staticmethod
    def forward(
        step: Tensor, x: Tensor, rate: Tensor, b: Tensor, c: Tensor, state: Tensor, chunk: int
    ) -> tuple[Tensor, ...]:
        before, outputs = [], []
        for step_, x_, b_, c_ in zip(*(u.split(chunk, 1) for u in (step, x, b, c)), strict=True):
            before.append(state)
            states = scan_(_decay(step_, rate), x_[..., None, :] * b_[..., None], state)
            outputs.append((c_[..., None, :] @ states)[..., 0, :])
            state = states[:, -1].clone()  # not a view, which would keep the chunk's states
        return torch.cat(outputs, 1), state, torch.stack(before, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        step, x, rate, b, c, _, ctx.chunk = inputs
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(step, x, rate, b, c, output[2])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        return one_by_one(_SelectiveScan.apply, info, in_dims, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, passed: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        step, x, rate, b, c, stacked = ctx.saved_tensors
        before = stacked.unbind(1)
        grads = [torch.empty_like(u) for u in (step, x, b, c)]
        grad_rate = torch.zeros_like(rate)
        chunks = [u.split(ctx.chunk, 1) for u in (step, x, b, c, grad_y, *grads)]
        for n in reversed(range(len(before))):
            step_, x_, b_, c_, grad, grad_step, grad_x, grad_b, grad_c = (u[n] for u in chunks)
            decay = _decay(step_, rate)
            states = scan_(decay.clone(), x_[..., None, :] * b_[..., None], before[n])
            grad_c.copy_((states @ grad[..., None])[..., 0])
            # `scanned` is a_t ⊙ (gradient of h_t): what h_{t-1} receives, itself a scan; `total` the gradient of h_t
            total = grad[..., None, :] * c_[..., None]
            scanned = scan_(decay, decay * total, passed, reverse=True)
            total[:, :-1] += scanned[:, 1:]
            total[:, -1] += passed
            passed = scanned[:, 0].clone()
            grad_x.copy_((b_[..., None, :] @ total)[..., 0, :])
            grad_b.copy_((total @ x_[..., None])[..., 0])
            scanned[:, 1:] *= states[:, :-1]  # from here on the gradient of -Δ λ
            scanned[:, 0] *= before[n]
            grad_rate -= torch.mul(scanned, step_[..., None, :], out=total).sum((0, 1))
            grad_step.copy_(scanned.mul_(rate).sum(-2).neg_())
        return grads[0], grads[1], grad_rate, grads[2], grads[3], passed, None


def _decay(step: Tensor, rate: Tensor) -> Tensor:
    """`[B, C, N, I]`."""
    return (step[..., None, :] * -rate).exp_()
