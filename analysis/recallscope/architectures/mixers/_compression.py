"""Compressed entries of a key and value cache: a learned summary of every block of tokens, blocks overlapping."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.mixers._counts import ceil_div, maximum
from recallscope.architectures.mixers._rotary import rotate, wide


class BlockMLPs(nn.Module):
    """`k̄_i = W_2 SiLU(W_1 [k_{id+1}; ..; k_{id+l}])` and likewise v̄, for i = 0, 1, ...; the same for every head.

    Keys that carry rotary positions are turned back by their block's first position before, and their entry forward
    by it after, so that an entry knows positions in the block, and its own in the sequence, as keys do.

    Parameters
    ----------
    width : int
        Width K of a head.
    block, stride : int
        Tokens l of an entry and d from an entry to the next.
    rope_base : float or None
        Base of the rotary frequencies; None: no positions.
    """

    def __init__(self, width: int, block: int, stride: int, rope_base: float | None):
        super().__init__()
        self.width, self.block, self.stride, self.rope_base = width, block, stride, rope_base
        self.keys, self.values = (
            nn.Sequential(nn.Linear(block * width, width, bias=False), nn.SiLU(), nn.Linear(width, width, bias=False))
            for _ in range(2)
        )

    def entries(self, t: Any) -> Any:
        """Complete blocks after `t` tokens: `⌊(t - l) / d⌋ + 1`, or 0."""
        return maximum(ceil_div(t - self.block + 1, self.stride), 0)

    def extend(self, keys: Tensor, values: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Entries k, v `[B, N, H, K]` with those added that the caches `[B, t, H, K]` now allow for."""
        old, new = k.shape[1], self.entries(keys.shape[1])
        if new == old:
            return k, v
        blocks = [u[:, old * self.stride :].unfold(1, self.block, self.stride).movedim(-1, 2) for u in (keys, values)]
        starts = torch.arange(old, new, device=k.device) * self.stride
        turned = self._turn(blocks[0].flatten(2, 3), -starts).unflatten(2, (self.block, -1))  # [B, N, l, H, K]
        key, value = (u.transpose(2, 3).flatten(3) for u in (turned, blocks[1]))
        key, value = self._turn(self.keys(key), starts), self.values(value)
        return torch.cat([k, key.to(k.dtype)], 1), torch.cat([v, value.to(v.dtype)], 1)

    def _turn(self, u: Tensor, positions: Tensor) -> Tensor:
        return u if self.rope_base is None else rotate(wide(u), positions, self.rope_base).to(u.dtype)

    def parameters_count(self) -> Any:
        """2 (l + 1) K²."""
        return 2 * (self.block + 1) * self.width**2

    def flops(self, t: Any) -> Any:
        """Of all entries of `t` tokens, a head: 4 (l + 1) K² each."""
        return 2 * self.parameters_count() * self.entries(t)
