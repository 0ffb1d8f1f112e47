"""The linear looped layer for regression in context: one layer of linear attention, run several times."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LoopedLinear(nn.Module):
    """Linear attention, applied `loops` times with the same weights (Gatmiry et al. 2024, arXiv 2410.08292).

    The prompt is Z ∈ R^((d+1)×(n+1)) with columns (x_i; y_i) and last (x; 0). With M = diag(I_n, 0), which hides the
    query from the rest, each loop is

        Z ← Z + P Z M Zᵀ Q Z / n

    and the answer is -Z[d+1, n+1]. For P = diag(0_d, 1) and Q = diag(-Aᵀ, 0) the answer after τ loops is w_τ·x, where
    w ← w + A Xᵀ(y - Xw) / n from w = 0: gradient descent with preconditioner A, exactly (`LoopedLinear.descent`).

    Here Z lies as `[B, T, d + 1]`, a token per row, as in `InContextRegression`. The layer is
    not causal and has no recurrent state.

    Parameters
    ----------
    dimensions : int
        d.
    loops : int
        How often the layer is applied, at least 0.
    """

    def __init__(self, dimensions: int, loops: int):
        super().__init__()
        if dimensions < 1:
            raise ValueError(f"dimensions: at least 1, got {dimensions}")
        self.loops = _checked(loops)
        # each loop is cubic in Z: a wider start overflows after a few
        self.p = nn.Parameter(0.02 * torch.randn(dimensions + 1, dimensions + 1))
        self.q = nn.Parameter(0.02 * torch.randn(dimensions + 1, dimensions + 1))

    @classmethod
    def descent(cls, loops: int, preconditioner: Tensor) -> LoopedLinear:
        """The layer whose loops are steps of gradient descent with this preconditioner A, `[d, d]`, in its dtype."""
        if preconditioner.ndim != 2 or preconditioner.shape[0] != preconditioner.shape[1]:
            raise ValueError(f"preconditioner: a square matrix, got {list(preconditioner.shape)}")
        layer = cls(len(preconditioner), loops).to(preconditioner)
        with torch.no_grad():
            layer.p.zero_()[-1, -1] = 1
            layer.q.zero_()[:-1, :-1] = -preconditioner.mT
        return layer

    def forward(self, z: Tensor, loops: int | None = None) -> Tensor:
        """`[B, T]`: minus the last entry of every token; at the last token that is the answer.

        At (x_i, y_i) it is minus what is left to explain of y_i. `loops`: another number than the layer's.
        """
        if z.ndim != 3 or z.shape[1] < 2 or z.shape[2] != len(self.p):
            raise ValueError(f"z: [B, points + 1, {len(self.p)}], got {list(z.shape)}")
        for _ in range(self.loops if loops is None else _checked(loops)):
            seen = z[:, :-1]
            moments = seen.mT @ seen / seen.shape[1]
            z = z + z @ (self.q.mT @ moments @ self.p.mT)
        return -z[:, :, -1]


def _checked(loops: int) -> int:
    if loops < 0:
        raise ValueError(f"loops: at least 0, got {loops}")
    return loops
