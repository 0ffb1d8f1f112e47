"""The public operator: validation, choice of implementation, and torch custom ops that torch's counter sees."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops._shape import Shape, squares
from recallscope_kernels.ops.based import launch
from recallscope_kernels.ops.based.chunked import chunked_backward, chunked_forward
from recallscope_kernels.ops.based.cost import CHUNK, backward_flops, forward_flops, triton_forward_flops
from recallscope_kernels.ops.based.reference import feature_count

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
        or a multiple of 64; not float64; in float16 a sum of scale² k² v / 2 above 65,504 overflows), `fla-parallel` or
        `fla-fused-chunk` (flash-linear-attention, if installed; no states). None: triton on a GPU where it fits, else
        chunked.
    chunk : int
        Tokens per chunk of `chunked`; changes speed, not results. The kernel's own is 64.

    Returns outputs `[B, T, H, V]` and the state. Gradients, of states too, are those of `chunked` for both. Raises
    `ValueError` for shapes, dtypes, devices and implementations that do not fit, in one line.
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
        o, _, last = _triton(q, k, v, scale, initial_state, output_final_state or learning)
    else:
        o, _, last = _chunked(q, k, v, scale, initial_state, chunk)
    return o, last if output_final_state else None


def _fla(q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool, name: str) -> Tensor:
    run = fla("based", name, q)
    if state is not None or keep:
        raise ValueError(f"initial_state, output_final_state: fla's {name} has no state in or out")
    return run(q, k, v, scale, True)


@torch.library.custom_op("recallscope::based_chunked", mutates_args=())
def _chunked(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    return chunked_forward(q, k, v, scale, state, chunk)


@torch.library.custom_op("recallscope::based_triton", mutates_args=())
def _triton(
    q: Tensor, k: Tensor, v: Tensor, scale: float, state: Tensor | None, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return launch.triton_forward(q, k, v, scale, state, keep)


@torch.library.custom_op("recallscope::based_backward", mutates_args=())
def _backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    normaliser: Tensor,
    scale: float,
    state: Tensor | None,
    grad_state: Tensor | None,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return chunked_backward(grad, q, k, v, o, normaliser, scale, state, grad_state, chunk)


def _empty_results(q: Tensor, v: Tensor, keep: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    batch, time, heads, width = q.shape
    o = torch.empty_like(v, memory_format=torch.contiguous_format)
    shapes = (batch, time, heads), (batch, heads, feature_count(width), v.shape[-1] + 1)
    normaliser, last = (q.new_empty(shape if keep else 0, dtype=_checks.sum_dtype(q)) for shape in shapes)
    return o, normaliser, last


@_chunked.register_fake
def _(q, k, v, scale, state, chunk):
    return _empty_results(q, v)


@_triton.register_fake
def _(q, k, v, scale, state, keep):
    return _empty_results(q, v, keep)


@_backward.register_fake
def _(grad, q, k, v, o, normaliser, scale, state, grad_state, chunk):
    shape = q.shape[0], q.shape[2], feature_count(q.shape[-1]), v.shape[-1] + 1
    dq, dk, dv = (torch.empty_like(u, memory_format=torch.contiguous_format) for u in (q, k, v))
    return dq, dk, dv, q.new_empty(shape, dtype=_checks.sum_dtype(q))


def _save(ctx, inputs, output):
    q, k, v, ctx.scale, state, last = inputs
    o, normaliser, _ = output
    ctx.chunk = CHUNK if isinstance(last, bool) else last  # the kernel's sixth argument is `keep`
    ctx.save_for_backward(q, k, v, o, normaliser, state)


def _gradients(ctx, grad, _, grad_state):
    q, k, v, o, normaliser, state = ctx.saved_tensors
    dq, dk, dv, ds = _backward(grad, q, k, v, o, normaliser, ctx.scale, state, grad_state, ctx.chunk)
    return dq, dk, dv, None, None if state is None else ds, None


for _op in (_chunked, _triton):
    _op.register_autograd(_gradients, setup_context=_save)


def _shape(q, v) -> Shape:
    batch, time, heads, width = q
    return Shape(batch, time, heads, width, v[-1])


@register_flop_formula(torch.ops.recallscope.based_chunked)
def _chunked_flop(q, k, v, scale, state, chunk, *args, out_shape=None, **kwargs) -> int:
    return forward_flops(_shape(q, v), squares(q[1], chunk))


@register_flop_formula(torch.ops.recallscope.based_triton)
def _triton_flop(q, k, v, scale, state, keep, *args, out_shape=None, **kwargs) -> int:
    return triton_forward_flops(_shape(q, v))


@register_flop_formula(torch.ops.recallscope.based_backward)
def _backward_flop(grad, q, k, v, o, z, scale, state, grad_state, chunk, *args, out_shape=None, **kwargs) -> int:
    return backward_flops(_shape(q, v), squares(q[1], chunk))
