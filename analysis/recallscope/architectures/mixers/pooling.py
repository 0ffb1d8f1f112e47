"""Pooling by fixed queries: attention in which no query depends on the token that asks; recalls nothing by content."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._linear import carry, from_chunks, into_chunks
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class FixedQueryPooling(Mixer):
    """Low-rank attention of learned queries (Mehta et al. 2019), made causal: m weighted means of the past.

    `a_i = Pᵀ (tanh(U x_i) ⊙ tanh(c))`, `[m]`; `y_t = W_o [Σ_{i ≤ t} e^{a_ij} x_i / Σ_{i ≤ t} e^{a_ij}]_{j ≤ m}`. The
    state keeps both sums relative to the running maximum μ_t of a. How much a token counts is decided when it is
    written: a floor for tasks of recall, whatever m is.

    Reconstruction: the paper pools a whole sequence once, by the states of a recurrent network and for a classifier;
    running means over its inputs, the learned vector c for its projected context, and W_o are ours.

    Parameters
    ----------
    width : int
        Model width D.
    queries : int
        Number of queries, and means, m.
    rank : int
        Rank r of the scores.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    by_content = False

    def __init__(self, width: int, queries: int = 4, rank: int = 32, chunk: int = 64):
        super().__init__()
        for name, value in (("queries", queries), ("rank", rank), ("chunk", chunk)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, got {value}")
        self.width, self.queries, self.rank, self.chunk = width, queries, rank, chunk
        self.affinity = nn.Linear(width, rank, bias=False)
        self.context = nn.Parameter(torch.randn(rank))
        self.query = nn.Linear(rank, queries, bias=False)
        self.out = nn.Linear(queries * width, width, bias=False)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `[..., m]` and the input with a column of ones, which sums to the denominator, `[..., D + 1]`."""
        scores = self.query(torch.tanh(self.affinity(x)) * torch.tanh(self.context))
        return wide(scores), F.pad(wide(x), (0, 1), value=1.0)

    def _finish(self, sums: Tensor, x: Tensor) -> Tensor:
        return self.out((sums[..., :-1] / sums[..., -1:]).flatten(-2).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """Sums `[B, m, D + 1]`, the denominator last, and running maxima -∞ `[B, m]`; float32 at least."""
        weight = wide(self.out.weight)
        sums = weight.new_zeros(batch, self.queries, self.width + 1)
        return sums, weight.new_full((batch, self.queries), -torch.inf)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        sums, top = self.checked_state(state, x.shape[0])
        scores, values = self._scores(x)
        time, chunk = x.shape[1], min(self.chunk, x.shape[1])
        with torch.autocast(x.device.type, enabled=False):
            scores = F.pad(scores, (0, 0, 0, -time % chunk), value=-torch.inf)
            # maxima cancel in the output, so no gradient goes through them
            tops = torch.cat([top[:, None], scores.detach()], 1).cummax(1).values
            at, scores = (u.unflatten(1, (-1, chunk)).transpose(2, 3) for u in (tops[:, 1:], scores))  # [B, N, m, C]
            later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
            weights = (scores[..., None, :] - at[..., None]).masked_fill(later, -torch.inf).exp().flatten(2, 3)
            inside = (weights @ into_chunks(values[:, :, None], chunk)[:, :, 0]).unflatten(2, (-1, chunk))
            fade = (tops[:, :-1:chunk, :, None] - at).exp()[..., None]  # from before the chunk, [B, N, m, C, 1]
            before, sums = carry(inside[..., -1:, :], sums[:, :, None], fade[..., -1:, :])
        y = self._finish(from_chunks(inside + fade * before, time), x)
        return y, (sums[:, :, 0], tops[:, -1])

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        sums, top = self.checked_state(state, x.shape[0])
        scores, values = self._scores(x)
        new = torch.maximum(top, scores.detach())
        sums = torch.addcmul((top - new).exp()[..., None] * sums, (scores - new).exp()[..., None], values[:, None])
        return self._finish(sums, x), (sums, new)

    def parameters_count(self) -> Any:
        """r (D + m + 1), and m D² in the last projection."""
        return self.rank * (self.width + self.queries + 1) + self.queries * self.width**2

    def _projection_flops(self) -> Any:
        return 2 * (self.rank * (self.width + self.queries) + self.queries * self.width**2)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: m (D + 2)."""
        return self.queries * (self.width + 2)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 2 m C (D + 1) a token, in whole chunks."""
        pairs = padded(t, self.chunk) * minimum(t, self.chunk)
        return batch * (t * self._projection_flops() + 2 * self.queries * (self.width + 1) * pairs)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 2 m (D + 1) to add to the sums."""
        return batch * (self._projection_flops() + 2 * self.queries * (self.width + 1))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
