"""Lightning attention: simple gated linear attention whose decays are constants, one a head."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope_kernels.ops import _checks
from recallscope_kernels.ops._libraries import fla
from recallscope_kernels.ops.linear_attention.chunked import chunked_linear_attention
from recallscope_kernels.ops.linear_attention.cost import CHUNK
from recallscope_kernels.ops.matrix_state import matrix_decode


def lightning_log_decay(heads: int, layer: int = 0, layers: int = 1) -> Tensor:
    """`ln λ_h = -2^{-8h/H} (1 - l / (L - 1) + 10⁻⁵)`, `[H]` float64, of heads h = 1..H in layer l of L, from 0.

    The slopes of the released code of TransNormerLLM (Qin et al. 2023, arXiv 2307.14995) and MiniMax.
    """
    if heads < 1:
        raise ValueError(f"heads: at least 1, got {heads}")
    if not 0 <= layer < layers:
        raise ValueError(f"layer: from 0 to layers - 1, got layer {layer} of {layers}")
    head = torch.arange(1, heads + 1, dtype=torch.float64)
    return -(2 ** (-8 * head / heads)) * (1 - layer / max(layers - 1, 1) + 1e-5)


def lightning(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    log_decay: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`S_t = λ S_{t-1} + k_t v_tᵀ`, `o_t = scale S_tᵀ q_t`, λ fixed for each head.

    Arguments and results as in `simple_gla`, which this is, but for `log_decay`: ln λ `[H]`, at most 0, a constant
    without gradient; None: `lightning_log_decay` of a first layer. By `fla` these run through its simple GLA, since its
    own lightning op takes no other slopes than `8h/H`.
    """
    scale = _checks.check_matrix_state(q, k, v, {}, scale, initial_state, implementation, chunk)
    rate = _rates(q, log_decay)
    if implementation == "fla":
        run, state = fla("simple_gla", "chunk_simple_gla", q), initial_state
        rate = rate.float()
        return run(q, k, v, g_gamma=rate, scale=scale, initial_state=state, output_final_state=output_final_state)
    wide = _checks.widened(q, scale, k, v, rate.expand(1, q.shape[1], -1)[..., None])
    o, state = chunked_linear_attention(*wide, state=initial_state, chunk=min(chunk, q.shape[1]))
    return o.to(v.dtype), state if output_final_state else None


def lightning_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor,
    *,
    log_decay: Tensor | None = None,
    scale: float | None = None,
    implementation: str | None = None,
) -> Tensor:
    """`simple_gla_decode` with ln λ `[H]`; **`state` `[B, H, K, V]` is updated in place**. Not differentiable."""
    _checks.check_operands(q, k, v)
    rate = _rates(q, log_decay).to(_checks.sum_dtype(q)).expand(*q.shape[:2], -1)
    return matrix_decode(q, k, v, None, rate, state, scale, implementation)


def _rates(q: Tensor, log_decay: Tensor | None) -> Tensor:
    """ln λ `[H]` on the device of q."""
    heads = q.shape[2]
    if log_decay is None:
        return lightning_log_decay(heads).to(q.device)
    if list(log_decay.shape) != [heads] or log_decay.dtype not in _checks.DTYPES:
        raise ValueError(f"log_decay: [{heads}] of a floating dtype, got {list(log_decay.shape)} of {log_decay.dtype}")
    return log_decay.detach().to(q.device)
