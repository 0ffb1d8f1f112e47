"""JRT-RNN: Taylor linear attention that first reads its prompt as an encoder, without causality."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers.based import Based, symmetric_taylor_features, taylor_features


class JRT(Mixer):
    """Prefix linear attention (Arora et al. 2024, arXiv 2407.05483), on the Taylor features φ of `Based`.

    The state starts from a sum over the whole prefix of M tokens, with keys and values of its own:

    `o_i = φ(q_i)ᵀ (Σ_{j ≤ i} φ(k_j) v_jᵀ + Σ_{j ≤ M} φ(k^e_j) v^e_jᵀ) / (the same with 1 for v)`.

    What to keep of the prefix can thus depend on all of it, at a state of unchanged size and an unchanged `step`.
    Outputs *within* the prefix see all of it: the layer is causal, and `dataflow` holds, from token M on. With
    `prefix=0` it is `Based`, and the encoder's projections get no gradient.

    Parameters are those of `Based`; `prefill`, `forward` and their counts take the `prefix` M, in tokens, counted from
    the first token of the call. All sequences of a batch have the same M.
    """

    encodes = True

    def __init__(self, width: int, heads: int = 4, key_width: int = 16, symmetric: bool = False, chunk: int = 128):
        super().__init__()
        self.width, self.heads, self.key_width, self.symmetric = width, heads, key_width, symmetric
        self.decoder = Based(width, heads, key_width, symmetric, chunk)
        self.encoder_key = nn.Linear(width, heads * key_width, bias=False)
        self.encoder_value = nn.Linear(width, width, bias=False)

    def _encode(self, x: Tensor) -> Tensor:
        """What a prefix `[B, M, D]` adds to the state: `Σ_j φ(k^e_j) [v^e_j, 1]ᵀ`, `[B, H, F, V + 1]`."""
        k = wide(self.encoder_key(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2) * self.key_width**-0.25
        v = wide(self.encoder_value(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        features = symmetric_taylor_features if self.symmetric else taylor_features
        with torch.autocast(x.device.type, enabled=False):
            return features(k).transpose(-1, -2) @ F.pad(v, (0, 1), value=1.0)

    def init_state(self, batch: int) -> State:
        """Zero sum of `φ(k) [v, 1]ᵀ`, `[B, H, F, V + 1]`; float32 at least."""
        return self.decoder.init_state(batch)

    def prefill(self, x: Tensor, state: State | None = None, prefix: int = 0) -> tuple[Tensor, State]:
        """All tokens at once; the first `prefix` are also encoded, and all outputs see them all."""
        if not 0 <= prefix <= x.shape[1]:
            raise ValueError(f"prefix: from 0 to the {x.shape[1]} tokens given, got {prefix}")
        if prefix:
            (matrix,) = self.checked_state(state, x.shape[0])
            state = (matrix + self._encode(x[:, :prefix]),)
        return self.decoder.prefill(x, state)

    def forward(self, x: Tensor, prefix: int = 0) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, from the empty state."""
        return self.prefill(x, prefix=prefix)[0]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.decoder.step(x, state)

    def _encoder_parameters(self) -> Any:
        """D (D + H K)."""
        return self.width * (self.width + self.heads * self.key_width)

    def parameters_count(self) -> Any:
        """3 D (D + H K)."""
        return self.decoder.parameters_count() + self._encoder_parameters()

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: F (D + H), the sums of φ(k) vᵀ and of φ(k)."""
        return self.decoder.state_elements(t)

    def prefill_flops(self, t: Any, batch: Any = 1, prefix: Any = 0) -> Any:
        """Those of `Based`; each token of the prefix adds two for each weight of the encoder and 2 F (D + H)."""
        encoder = prefix * 2 * (self._encoder_parameters() + self.state_elements(t))
        return self.decoder.prefill_flops(t, batch) + batch * encoder

    def training_flops(self, t: Any, batch: Any = 1, prefix: Any = 0) -> Any:
        """Three times the products."""
        return 3 * self.prefill_flops(t, batch, prefix)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Those of `Based`."""
        return self.decoder.decode_flops(t, batch)

    def dataflow(self) -> Dataflow:
        """From the end of the prefix on."""
        return self.decoder.dataflow()


def prefix_loss(
    logits: Tensor,
    tokens: Tensor,
    masked: Tensor,
    prefix: int,
    next_weight: float = 1.0,
    masked_weight: float = 0.25,
) -> Tensor:
    """The objective of JRT-RNN, in nats: `(w₁ L_next + w₂ L_masked) / (w₁ + w₂)`.

    Parameters
    ----------
    logits : Tensor
        `[B, T, vocabulary]`, of an input in which the `masked` tokens were replaced.
    tokens : Tensor
        `[B, T]`, before the replacement.
    masked : Tensor
        `[B, prefix]`, boolean, at least one of them true: the positions whose own token is to be filled in, L_masked.
    prefix : int
        M, at least 1 and less than T: the tokens from M on are predicted each from the position before, L_next. Those
        of the prefix are not, as its positions see them all.
    next_weight, masked_weight : float
        w₁ and w₂.
    """
    if not 1 <= prefix < tokens.shape[1]:
        raise ValueError(f"prefix: from 1 to {tokens.shape[1] - 1} of {tokens.shape[1]} tokens, got {prefix}")
    shape = tokens[:, :prefix].shape
    if masked.shape != shape or masked.dtype != torch.bool or not masked.any():
        raise ValueError(f"masked: {tuple(shape)} booleans, one true, got {tuple(masked.shape)} of {masked.dtype}")
    next_loss = F.cross_entropy(logits[:, prefix - 1 : -1].flatten(0, 1), tokens[:, prefix:].flatten())
    masked_loss = F.cross_entropy(logits[:, :prefix][masked], tokens[:, :prefix][masked])
    return (next_weight * next_loss + masked_weight * masked_loss) / (next_weight + masked_weight)
