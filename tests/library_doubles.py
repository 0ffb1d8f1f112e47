"""Stand-ins with the parameters of the libraries' functions, that compute in float64 what these say they do.

Names and order of parameters are those of flash-linear-attention at bc3b101 (August 2026), flash-attention at 0251105
and mamba at e9594ce; what the adapters must never ask for stands there as well, and is refused.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from recallscope_kernels.ops.attention import attention_reference
from recallscope_kernels.ops.based import based_reference
from recallscope_kernels.ops.delta_rule import delta_rule_reference
from recallscope_kernels.ops.gla import gla_reference
from recallscope_kernels.ops.kda import kda_reference
from recallscope_kernels.ops.linear_attention import simple_gla_reference
from recallscope_kernels.ops.rwkv7 import rwkv7_reference
from recallscope_kernels.ops.window_attention import window_attention_reference
from torch import Tensor


def result(reference: Any, *given: Tensor, scale: Any, state: Any, keep: bool) -> tuple[Tensor, Tensor | None]:
    """States come and go in float32, `[B, H, K, V]`."""
    assert state is None or state.dtype == torch.float32
    o, last = reference(*given, scale=scale, initial_state=state)
    return o.to(given[2].dtype), last.float() if keep else None


def parallel_based(q, k, v, scale=None, use_norm=True):
    assert use_norm
    return based_reference(q, k, v, scale=scale)[0].to(v.dtype)


def chunk_linear_attn(
    q, k, v, scale=None, initial_state=None, output_final_state=False, normalize=True, cu_seqlens=None
):
    assert not normalize and cu_seqlens is None
    return chunk_simple_gla(q, k, v, torch.zeros_like(q[..., 0]), None, scale, initial_state, output_final_state)


def chunk_simple_gla(
    q, k, v, g=None, g_gamma=None, scale=None, initial_state=None, output_final_state=False, state_v_first=False,
    cu_seqlens=None, cu_seqlens_cpu=None,
):  # fmt: skip
    assert (g is None) != (g_gamma is None) and not state_v_first and cu_seqlens is None
    g = g_gamma.expand(q.shape[:3]) if g_gamma is not None else g
    assert g is not None
    return result(simple_gla_reference, q, k, v, g, scale=scale, state=initial_state, keep=output_final_state)


def chunk_gla(
    q, k, v, g, scale=None, initial_state=None, output_final_state=False, state_v_first=False, cu_seqlens=None,
    cu_seqlens_cpu=None,
):  # fmt: skip
    assert q.shape == k.shape == g.shape and not state_v_first and cu_seqlens is None
    return result(gla_reference, q, k, v, g, scale=scale, state=initial_state, keep=output_final_state)


def chunk_delta_rule(
    q, k, v, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False,
    cu_seqlens=None, cu_seqlens_cpu=None,
):  # fmt: skip
    assert not use_qk_l2norm_in_kernel and cu_seqlens is None
    return result(delta_rule_reference, q, k, v, beta, scale=scale, state=initial_state, keep=output_final_state)


def chunk_gated_delta_rule(
    q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False,
    use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, state_v_first=False, cu_seqlens=None,
):  # fmt: skip
    assert not (use_qk_l2norm_in_kernel or use_beta_sigmoid_in_kernel or allow_neg_eigval or state_v_first)
    return result(delta_rule_reference, q, k, v, beta, g, scale=scale, state=initial_state, keep=output_final_state)


def chunk_kda(
    q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False,
    use_gate_in_kernel=False, use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, safe_gate=False,
    lower_bound=None, disable_recompute=False, return_intermediate_states=False, state_v_first=False, cu_seqlens=None,
):  # fmt: skip
    assert not (use_qk_l2norm_in_kernel or use_gate_in_kernel or use_beta_sigmoid_in_kernel or allow_neg_eigval)
    assert not (safe_gate or return_intermediate_states or state_v_first) and g.dim() == 4 and beta.dim() == 3
    return result(kda_reference, q, k, v, beta, g, scale=scale, state=initial_state, keep=output_final_state)


def chunk_rwkv7(
    r, w, k, v, a, b, scale=1.0, initial_state=None, output_final_state=False, cu_seqlens=None, cu_seqlens_cpu=None,
    safe_gate=False, chunk_size=None,
):  # fmt: skip
    assert not safe_gate and cu_seqlens is None
    return result(rwkv7_reference, r, k, v, w, a, b, scale=scale, state=initial_state, keep=output_final_state)


def windowed(q: Tensor, k: Tensor, v: Tensor, scale: Any, causal: bool, window_size: tuple[int, int]) -> Tensor:
    """The causal mask ends at the bottom right; a window of (left, 0) shows `left` keys and the query's own."""
    assert causal and window_size[1] in (-1, 0)
    past, q_end = (u[:, : k.shape[1] - q.shape[1]] for u in (k, v)), (u[:, k.shape[1] - q.shape[1] :] for u in (k, v))
    if window_size == (-1, -1):
        return attention_reference(q, *q_end, scale=scale, initial_state=tuple(past))[0].to(q.dtype)  # type: ignore
    seen = {"window": window_size[0] + 1, "scale": scale, "initial_state": tuple(past)}
    return window_attention_reference(q, *q_end, **seen)[0].to(q.dtype)


