"""One step of decoding the delta rule, gated or not: read what is kept, correct it, read the answer."""

from __future__ import annotations

from torch import Tensor

from recallscope_kernels.ops.matrix_state import matrix_decode


def delta_rule_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_decay: Tensor | None,
    state: Tensor,
    *,
    scale: float | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Outputs `[B, 1, H, V]` of one further token; **`state` `[B, H, K, V]` is updated in place**. Not differentiable.

    β and `ln α` `[B, 1, H]` (None: no decay); 6 K V FLOPs a head. `implementation`: `torch`, or `triton`, which touches
    the state once (K up to 1,024; not float64); None: triton on a GPU where it fits.
    """
    return matrix_decode(q, k, v, beta, log_decay, state, scale, implementation)
