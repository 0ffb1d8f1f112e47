"""Linear attention: the softmax kernel replaced by a product of features, the cache by one matrix a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers import _linear
from recallscope.architectures.mixers._features import (
    Hedgehog,
    cosformer_features,
    elu_features,
    orthogonal_directions,
    performer_features,
)
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide

FEATURE_MAPS = ("elu", "relu", "t2r", "hedgehog", "cosformer", "performer", "identity")


class LinearAttention(Mixer):
    """`S_t = S_{t-1} + φ(k_t) v_tᵀ`, `n_t = n_{t-1} + φ(k_t)`, `o_t = S_tᵀ φ(q_t) / (n_t·φ(q_t) + ε)`, no positions.

    (Katharopoulos et al. 2020.) Without `normalised`, `o_t = S_tᵀ φ(q_t) / √F` and n is not kept. The maps φ, K to F:

    - `elu`: `elu(x) + 1`, F = K; `relu`: `ReLU(x)`, F = K; `identity`: F = K, not normalised;
    - `t2r`: `ReLU(W_φ x + b_φ)` (Kasai et al. 2021), W_φ folded into the projections, so that q and k are not formed;
      F = `features` (32). W_φ W_q and W_φ W_k are free matrices here, with a bias each;
    - `hedgehog`: `[softmax(W x); softmax(-W x)]` (Zhang et al. 2024), W learned, one for q and one for k;
      F = `features` (2 K);
    - `cosformer`: `ReLU(x)` times cosine and sine of the position (Qin et al. 2022), F = 2 K; at most `length` tokens;
    - `performer`: positive random features with orthogonal directions (Choromanski et al. 2021), drawn once from `seed`
      for all heads; F = `features` (2 K); only normalised.

    The Taylor map of second order is `based.Based`.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; V = D / H.
    key_width : int or None
        Width K of queries and keys per head; None: D / H. Unused by `t2r`.
    feature_map : str
        One of the seven.
    features : int or None
        Width F of the maps that can choose it; None: as above.
    normalised : bool
        Divide by the sum of the weights.
    eps : float
        ε, against division by zero.
    length : int
        M of `cosformer`, in tokens.
    seed : int
        Of the directions of `performer`.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        feature_map: str = "elu",
        features: int | None = None,
        normalised: bool = True,
        eps: float = 1e-6,
        length: int = 1024,
        seed: int = 0,
        chunk: int = 64,
    ):
        super().__init__()
        check_heads(width, heads)
        if feature_map not in FEATURE_MAPS:
            raise ValueError(f"feature_map: one of {', '.join(FEATURE_MAPS)}, got {feature_map!r}")
        if features is not None and (features < 1 or feature_map not in ("t2r", "hedgehog", "performer")):
            raise ValueError(f"features: at least 1, of t2r, hedgehog or performer, got {features} for {feature_map}")
        if feature_map == ("identity" if normalised else "performer"):
            raise ValueError(f"normalised: false for identity, true for performer, got {normalised} for {feature_map}")
        if length < 1:
            raise ValueError(f"length: at least 1 token, got {length}")
        self.width, self.heads, self.key_width = width, heads, key_width or width // heads
        self.feature_map, self.normalised, self.eps = feature_map, normalised, eps
        self.length, self.chunk = length, chunk
        k = self.key_width
        self.features = {"t2r": features or 32, "hedgehog": features or 2 * k, "performer": features or 2 * k}.get(
            feature_map, 2 * k if feature_map == "cosformer" else k
        )
        learned = feature_map == "t2r"
        self.qk = nn.Linear(width, 2 * heads * (self.features if learned else k), bias=learned)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        if feature_map == "hedgehog":
            self.q_map, self.k_map = (Hedgehog(heads, k, self.features) for _ in range(2))
        if feature_map == "performer":
            self.register_buffer("directions", orthogonal_directions(self.features, k, seed))

    def _project(self, x: Tensor, position: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """φ(q), φ(k) `[B, T, H, F]` and v `[B, T, H, V]`, with a last column of ones if the denominator is needed."""
        q, k = wide(self.qk(x)).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        v = wide(self.value(x)).unflatten(-1, (self.heads, -1))
        with torch.autocast(x.device.type, enabled=False):
            q, k = self._map(q, k, position)
        return (q, k, F.pad(v, (0, 1), value=1.0)) if self.normalised else (q * self.features**-0.5, k, v)

    def _map(self, q: Tensor, k: Tensor, position: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.feature_map == "elu":
            return elu_features(q), elu_features(k)
        if self.feature_map in ("relu", "t2r"):
            return q.relu(), k.relu()
        if self.feature_map == "hedgehog":
            return self.q_map(q), self.k_map(k)
        if self.feature_map == "performer":
            scale, directions = self.key_width**-0.25, self.get_buffer("directions")
            return performer_features(q * scale, directions, True), performer_features(k * scale, directions, False)
        if position is not None:
            start, stop = int(position), int(position) + q.shape[1]
            if stop > self.length:
                raise ValueError(f"x: at most length = {self.length} tokens in all for cosformer, got {stop}")
            positions = torch.arange(start, stop, device=q.device)
            return cosformer_features(q, positions, self.length), cosformer_features(k, positions, self.length)
        return q, k

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        o = o[..., :-1] / (o[..., -1:] + self.eps) if self.normalised else o
        return self.out(o.flatten(-2).to(x.dtype))

    def init_state(self, batch: int) -> State:
        """Zero sum of `φ(k) [v, 1]ᵀ`, `[B, H, F, V + 1]`, float32 at least; for `cosformer`, the next position too."""
        value = self.width // self.heads + self.normalised
        matrix = wide(self.value.weight).new_zeros(batch, self.heads, self.features, value)
        return (matrix, torch.zeros((), dtype=torch.long)) if self.feature_map == "cosformer" else (matrix,)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, *position = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, *position or [None])
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = _linear.linear_attention(q, k, v, matrix, self.chunk)
        return self._finish(o, x), (matrix, *(p + x.shape[1] for p in position))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, *position = self.checked_state(state, x.shape[0])
        q, k, v = (u[:, 0] for u in self._project(x[:, None], *position or [None]))
        matrix = torch.addcmul(matrix, k[..., None], v[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], x), (matrix, *(p + 1 for p in position))

    def _map_flops(self) -> Any:
        """Of one token: 4 H K F/2 for the two maps of `hedgehog`, 4 H K F for the directions of `performer`."""
        products = {"hedgehog": 2, "performer": 4}.get(self.feature_map, 0)
        return products * self.heads * self.key_width * self.features

    def parameters_count(self) -> Any:
        """2 D (D + H K); 2 D (D + H F) + 2 H F with `t2r`; H K F more with `hedgehog`."""
        keys = self.heads * (self.features if self.feature_map == "t2r" else self.key_width)
        bias = 2 * keys if self.feature_map == "t2r" else 0
        maps = self.heads * self.key_width * self.features if self.feature_map == "hedgehog" else 0
        return 2 * self.width * (self.width + keys) + bias + maps

    def _projection_flops(self) -> Any:
        """Of one token: two for each weight of a projection."""
        keys = self.heads * (self.features if self.feature_map == "t2r" else self.key_width)
        return 4 * self.width * (self.width + keys)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: F (D + H), the sums of φ(k) vᵀ and of φ(k); F D if not normalised."""
        return self.features * (self.width + self.heads * int(self.normalised))

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections and maps, and linear attention with values of width V + 1."""
        value = self.width // self.heads + int(self.normalised)
        attention = _linear.linear_attention_flops(t, self.chunk, self.features, value)
        return batch * (t * (self._projection_flops() + self._map_flops()) + self.heads * attention)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products; the directions of `performer` are fixed: twice theirs."""
        fixed = batch * t * self._map_flops() if self.feature_map == "performer" else 0
        return 3 * self.prefill_flops(t, batch) - fixed

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections and maps, and 4 F (V + 1) a head: add to the state, read it."""
        return batch * (self._projection_flops() + self._map_flops() + 4 * self.state_elements(t))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
