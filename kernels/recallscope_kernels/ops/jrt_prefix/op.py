"""Prefix linear attention as it is called: encode the prefix, then go on as Based."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops.based import based, feature_count
from recallscope_kernels.ops.based.cost import CHUNK
from recallscope_kernels.ops.based.spans import spans_of
from recallscope_kernels.ops.jrt_prefix.encode import encode
from recallscope_kernels.ops.jrt_prefix.launch import fits, jrt_prefix_triton

IMPLEMENTATIONS = ("chunked", "triton")


def jrt_prefix(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prefix_k: Tensor,
    prefix_v: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """Based whose state starts from a whole prefix, read without causality: Arora et al. 2024 (arXiv 2407.05483).

    `o_t = (Σ_{i≤t} κ(q_t, k_i) v_i + Σ_{j≤M} κ(q_t, k^e_j) v^e_j) / (the same with 1 for v)`, with Based's
    `κ = 1 + s + s²/2`, `s = scale q·k`. All T tokens see all M of the prefix, those within it too, so outputs are
    causal from token M on.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`: all tokens, those of the prefix among them. As in `based`.
    prefix_k, prefix_v : Tensor
        `[B, M, H, K]`, `[B, M, H, V]`: keys and values of the encoder. M may be 0, which is `based`.
    initial_state, output_final_state, scale, chunk
        As in `based`, whose state this is, unchanged in size: `based_decode` goes on from it.
    implementation : str
        `chunked` or `triton`, None: as in `based`. `triton` is two kernels, one that encodes the prefix (forward only;
        features rounded to the dtype of the keys, sums in float32) and that of Based, which starts from its state.
        Where a gradient is needed the prefix is encoded in torch instead, as `chunked` does: in float32 or more.

    Returns outputs `[B, T, H, V]` and the state. Differentiable; NaN in the prefix is NaN everywhere. Raises
    `ValueError` for what does not fit, in one line.
    """
    _checks.check_operands(q, k, v)
    _checks.check_chunk(chunk)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    scale = _checks.check_scale(scale, q.shape[-1])
    batch, _, heads, width = q.shape
    _checks.check_state(initial_state, (batch, heads, feature_count(width), v.shape[-1] + 1), q)
    _check_prefix(q, v, prefix_k, prefix_v)
    given = q, k, v, prefix_k, prefix_v
    kernels = implementation == "triton" or (implementation is None and q.is_cuda)
    learning = torch.is_grad_enabled() and any(u.requires_grad for u in (*given, initial_state) if u is not None)
    if kernels and not learning and fits(*given):
        o, last = jrt_prefix_triton(*given, scale, initial_state, output_final_state, spans_of(k, v))
        return o, last if output_final_state else None
    state = encode(prefix_k, prefix_v, scale, initial_state, chunk)
    return based(
        q, k, v, scale=scale, initial_state=state, output_final_state=output_final_state,
        implementation=implementation, chunk=chunk,
    )  # fmt: skip


def _check_prefix(q: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor) -> None:
    batch, _, heads, width = q.shape
    for name, u, last in (("prefix_k", prefix_k, width), ("prefix_v", prefix_v, v.shape[-1])):
        if u.dim() != 4 or (u.shape[0], *u.shape[2:]) != (batch, heads, last):
            raise ValueError(f"{name}: [{batch}, M, {heads}, {last}], got {list(u.shape)}")
        if u.dtype != q.dtype or u.device != q.device:
            raise ValueError(f"{name}: {q.dtype} on {q.device} as q is, got {u.dtype} on {u.device}")
    if prefix_k.shape[1] != prefix_v.shape[1]:
        raise ValueError(f"prefix_v: {prefix_k.shape[1]} tokens as prefix_k has, got {prefix_v.shape[1]}")
