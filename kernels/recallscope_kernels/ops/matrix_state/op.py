"""One decoding step of a matrix state: in torch on any device, or in Triton."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.matrix_state import launch

IMPLEMENTATIONS = ("torch", "triton")


def matrix_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor | None,
    log_decay: Tensor | None,
    state: Tensor,
    scale: float | None,
    implementation: str | None,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    `S ← α S` (where there is `log_decay`, ln α `[B, 1, H]`), `v ← β (v - Sᵀk)` (where there is `beta` `[B, 1, H]`),
    `S ← S + k vᵀ`, `o = scale Sᵀq`. `implementation`: `torch`, or `triton`, which touches the state once (not float64);
    None: triton on a GPU where it fits. Raises `ValueError` for what does not fit.
    """
    scale = _checks.check_decode(q, k, v, state, (q.shape[-1], v.shape[-1]), scale)
    gates = {"beta": beta, "log_decay": log_decay}
    _checks.check_gates(q, {name: gate for name, gate in gates.items() if gate is not None})
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    triton = implementation == "triton" or (implementation is None and q.is_cuda)
    why_not = launch.refusal(q, v) if triton else None
    if implementation == "triton" and why_not:
        raise ValueError(f"implementation: {why_not}")
    return (_triton if triton and not why_not else _torch)(q, k, v, beta, log_decay, state, scale)


def _torch(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor | None, log_decay: Tensor | None, state: Tensor, scale: float
) -> Tensor:
    matrix = state.view(-1, *state.shape[2:])
    qs, ks, vs = (u.flatten(0, 2).to(state.dtype)[:, None, :] for u in (q, k, v))
    if log_decay is not None:
        matrix *= log_decay.to(state.dtype).exp().reshape(-1, 1, 1)
    if beta is not None:
        vs = (vs - torch.bmm(ks, matrix)) * beta.to(state.dtype).reshape(-1, 1, 1)
    torch.baddbmm(matrix, ks.transpose(1, 2), vs, out=matrix)  # torch counts this one, but not `baddbmm_`
    return torch.bmm(qs * scale, matrix).view(v.shape).to(v.dtype)


@torch.library.custom_op("recallscope::matrix_decode_triton", mutates_args=("state",))
def _triton(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor | None, log_decay: Tensor | None, state: Tensor, scale: float
) -> Tensor:
    return launch.matrix_decode_triton(q, k, v, beta, log_decay, state, scale)


@_triton.register_fake
def _(q, k, v, beta, log_decay, state, scale):
    return torch.empty_like(v, memory_format=torch.contiguous_format)


@register_flop_formula(torch.ops.recallscope.matrix_decode_triton)
def _flop(q, k, v, beta, log_decay, state, scale, *args, out_shape=None, **kwargs) -> int:
    return (4 if beta is None else 6) * torch.Size(state).numel()
