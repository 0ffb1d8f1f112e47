"""The layer T of the recurrent transformer: pre-norm causal attention and feed-forward layer, as GPT-2's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.mixers._mixer import check_heads

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}


class TransformerLayer(nn.Module):
    """`u = z + W_o Attn(LN(z))`, then `u + W_down φ(W_up LN(u))`, 4 D wide inside, without biases and dropout.

    Weights start with deviation 0.02, W_o and W_down with 0.02 / √(2 `depth`), as GPT-2's.

    Parameters
    ----------
    width, heads : int
        D, and the number of heads, a divisor of it.
    activation : "gelu" or "relu"
        φ.
    depth : int
        Layers of the stack that it is one of.
    """

    def __init__(self, width: int, heads: int, activation: str = "gelu", depth: int = 1):
        super().__init__()
        check_heads(width, heads)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.heads, self.activation = heads, ACTIVATIONS[activation]
        self.norm, self.ffn_norm = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.query, self.kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        for layer in (self.query, self.kv, self.up, self.out, self.down):
            branch = layer is self.out or layer is self.down
            nn.init.normal_(layer.weight, std=0.02 / (2 * depth) ** 0.5 if branch else 0.02)

    def forward(self, z: Tensor) -> Tensor:
        """A window `[B, N, D]` to `[B, N, D]`: T itself."""
        return self.rows(z, self.keys_values(z))

    def keys_values(self, z: Tensor) -> Tensor:
        """`[B, N, D]` to `[2, B, H, N, K]`."""
        return self.kv(self.norm(z)).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def rows(self, z: Tensor, keys_values: Tensor) -> Tensor:
        """T at the last rows z `[B, R, D]` of windows whose keys and values `[2, B, H, N, K]` are known, N ≥ R."""
        q = self.query(self.norm(z)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        keys, values = keys_values
        count, total = z.shape[1], keys.shape[2]
        seen = None if count == 1 else torch.ones(count, total, dtype=torch.bool, device=z.device).tril(total - count)
        o = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen)
        u = z + self.out(o.transpose(1, 2).flatten(2))
        return u + self.down(self.activation(self.up(self.ffn_norm(u))))
