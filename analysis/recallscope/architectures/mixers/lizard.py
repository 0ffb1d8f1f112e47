"""Lizard: gated linear attention over the whole past, plus softmax attention over a window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._counts import minimum, padded
from recallscope.architectures.mixers._features import Hedgehog
from recallscope.architectures.mixers._linear import linear_attention, linear_attention_flops
from recallscope.architectures.mixers._mixer import State
from recallscope.architectures.mixers._rotary import wide
from recallscope.architectures.mixers._softmax import SoftmaxMixer


class Lizard(SoftmaxMixer):
    """The layer into which Lizard turns softmax attention (Van Nguyen et al. 2025), q, k, v shared, no rotation.

    `y = W_o (ŷ + α ŵ)`, α a learned number. The global branch, with a gate `γ_t = σ(w_γ·x_t)` for all heads:

    `S_t = γ_t S_{t-1} + φ(k_t) v_tᵀ`, `n_t = γ_t n_{t-1} + φ(k_t)`, `ŷ_t = S_tᵀ φ(q_t) / (n_t·φ(q_t) + ε)`, ε = 10⁻¹²,

    `φ(x) = [softmax(W x); softmax(-W x)]`, F wide, W learned for each head and for q and k apart. The local branch,
    over the last w tokens, with m learned sink logits τ, the "meta memory", that the heads share:

    `ŵ_t = Σ_i e^{z_ti} v_i / (Σ_i e^{z_ti} + Σ_j e^{τ_j})`, `z_ti = q_t·k_i / √K`.

    Reconstruction: the paper does not fix whether the meta memory are logits, as here, or keys and values, whether φ is
    shared by the heads, nor the initial gate: α = 1, τ = 0 and the identity as W are ours, w_γ starts at random.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of query heads H.
    kv_heads, key_width : int or None
        As in `SoftmaxMixer`.
    features : int or None
        Width F of φ, even; None: K.
    window : int
        Visible tokens w of the local branch, the current one among them.
    sinks : int
        Number m of sink logits.
    chunk : int
        Tokens per chunk of the global branch; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        kv_heads: int | None = None,
        key_width: int | None = None,
        features: int | None = None,
        window: int = 128,
        sinks: int = 4,
        chunk: int = 64,
    ):
        super().__init__(width, heads, kv_heads, key_width, rope_base=None, qk_norm=False)
        if window < 1:
            raise ValueError(f"window: at least 1 token, got {window}")
        if sinks < 1:
            raise ValueError(f"sinks: at least 1 logit, got {sinks}")
        self.features = self.key_width if features is None else features
        self.window, self.sinks, self.chunk = window, sinks, chunk
        self.q_map, self.k_map = (Hedgehog(heads, self.key_width, self.features) for _ in range(2))
        self.decay = nn.Linear(width, 1, bias=False)
        self.sink = nn.Parameter(torch.zeros(sinks))
        self.local_scale = nn.Parameter(torch.ones(()))

    def init_state(self, batch: int) -> State:
        """Empty caches `[B, 0, H_kv, K]`; the zero sum of `φ(k) [v, 1]ᵀ`, `[B, H, F, K + 1]`, float32 at least."""
        matrix = wide(self.out.weight).new_zeros(batch, self.heads, self.features, self.key_width + 1)
        return *super().init_state(batch), matrix

    def _features(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """φ(q), φ(k) `[B, T, H, F]`, v and a one `[B, T, H, K + 1]`, ln γ `[B, T, 1, 1]`."""
        k, v = (u.repeat_interleave(self.heads // self.kv_heads, -2) for u in (k, v))
        log_decay = F.logsigmoid(wide(self.decay(x)))[..., None]
        with torch.autocast(x.device.type, enabled=False):
            return self.q_map(wide(q)), self.k_map(wide(k)), F.pad(wide(v), (0, 1), value=1.0), log_decay

    def _combine(self, o: Tensor, local: Tensor, x: Tensor) -> Tensor:
        o = o[..., :-1] / (o[..., -1:] + 1e-12)
        return self._finish((o + self.local_scale * local).to(x.dtype), x)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values, matrix = self.checked_state(state, x.shape[0])
        q, k, v = self._split(x)
        fq, fk, ones, log_decay = self._features(q, k, v, x)
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = linear_attention(fq, fk, ones, matrix, self.chunk, log_decay)
        keys, values, past = torch.cat([keys, k], 1), torch.cat([values, v], 1), keys.shape[1]
        y = self._combine(o, self._attend(q, keys, values, past), x)
        return y, (keys[:, -self.window :], values[:, -self.window :], matrix)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, past: int) -> Tensor:
        """T queries against the `past` keys before them and their own, in blocks of w: `[B, T, H, K]`."""
        time, w = q.shape[1], self.window
        blocks = -(-time // w)
        ends = blocks * w - time
        q = F.pad(q, (0, 0, 0, 0, 0, ends)).unflatten(1, (blocks, w)).transpose(2, 3)  # [B, N, H, w, K]
        k, v = (self._two_blocks(F.pad(u, (0, 0, 0, 0, w - past, ends)), blocks) for u in (k, v))  # [B, N, H, 2w, K]
        place = torch.arange(2 * w, device=q.device)
        distance = torch.arange(w, 2 * w, device=q.device)[:, None] - place
        exists = (torch.arange(blocks, device=q.device) > 0)[:, None] | (place >= w - past)
        seen = ((distance >= 0) & (distance < w))[None] & exists[:, None]  # [N, w, 2w]
        scores = (q @ k.transpose(-1, -2) * self.key_width**-0.5).masked_fill(~seen[:, None], -torch.inf)
        return (self._weights(scores).to(v.dtype) @ v).transpose(2, 3).flatten(1, 2)[:, :time]

    def _two_blocks(self, u: Tensor, blocks: int) -> Tensor:
        """`[B, (blocks + 1) w, H_kv, K] -> [B, blocks, H, 2w, K]`: each block after the one before it."""
        u = u.unflatten(1, (blocks + 1, self.window))
        u = torch.cat([u[:, :-1], u[:, 1:]], 2).transpose(2, 3)
        return u.repeat_interleave(self.heads // self.kv_heads, 2)

    def _weights(self, scores: Tensor) -> Tensor:
        """Softmax over the last axis and a last column of `ln Σ_j e^{τ_j}`, which is then left out."""
        sink = self.sink.logsumexp(0).to(scores.dtype).expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sink], -1).softmax(-1)[..., :-1]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values, matrix = self.checked_state(state, x.shape[0])
        q, k, v = self._split(x)
        fq, fk, ones, log_decay = self._features(q, k, v, x)
        matrix = torch.addcmul(matrix * log_decay[..., None].exp(), fk[..., None], ones[..., None, :])
        o = (fq[..., None, :] @ matrix)[..., 0, :]
        keys = torch.cat([keys, k[:, None]], 1)[:, -self.window :]
        values = torch.cat([values, v[:, None]], 1)[:, -self.window :]
        scores = (self._heads_first(keys) @ q[..., None])[..., 0] * self.key_width**-0.5  # [B, H, min(t, w)]
        local = (self._weights(scores)[..., None, :] @ self._heads_first(values))[..., 0, :]
        return self._combine(o, local, x), (keys, values, matrix)

    def parameters_count(self) -> Any:
        """2 D K (H + H_kv), H K F in the two maps, D in the gate, m sinks and α."""
        maps = self.heads * self.key_width * self.features
        return super().parameters_count() + maps + self.width + self.sinks + 1

    def _matrix_elements(self) -> Any:
        """H F (K + 1)."""
        return self.heads * self.features * (self.key_width + 1)

    def _token_flops(self) -> Any:
        """Projections, gate and maps of one token."""
        return self._projection_flops() + 2 * self.width + 2 * self.heads * self.key_width * self.features

    def state_elements(self, t: Any) -> Any:
        """H F (K + 1) + 2 H_kv K min(t, w)."""
        return self._matrix_elements() + 2 * self.kv_heads * self.key_width * minimum(t, self.window)

    def write_elements(self, t: Any) -> Any:
        """The matrices, and a key and a value."""
        return self._matrix_elements() + 2 * self.kv_heads * self.key_width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Each token's own, linear attention with values of width K + 1, 4 H K · 2w a query of the whole blocks."""
        attention = linear_attention_flops(t, self.chunk, self.features, self.key_width + 1)
        pairs = padded(t, self.window, shrink=False) * 2 * self.window
        return batch * (t * self._token_flops() + self.heads * (attention + 4 * self.key_width * pairs))

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """The token's own, 4 H F (K + 1) for the matrices and 4 H K min(t, w) for the window."""
        window = 4 * self.heads * self.key_width * minimum(t, self.window)
        return batch * (self._token_flops() + 4 * self._matrix_elements() + window)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.window, 2 * self.kv_heads * self.key_width),), self._matrix_elements())