def flash_attn_func(
    q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0, alibi_slopes=None
):
    assert not dropout_p and not softcap and alibi_slopes is None
    return windowed(q, k, v, softmax_scale, causal, window_size)


def flash_attn_func_3(
    q, k, v, softmax_scale=None, causal=False, qv=None, q_descale=None, k_descale=None, v_descale=None,
    window_size=(-1, -1),
):  # fmt: skip
    assert qv is q_descale is k_descale is v_descale is None
    return windowed(q, k, v, softmax_scale, causal, window_size), torch.zeros(q.shape[:3])


def mamba_chunk_scan_combined(
    x, dt, A, B, C, chunk_size, D=None, z=None, dt_bias=None, initial_states=None, seq_idx=None, cu_seqlens=None,
    dt_softplus=False, dt_limit=(0.0, float("inf")), return_final_states=False,
):  # fmt: skip
    """`S ← e^{dt A} S + dt x Bᵀ` `[B, H, P, N]`, `y = S C`; x `[B, T, H, P]`, dt `[B, T, H]`, B, C `[B, T, G, N]`."""
    assert D is z is dt_bias is seq_idx is cu_seqlens is None and not dt_softplus and isinstance(chunk_size, int)
    x, dt, A, B, C = (u.double() for u in (x, dt, A, B, C))
    share = x.shape[2] // B.shape[2]
    B, C = (u.repeat_interleave(share, 2) for u in (B, C))
    state = x.new_zeros(x.shape[0], *x.shape[2:], B.shape[-1]) if initial_states is None else initial_states.double()
    outputs = []
    for t in range(x.shape[1]):
        step = dt[:, t, :, None, None]
        state = (step * A[:, None, None]).exp() * state + step * x[:, t, ..., None] * B[:, t, :, None]
        outputs.append((state * C[:, t, :, None]).sum(-1))
    y = torch.stack(outputs, 1).float()
    return (y, state.float()) if return_final_states else y


def selective_scan_fn(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
):
    """`h ← e^{Δ A} ⊙ h + Δ u B` `[B, D, N]`, `y = h C`; u, Δ `[B, D, T]`, A `[D, N]`, B, C `[B, G, N, T]`."""
    assert D is z is delta_bias is None and not delta_softplus
    share, dtype = u.shape[1] // B.shape[1], u.dtype
    u, delta, A, B, C = (x.double() for x in (u, delta, A, B, C))
    B, C = (x.repeat_interleave(share, 1) for x in (B, C))
    state, outputs = torch.zeros_like(A.expand(u.shape[0], -1, -1)), []
    for t in range(u.shape[2]):
        step = delta[:, :, t, None]
        state = (step * A).exp() * state + step * u[:, :, t, None] * B[..., t]
        outputs.append((state * C[..., t]).sum(-1))
    y = torch.stack(outputs, 2).to(dtype)
    return (y, state.float()) if return_last_state else y


FLA = {
    "based": SimpleNamespace(parallel_based=parallel_based, fused_chunk_based=parallel_based),
    "linear_attn": SimpleNamespace(chunk_linear_attn=chunk_linear_attn),
    "simple_gla": SimpleNamespace(chunk_simple_gla=chunk_simple_gla),
    "gla": SimpleNamespace(chunk_gla=chunk_gla),
    "delta_rule": SimpleNamespace(chunk_delta_rule=chunk_delta_rule),
    "gated_delta_rule": SimpleNamespace(chunk_gated_delta_rule=chunk_gated_delta_rule),
    "kda": SimpleNamespace(chunk_kda=chunk_kda),
    "rwkv7": SimpleNamespace(chunk_rwkv7=chunk_rwkv7),
}
MODULES = {f"fla.ops.{name}": module for name, module in FLA.items()} | {
    "flash_attn": SimpleNamespace(flash_attn_func=flash_attn_func),
    "flash_attn_interface": SimpleNamespace(flash_attn_func=flash_attn_func_3),
    "mamba_ssm.ops.selective_scan_interface": SimpleNamespace(selective_scan_fn=selective_scan_fn),
    "mamba_ssm.ops.triton.ssd_combined": SimpleNamespace(mamba_chunk_scan_combined=mamba_chunk_scan_combined),
}
