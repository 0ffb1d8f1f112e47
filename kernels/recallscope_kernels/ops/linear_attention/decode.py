"""One step of decoding linear attention, decayed or not: the state is read and written once."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops.matrix_state import matrix_decode


def linear_attention_decode(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, *, scale: float | None = None, implementation: str | None = None
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    q, k `[B, 1, H, K]`, v `[B, 1, H, V]`; 4 K V FLOPs a head. `implementation`: `torch`, or `triton`, which touches the
    state once (K up to 1,024; not float64); None: triton on a GPU where it fits.
    """
    return matrix_decode(q, k, v, None, None, state, scale, implementation)


def simple_gla_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor,
    *,
    scale: float | None = None,
    implementation: str | None = None,
) -> Tensor:
    """`linear_attention_decode` of a state that is first multiplied by α; `log_decay`, ln α, is `[B, 1, H]`.

    The decay, K V multiplications a head, is not among the FLOPs.
    """
    return matrix_decode(q, k, v, None, log_decay, state, scale, implementation)
