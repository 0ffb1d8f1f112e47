"""The public operator: validation and choice of implementation."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.based import launch
from recallscope_kernels.ops.based.cost import CHUNK
from recallscope_kernels.ops.based.custom_ops import based_chunked, based_triton
from recallscope_kernels.ops.based.reference import feature_count
from recallscope_kernels.ops.based.spans import spans_of

FLA = {"fla-parallel": "parallel_based", "fla-fused-chunk": "fused_chunk_based"}
IMPLEMENTATIONS = ("chunked", "triton", *FLA)


def based(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """Causal linear attention on second-order Taylor features, normalised: Arora et al. 2024 (arXiv 2402.18668).

    `o_t = Σ_{i≤t} κ_ti v_i / Σ_{i≤t} κ_ti` with `κ = 1 + s + s²/2` and `s = scale q_t·k_i`. κ is at least 1/2, so the
    denominator needs no ε. NaN in gives NaN out.

    Parameters
    ----------
    q, k, v : Tensor
        `[B, T, H, K]`, `[B, T, H, K]`, `[B, T, H, V]`, any strides; float16, bfloat16, float32 or float64.
    scale : float
        Positive; K^-½ if None. A state belongs to its scale.
    initial_state : Tensor
        `[B, H, F, V + 1]` before the first token, F = 1 + K + K (K + 1) / 2, the sums of `φ(k) [v, 1]ᵀ` with
        `reference.taylor_features` of `√scale k`; float32 (float64 with float64 operands).
    output_final_state : bool
        Return the state after the last token, else None.
    implementation : str
        `chunked` (torch, any device, sums in float32 or more) or `triton` (one pass, state on chip; K = 16, V of 16, 32
        or a multiple of 64; not float64; in float16 a sum of scale² k² v / 2 above 65,504 overflows; few sequences are
        cut into spans of 512 tokens or more that run side by side), `fla-parallel` or `fla-fused-chunk`
        (flash-linear-attention, if installed; no states). None: triton on a GPU where it fits, else chunked.
    chunk : int
        Tokens per chunk of `chunked`; changes speed, not results. The kernel's own is 64.

    Returns outputs `[B, T, H, V]` and the state. Differentiable, states too, each implementation by its own backward
    pass. Raises `ValueError` for shapes, dtypes, devices and implementations that do not fit, in one line.
    """
    _checks.check_operands(q, k, v)
    _checks.check_chunk(chunk)
    _checks.check_implementation(implementation, IMPLEMENTATIONS)
    scale = _checks.check_scale(scale, q.shape[-1])
    state = (q.shape[0], q.shape[2], feature_count(q.shape[-1]), v.shape[-1] + 1)
    _checks.check_state(initial_state, state, q)
    if implementation in FLA:
        return _fla(q, k, v, scale, initial_state, output_final_state, FLA[implementation]), None
    fits = implementation == "triton" or (implementation is None and q.is_cuda)
    why_not = launch.refusal(q, k, v) if fits else None
    if implementation == "triton" and why_not:
        raise ValueError(f"implementation: {why_not}")
    if fits and not why_not:
        learning = torch.is_grad_enabled() and any(u.requires_grad for u in (q, k, v, initial_state) if u is not None)
        o, _, last = based_triton(q, k, v, scale, initial_state, output_final_state or learning, spans_of(k, v))
    else:
        o, _, last = based_chunked(q, k, v, scale, initial_state, chunk)
    return o, last if output_final_state else None


def _fla(q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool, name: str) -> Tensor:
    run = fla("based", name, q)
    if state is not None or keep:
        raise ValueError(f"initial_state, output_final_state: fla's {name} has no state in or out")
    return run(q, k, v, scale, True)
