"""DiffQKV: numbers and widths of query, key and value heads chosen apart, since values bear compression worst."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._causal import (
    causal_attention,
    causal_weights,
    keep_largest,
    token_read,
    token_weights,
)
from recallscope.architectures.mixers._counts import minimum
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import rotate, wide


class DiffQKV(Mixer):
    """Attention of Sigma (Lin et al. 2025, arXiv 2501.13629): few key heads, more value heads, augmented queries.

    `q = W_Q2 act(W_Q1 x)`; query head h reads key head ⌊h n_k / H⌋ and value head ⌊h n_v / H⌋, scores over √K. Keys
    narrower than K are expanded by W_Ke, one for each key head, which is absorbed into the query: `(W_Keᵀ q) · k`.
    With `selected` values, only the s keys with the largest weights have their values read.

    Reconstruction, where the paper does not fix it: no activation inside the queries by default; queries are normed
    before W_Ke, and rotated, as narrow keys are, after it, or it could not be absorbed; values are selected for each
    value head, by the sum of its query heads' weights, in `prefill` too.

    Parameters
    ----------
    width : int
        Model width D.
    heads, key_heads, value_heads : int
        Numbers H, n_k, n_v of heads, of which H is divisible by both others (32, 4, 16 in the paper).
    head_width, key_width, value_width : int or None
        Width K of a query (None: D / H), K' of a cached key and V of a value (None: K). K' is even if rotated.
    query_width : int or None
        Inner width of the queries' two projections; None: 3 D / 2, as in the paper; 0: a single projection.
    activation : str or None
        Between these two: None, or one of "relu", "silu", "gelu".
    selected, renormalise : int or None, bool
        Values s that a value head reads (None: all), and whether their weights are divided by their sum.
    rope_base, qk_norm : float or None, bool
        As in `SoftmaxMixer`.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_heads: int = 1,
        value_heads: int = 2,
        head_width: int | None = None,
        key_width: int | None = None,
        value_width: int | None = None,
        query_width: int | None = None,
        activation: str | None = None,
        selected: int | None = None,
        renormalise: bool = False,
        rope_base: float | None = 10_000.0,
        qk_norm: bool = True,
    ):
        super().__init__()
        if head_width is None:
            check_heads(width, heads)
        if min(key_heads, value_heads) < 1 or heads % key_heads or heads % value_heads:
            raise ValueError(f"key_heads, value_heads: must divide heads {heads}, got {key_heads} and {value_heads}")
        if activation not in (None, "relu", "silu", "gelu"):
            raise ValueError(f"activation: None, 'relu', 'silu' or 'gelu', got {activation!r}")
        if selected is not None and selected < 1:
            raise ValueError(f"selected: at least 1 value or None, got {selected}")
        self.width, self.heads, self.key_heads, self.value_heads = width, heads, key_heads, value_heads
        self.head_width = head_width or width // heads
        self.key_width, self.value_width = key_width or self.head_width, value_width or self.head_width
        self.query_width = 3 * width // 2 if query_width is None else query_width
        self.activation, self.selected, self.renormalise = activation, selected, renormalise
        self.rope_base, self.qk_norm = rope_base, qk_norm
        self.cached = key_heads * self.key_width + value_heads * self.value_width  # elements of one token
        self.expansion = self.head_width * self.key_width if self.key_width != self.head_width else 0  # of a key head
        if rope_base is not None and self.key_width % 2:
            raise ValueError(f"key_width: must be even for rotary positions, got {self.key_width}")
        if self.query_width:
            self.query_in = nn.Linear(width, self.query_width, bias=False)
        self.query = nn.Linear(self.query_width or width, heads * self.head_width, bias=False)
        self.key = nn.Linear(width, key_heads * self.key_width, bias=False)
        self.value = nn.Linear(width, value_heads * self.value_width, bias=False)
        self.out = nn.Linear(heads * self.value_width, width, bias=False)
        if self.expansion:
            shape = key_heads, self.head_width, self.key_width
            self.expand = nn.Parameter(torch.randn(shape) * self.head_width**-0.5)  # W_Ke of each key head, transposed
        if qk_norm:
            self.q_norm = nn.RMSNorm(self.head_width, eps=1e-5)
            self.k_norm = nn.RMSNorm(self.key_width, eps=1e-5)

    def _project(self, x: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """q `[B, T, H, K']`, k `[B, T, n_k, K']`, v `[B, T, n_v, V]` of the positions `start, start + 1, ...`."""
        u = self.query_in(x) if self.query_width else x
        q = self.query(getattr(F, self.activation)(u) if self.activation else u).unflatten(-1, (self.heads, -1))
        k, v = self.key(x).unflatten(-1, (self.key_heads, -1)), self.value(x).unflatten(-1, (self.value_heads, -1))
        dtype = v.dtype
        if self.qk_norm:
            q, k = self.q_norm(wide(q)).to(dtype), self.k_norm(wide(k)).to(dtype)
        if self.expansion:
            q = torch.einsum("btngk,nkc->btngc", q.unflatten(-2, (self.key_heads, -1)), self.expand).flatten(-3, -2)
        if self.rope_base is not None:
            positions = torch.arange(start, start + x.shape[1], device=x.device)
            q, k = (rotate(wide(u), positions, self.rope_base).to(dtype) for u in (q, k))
        return q, k, v

    def init_state(self, batch: int) -> State:
        """Empty key and value caches, `[B, 0, n_k, K']` and `[B, 0, n_v, V]`."""
        new = self.value.weight.new_zeros
        return new(batch, 0, self.key_heads, self.key_width), new(batch, 0, self.value_heads, self.value_width)

    def _extended(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
        """The queries, and the caches with the tokens of x in them."""
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v = self._project(x, keys.shape[1])
        return q, torch.cat([keys, k], 1), torch.cat([values, v], 1)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x, state)
        q, k, v = (u.transpose(1, 2).repeat_interleave(self.heads // u.shape[2], 1) for u in (q, keys, values))
        if self.selected is None:
            o = causal_attention(q, k, v, self.head_width**-0.5)
        else:
            weights = keep_largest(causal_weights(q, k, self.head_width**-0.5), self.value_heads, self.selected)
            o = (weights / weights.sum(-1, keepdim=True) if self.renormalise else weights) @ v
        return self.out(o.transpose(1, 2).flatten(-2)), (keys, values)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, keys, values = self._extended(x[:, None], state)
        weights, v = token_weights(q[:, 0], keys, self.head_width**-0.5), values
        if self.selected is not None:
            groups = weights.unflatten(1, (self.value_heads, -1))  # [B, n_v, H / n_v, t]
            best = groups.sum(2).topk(min(self.selected, keys.shape[1]), -1).indices  # [B, n_v, s]
            weights = groups.gather(3, best[:, :, None].expand(-1, -1, groups.shape[2], -1)).flatten(1, 2)
            v = values.gather(1, best.transpose(1, 2)[..., None].expand(-1, -1, -1, self.value_width))
            weights = weights / weights.sum(-1, keepdim=True) if self.renormalise else weights
        return self.out(token_read(weights, v).flatten(-2)), (keys, values)

    def _matrices(self) -> Any:
        """Weights of the matrices but W_Ke."""
        d, inner = self.width, self.query_width
        queries = (d + self.heads * self.head_width) * inner if inner else d * self.heads * self.head_width
        return queries + d * (self.cached + self.heads * self.value_width)

    def parameters_count(self) -> Any:
        """(D + H K) D_q + D (n_k K' + n_v V + H V), n_k K K' in W_Ke, and the norms' gains K + K'."""
        norms = self.head_width + self.key_width if self.qk_norm else 0
        return self._matrices() + self.key_heads * self.expansion + norms

    def state_elements(self, t: Any) -> Any:
        """Keys and values: (n_k K' + n_v V) t."""
        return self.cached * t

    def read_elements(self, t: Any) -> Any:
        """All keys, and the selected values: n_k K' t + n_v V min(t, s)."""
        return self.key_heads * self.key_width * t + self.value_heads * self.value_width * self._read_values(t)

    def _read_values(self, t: Any) -> Any:
        return t if self.selected is None else minimum(t, self.selected)

    def write_elements(self, t: Any) -> Any:
        """A token's keys and values, whatever `t`."""
        return self.cached

    def _token_flops(self) -> Any:
        """Projections, and W_Ke for each query head."""
        return 2 * (self._matrices() + self.heads * self.expansion)

    def _pairs_flops(self, t: Any) -> Any:
        """Of the full square: 4 H max(K', V) t² in the kernel; 2 H (K' + V) t² where values are selected."""
        widths = self.key_width, self.value_width
        return 2 * self.heads * (2 * max(widths) if self.selected is None else sum(widths)) * t * t

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and the full square."""
        return batch * (t * self._token_flops() + self._pairs_flops(t))

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the projections; 7/2 of the kernel's square, whose scores are computed anew, or 3 times it."""
        twice = 7 if self.selected is None else 6
        return batch * (3 * t * self._token_flops() + twice * self._pairs_flops(t) // 2)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, 2 H K' t, and 2 H V for each value read."""
        pairs = 2 * self.heads * (self.key_width * t + self.value_width * self._read_values(t))
        return batch * (self._token_flops() + pairs)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(None, None, self.cached),))
