"""N-gram heads: a token reads what stood where its last n tokens occurred before; exact recall by construction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class NGramHead(Mixer):
    """Static n-gram head (Akyürek et al. 2024): `y_i = W_0 h_i + W_1 x_i`, h_i the mean of x_j over matches j.

    Position j < i matches if the n tokens before j are the last n tokens up to i, `c_{j-m} = c_{i-m+1}` for m = 1..n;
    h_i = 0 without a match. With n = 1 this is an induction head. The mean has no weights to learn, so all of a match
    is in the ids c: the state is the whole past, and an upper reference for recall.

    Reconstruction: where no ids are given, those of the layer's input stand in, the argmax of a fixed random projection
    of it to `codes` values. They serve where inputs are all there is, as in a first layer; in later ones equal tokens
    differ. An argmax has no gradient, ids take none.

    Parameters
    ----------
    width : int
        Model width D.
    order : int
        Tokens n that must agree.
    codes : int
        Number of values of stand-in ids.
    seed : int
        Of the projection.
    """

    shift = True

    def __init__(self, width: int, order: int = 1, codes: int = 32, seed: int = 0):
        super().__init__()
        for name, value in (("order", order), ("codes", codes)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, got {value}")
        self.width, self.order, self.codes = width, order, codes
        self.found = nn.Linear(width, width, bias=False)
        self.own = nn.Linear(width, width, bias=False)
        generator = torch.Generator().manual_seed(seed)
        projection = torch.randn(width, codes, generator=generator, device="cpu")
        self.register_buffer("projection", projection, persistent=False)

    def init_state(self, batch: int) -> State:
        """Inputs so far `[B, 0, D]`, and their ids `[B, 0]` in float32 at least, which is exact up to 2²⁴."""
        weight = self.own.weight
        return weight.new_zeros(batch, 0, self.width), wide(weight).new_zeros(batch, 0)

    def _extended(self, x: Tensor, state: State | None, ids: Tensor | None) -> State:
        """The state with the inputs `[B, T, D]` added and their ids."""
        past, known = self.checked_state(state, x.shape[0])
        if ids is None:
            ids = (x.detach() @ self.projection).argmax(-1)  # type: ignore[operator]
        elif ids.shape != x.shape[:2] or ids.is_floating_point():
            raise ValueError(f"ids: integers of shape {tuple(x.shape[:2])}, got {ids.dtype} of {tuple(ids.shape)}")
        return torch.cat([past, x], 1), torch.cat([known, ids.to(known.dtype)], 1)

    def prefill(self, x: Tensor, state: State | None = None, ids: Tensor | None = None) -> tuple[Tensor, State]:
        inputs, known = self._extended(x, state, ids)
        time, length = x.shape[1], inputs.shape[1]
        matches = torch.ones(time, length, dtype=torch.bool, device=x.device).tril(length - time - 1)
        for m in range(1, self.order + 1):
            # before the first token stand ids that nothing equals: -2 for queries, -1 for keys
            query = F.pad(known, (m - 1, 0), value=-2)[:, length - time : length]
            key = F.pad(known, (m, 0), value=-1)[:, :length]
            matches = matches & (query[:, :, None] == key[:, None])
        weights = matches.to(x.dtype) / matches.sum(-1, keepdim=True).clamp(min=1)
        return self.found(weights @ inputs) + self.own(x), (inputs, known)

    def step(self, x: Tensor, state: State, ids: Tensor | None = None) -> tuple[Tensor, State]:
        """With ids `[B]` of the token, if any."""
        inputs, known = self._extended(x[:, None], state, None if ids is None else ids[:, None])
        found = torch.zeros_like(known, dtype=torch.bool)
        if known.shape[1] > self.order:
            grams = known.unfold(1, self.order, 1)  # [B, t - n + 1, n]: entry j - n is before j, the last one up to i
            found[:, self.order : -1] = (grams[:, :-2] == grams[:, -1:]).all(-1)
        weights = found.to(x.dtype) / found.sum(-1, keepdim=True).clamp(min=1)
        return self.found((weights[:, None] @ inputs)[:, 0]) + self.own(x), (inputs, known)

    def parameters_count(self) -> Any:
        """2 D²."""
        return 2 * self.width**2

    def state_elements(self, t: Any) -> Any:
        """Inputs and ids: t (D + 1)."""
        return t * (self.width + 1)

    def write_elements(self, t: Any) -> Any:
        """An input and its id: D + 1."""
        return self.width + 1

    def _code_flops(self) -> Any:
        """Of the stand-in ids; none if ids are given."""
        return 2 * self.width * self.codes

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, stand-in ids, and 2 D for each pair of the full square."""
        return batch * t * (2 * self.parameters_count() + self._code_flops() + 2 * self.width * t)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; the stand-in ids have no gradient, and the pairs one, of the inputs."""
        return batch * t * (6 * self.parameters_count() + self._code_flops() + 4 * self.width * t)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, a stand-in id, and 2 D for each token of the past."""
        return batch * (2 * self.parameters_count() + self._code_flops() + 2 * self.width * t)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, self.width + 1),))
