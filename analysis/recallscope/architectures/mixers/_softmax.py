"""What the softmax mixers share: projections, norms, rotation, output gate, and their closed forms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import rotate, wide


class SoftmaxMixer(Mixer):
    """Projections of softmax attention, for subclasses that say which keys a query sees and with what weights.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of query heads H.
    kv_heads : int or None
        Number of key and value heads, a divisor of H (None: H; 1: multi-query). Query head h reads head ⌊h H_kv / H⌋.
    key_width : int or None
        Width K of a head, of keys and values alike; None: D / H. Even if rotated.
    rope_base : float or None
        Base of the rotary frequencies; None: no positions.
    qk_norm : bool
        RMSNorm with a learned gain on each head's queries and keys (Henry et al. 2020).
    gate : bool
        Multiply the heads' output by σ(W_g x), elementwise, before the last projection (Qiu et al. 2025).
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        kv_heads: int | None = None,
        key_width: int | None = None,
        rope_base: float | None = 10_000.0,
        qk_norm: bool = True,
        gate: bool = False,
    ):
        super().__init__()
        if key_width is None:
            check_heads(width, heads)
        self.width, self.heads, self.kv_heads = width, heads, kv_heads or heads
        self.key_width = key_width or width // heads
        self.rope_base, self.qk_norm, self.gate = rope_base, qk_norm, gate
        if heads % self.kv_heads:
            raise ValueError(f"kv_heads: must divide heads, got heads {heads} and kv_heads {kv_heads}")
        if rope_base is not None and self.key_width % 2:
            raise ValueError(f"key_width: must be even for rotary positions, got {self.key_width}")
        self.qkv = nn.Linear(width, (heads + 2 * self.kv_heads) * self.key_width, bias=False)
        if qk_norm:
            self.q_norm = nn.RMSNorm(self.key_width, eps=1e-5)
            self.k_norm = nn.RMSNorm(self.key_width, eps=1e-5)
        if gate:
            self.gate_projection = nn.Linear(width, heads * self.key_width, bias=False)
        self.out = nn.Linear(heads * self.key_width, width, bias=False)

    def _split(self, x: Tensor) -> list[Tensor]:
        """`[B, T, D]` to plain q `[B, T, H, K]` and k, v `[B, T, H_kv, K]`."""
        sizes = [self.heads, self.kv_heads, self.kv_heads]
        return list(self.qkv(x).unflatten(-1, (-1, self.key_width)).split(sizes, -2))

    def _position(self, q: Tensor, k: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Norm and rotate q and k of the positions `start, start + 1, ...`; computed in float32 at least."""
        dtype = q.dtype
        if self.qk_norm:
            q, k = self.q_norm(wide(q)), self.k_norm(wide(k))
        if self.rope_base is not None:
            positions = torch.arange(start, start + q.shape[1], device=q.device)
            q, k = (rotate(wide(u), positions, self.rope_base) for u in (q, k))
        return q.to(dtype), k.to(dtype)

    def _project(self, x: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v as attention uses them, for the positions `start, start + 1, ...`."""
        q, k, v = self._split(x)
        return *self._position(q, k, start), v

    def _heads_first(self, u: Tensor) -> Tensor:
        """`[B, T, H or H_kv, K] -> [B, H, T, K]`: key and value heads repeated for the queries that share them."""
        return u.transpose(1, 2).repeat_interleave(self.heads // u.shape[2], 1)

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        """The heads' output `[B, ..., H, K]`, gated and projected to `[B, ..., D]`."""
        o = o.flatten(-2)
        return self.out(o * torch.sigmoid(self.gate_projection(x)) if self.gate else o)

    def init_state(self, batch: int) -> State:
        """Empty key and value caches, `[B, 0, H_kv, K]`."""
        empty = self.qkv.weight.new_zeros(batch, 0, self.kv_heads, self.key_width)
        return empty, empty

    def parameters_count(self) -> Any:
        """2 D K (H + H_kv), norms and gate apart."""
        norms = 2 * self.key_width if self.qk_norm else 0
        gate = self.width * self.heads * self.key_width if self.gate else 0
        return 2 * self.width * self.key_width * (self.heads + self.kv_heads) + norms + gate

    def _projection_flops(self) -> Any:
        """Of one token: two for each weight of a matrix."""
        gate = self.width * self.heads * self.key_width if self.gate else 0
        return 2 * (2 * self.width * self.key_width * (self.heads + self.kv_heads) + gate)

    def write_elements(self, t: Any) -> Any:
        """A key and a value: 2 H_kv K, whatever `t`."""
        return 2 * self.kv_heads * self.key_width
