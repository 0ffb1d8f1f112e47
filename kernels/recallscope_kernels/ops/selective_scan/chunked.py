"""The selective scan in chunks, in torch: states exist for one chunk at a time, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from recallscope_kernels.ops.selective_scan.scan import scan_


def chunked_selective_scan(
    step: Tensor, x: Tensor, rate: Tensor, k: Tensor, q: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """`S_t = e^{-Δ_t ⊙ λ} ⊙ S_{t-1} + k_t x_tᵀ`, `o_t = S_tᵀ q_t`: outputs and last state; differentiable.

    Δ, at least 0, and the input, already times Δ, `[B, T, ..., V]`; λ, at least 0, `[..., K, V]`; k and q
    `[B, T, ..., K]`; the state `[B, ..., K, V]` before the first token; all in the precision of the sums. `chunk`, a
    power of two, is how many tokens' states are held at once: forward keeps the state before each chunk, and backward
    computes the states of a chunk again.
    """
    time = x.shape[1]
    ends = (0, 0) * (x.dim() - 2) + (0, -time % chunk)
    step, x, k, q = (pad(u, ends) for u in (step, x, k, q))  # Δ = 0 changes no state
    o, state, _ = _SelectiveScan.apply(step, x, rate, k, q, state, chunk)  # type: ignore[misc]
    return o[:, :time], state


class _SelectiveScan(torch.autograd.Function):
    """Outputs, the state after them, and those before each chunk `[B, T / C, ..., K, V]`: backward starts there."""

    @staticmethod
    def forward(
        step: Tensor, x: Tensor, rate: Tensor, k: Tensor, q: Tensor, state: Tensor, chunk: int
    ) -> tuple[Tensor, ...]:
        before, outputs = [], []
        for step_, x_, k_, q_ in zip(*(u.split(chunk, 1) for u in (step, x, k, q)), strict=True):
            before.append(state)
            states = scan_(_decay(step_, rate), x_[..., None, :] * k_[..., None], state)
            outputs.append((q_[..., None, :] @ states)[..., 0, :])
            state = states[:, -1].clone()  # not a view, which would keep the chunk's states
        return torch.cat(outputs, 1), state, torch.stack(before, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        step, x, rate, k, q, _, ctx.chunk = inputs
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(step, x, rate, k, q, output[2])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        """Models side by side are run one after the other."""
        members = (
            [u if dim is None else u.select(dim, member) for u, dim in zip(inputs, in_dims, strict=True)]
            for member in range(info.batch_size)
        )
        results = zip(*(_SelectiveScan.apply(*member) for member in members), strict=True)  # type: ignore[misc]
        return tuple(torch.stack(column) for column in results), (0, 0, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_o: Tensor, passed: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        step, x, rate, k, q, stacked = ctx.saved_tensors
        before = stacked.unbind(1)
        grads = [torch.empty_like(u) for u in (step, x, k, q)]
        grad_rate = torch.zeros_like(rate)
        chunks = [u.split(ctx.chunk, 1) for u in (step, x, k, q, grad_o, *grads)]
        for n in reversed(range(len(before))):
            step_, x_, k_, q_, grad, grad_step, grad_x, grad_k, grad_q = (u[n] for u in chunks)
            decay = _decay(step_, rate)
            states = scan_(decay.clone(), x_[..., None, :] * k_[..., None], before[n])
            grad_q.copy_((states @ grad[..., None])[..., 0])
            # `scanned` is a_t ⊙ (gradient of S_t): what S_{t-1} receives, itself a scan; `total` the gradient of S_t
            total = grad[..., None, :] * q_[..., None]
            scanned = scan_(decay, decay * total, passed, reverse=True)
            total[:, :-1] += scanned[:, 1:]
            total[:, -1] += passed
            passed = scanned[:, 0].clone()
            grad_x.copy_((k_[..., None, :] @ total)[..., 0, :])
            grad_k.copy_((total @ x_[..., None])[..., 0])
            scanned[:, 1:] *= states[:, :-1]  # from here on the gradient of -Δ λ
            scanned[:, 0] *= before[n]
            grad_rate -= torch.mul(scanned, step_[..., None, :], out=total).sum((0, 1))
            grad_step.copy_(scanned.mul_(rate).sum(-2).neg_())
        return grads[0], grads[1], grad_rate, grads[2], grads[3], passed, None


def _decay(step: Tensor, rate: Tensor) -> Tensor:
    """`[B, C, ..., K, V]`."""
    return (step[..., None, :] * -rate).exp_()
