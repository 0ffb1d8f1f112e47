"""DeltaNet: a linear state that replaces what a key was bound to instead of adding to it."""

from __future__ import annotations

from recallscope.architectures.mixers._delta_mixer import DeltaMixer
from recallscope.architectures.mixers._mixer import check_heads


class DeltaNet(DeltaMixer):
    """`S_t = S_{t-1} + β_t k_t (v_t - S_{t-1}ᵀ k_t)ᵀ` (Schlag et al. 2021; in parallel, Yang et al. 2024).

    A gradient step of size β on `½ ‖Sᵀ k - v‖²`. At β = 1 and ‖k‖ = 1 the old value of the key is gone and the new one
    read back exactly. No decay, no output gate. Queries, keys, values, norm and parameters: see `DeltaMixer`; by
    default K = V = D / H, and there are as many value heads as heads.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        *,
        conv_width: int | None = 4,
        negative: bool = False,
        chunk: int = 64,
    ):
        if key_width is None or value_width is None:
            check_heads(width, heads)
        key_width, value_width = key_width or width // heads, value_width or width // heads
        super().__init__(width, heads, heads, key_width, value_width, conv_width, negative, chunk)
