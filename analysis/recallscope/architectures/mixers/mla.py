"""Multi-head latent attention: keys and values of all heads are read out of one small vector per token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import causal_attention, causal_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import rotate, wide


class MultiHeadLatent(Mixer):
    """Latent attention (DeepSeek-AI 2024, arXiv 2405.04434, Section 2.1); the cache holds c and k_R alone.

    `c_t = RMSNorm(W_DKV x_t)`, `k_R,t = RoPE(W_KR x_t)`, one for all heads; head h has `k_i = [W_UK^h c_i; k_R,i]`,
    `v_i = W_UV^h c_i`, `q_t = [q_C,t; RoPE(q_R,t)]`, and scores `q_t · k_i / √(K + K_R)`. `prefill` forms keys and
    values; `step` does not: it takes `(W_UK^hᵀ q_C) · c_i` for their scores and applies W_UV^h to the weighted sum of
    the c_i, so that a token costs 2 H (2 d_c + K_R) for each position instead of 4 H K + 2 H K_R and 4 H d_c K.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H.
    key_width : int or None
        Width K of a head, of its unrotated keys and of its values; None: D / H.
    latent : int or None
        Width d_c of the latent vector; None: 4 K, as published (512 for K = 128).
    rope_width : int or None
        Width K_R of the rotated part of queries and keys, even; None: K / 2, as published.
    query_latent : int or None
        Width of the queries' own latent vector, normed as the other one; None: queries straight from x.
    rope_base : float
        Base of the rotary frequencies.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        latent: int | None = None,
        rope_width: int | None = None,
        query_latent: int | None = None,
        rope_base: float = 10_000.0,
    ):
        super().__init__()
        if key_width is None:
            check_heads(width, heads)
        self.width, self.heads, self.key_width = width, heads, key_width or width // heads
        self.latent = 4 * self.key_width if latent is None else latent
        self.rope_width = self.key_width // 2 if rope_width is None else rope_width
        self.query_latent, self.rope_base = query_latent, rope_base
        if self.rope_width % 2 or self.rope_width < 2:
            raise ValueError(f"rope_width: an even number from 2 on, got {self.rope_width}")
        if self.latent < 1 or (query_latent is not None and query_latent < 1):
            raise ValueError(f"latent, query_latent: at least 1, got {self.latent} and {query_latent}")
        if query_latent is not None:
            self.query_down = nn.Linear(width, query_latent, bias=False)
            self.query_norm = nn.RMSNorm(query_latent, eps=1e-5)
        self.query = nn.Linear(query_latent or width, heads * self._query_width(), bias=False)
        self.down = nn.Linear(width, self.latent + self.rope_width, bias=False)
        self.norm = nn.RMSNorm(self.latent, eps=1e-5)
        self.up = nn.Linear(self.latent, 2 * heads * self.key_width, bias=False)
        self.out = nn.Linear(heads * self.key_width, width, bias=False)

    def _query_width(self) -> int:
        return self.key_width + self.rope_width

    def init_state(self, batch: int) -> State:
        """Empty caches of the latent vectors `[B, 0, d_c]` and of the rotated keys `[B, 0, K_R]`."""
        weight = self.down.weight
        return weight.new_zeros(batch, 0, self.latent), weight.new_zeros(batch, 0, self.rope_width)

    def _extended(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Plain and rotated queries `[B, T, H, K]`, `[B, T, H, K_R]`, and the caches with the tokens of x in them."""
        latents, shared = self.checked_state(state, x.shape[0])
        positions = torch.arange(latents.shape[1], latents.shape[1] + x.shape[1], device=x.device)
        c, k = self.down(x).split([self.latent, self.rope_width], -1)
        c = self.norm(wide(c)).to(c.dtype)
        k = rotate(wide(k)[:, :, None], positions, self.rope_base).to(k.dtype)[:, :, 0]
        u = self.query_norm(wide(self.query_down(x))).to(c.dtype) if self.query_latent is not None else x
        plain, turned = self.query(u).unflatten(-1, (self.heads, -1)).split([self.key_width, self.rope_width], -1)
        turned = rotate(wide(turned), positions, self.rope_base).to(plain.dtype)
        return plain, turned, torch.cat([latents, c], 1), torch.cat([shared, k], 1)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        plain, turned, latents, shared = self._extended(x, state)
        k, v = self.up(latents).unflatten(-1, (2, self.heads, -1)).unbind(-3)  # each [B, S, H, K]
        k = torch.cat([k, shared[:, :, None].expand(-1, -1, self.heads, -1)], -1)
        q, k, v = (u.transpose(1, 2) for u in (torch.cat([plain, turned], -1), k, v))
        o = causal_attention(q, k, v, self._query_width() ** -0.5)
        return self.out(o.transpose(1, 2).flatten(-2)), (latents, shared)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        plain, turned, latents, shared = self._extended(x[:, None], state)
        key, value = self.up.weight.unflatten(0, (2, self.heads, -1))  # each [H, K, d_c]
        absorbed = torch.einsum("bhk,hkc->bhc", plain[:, 0], key)
        scores = absorbed @ latents.transpose(1, 2) + turned[:, 0] @ shared.transpose(1, 2)  # [B, H, t]
        read = (scores * self._query_width() ** -0.5).softmax(-1) @ latents
        return self.out(torch.einsum("bhc,hkc->bhk", read, value).flatten(-2)), (latents, shared)

    def _matrices(self) -> Any:
        """Weights of the matrices."""
        d, h, query = self.width, self.heads, self._query_width()
        queries = (d + h * query) * self.query_latent if self.query_latent is not None else d * h * query
        return queries + d * (self.latent + self.rope_width) + h * self.key_width * (2 * self.latent + d)

    def parameters_count(self) -> Any:
        """D H (2 K + K_R) + D (d_c + K_R) + 2 H K d_c, and a gain for each normed channel."""
        return self._matrices() + self.latent + (self.query_latent or 0)

    def state_elements(self, t: Any) -> Any:
        """(d_c + K_R) t."""
        return (self.latent + self.rope_width) * t

    def write_elements(self, t: Any) -> Any:
        """One latent vector and one rotated key: d_c + K_R, whatever `t`."""
        return self.latent + self.rope_width

    def _pairs_flops(self, t: Any) -> Any:
        return causal_attention_flops(t, t, self.heads, self._query_width(), self.key_width)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H (K + K_R) t² for the full square, values being as wide as keys to the kernel."""
        return batch * (2 * t * self._matrices() + self._pairs_flops(t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; 7/2 of the square, whose scores are computed anew."""
        return batch * (6 * t * self._matrices() + 7 * self._pairs_flops(t) // 2)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, of which those from the latent vector act on query and output, and 2 H (2 d_c + K_R) t."""
        return batch * (2 * self._matrices() + 2 * self.heads * (2 * self.latent + self.rope_width) * t)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, self.latent + self.rope_width),))
