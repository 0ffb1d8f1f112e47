"""Feature maps of linear attention: `φ(q)·φ(k)` in place of `exp(q·k)`; see `linear_attention.LinearAttention`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def elu_features(x: Tensor) -> Tensor:
    """`elu(x) + 1`, positive (Katharopoulos et al. 2020)."""
    return F.elu(x) + 1


class Hedgehog(nn.Module):
    """`[softmax(W x); softmax(-W x)]`, one learned W `[K, F/2]` a head, the identity at first (Zhang et al. 2024).

    `[..., H, K] -> [..., H, F]`, positive, each half with sum 1; `2 K (F/2)` FLOPs a head and token.
    """

    def __init__(self, heads: int, key_width: int, features: int):
        super().__init__()
        if features < 2 or features % 2:
            raise ValueError(f"features: a positive even number, got {features}")
        self.weight = nn.Parameter(torch.eye(key_width, features // 2).repeat(heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.einsum("...hk,hkf->...hf", x, self.weight.to(x.dtype))
        return torch.cat([logits.softmax(-1), (-logits).softmax(-1)], -1)


def cosformer_features(x: Tensor, positions: Tensor, length: int) -> Tensor:
    """`[ReLU(x) cos(π i / 2M); ReLU(x) sin(π i / 2M)]`, so pairs weigh `cos(π (i - j) / 2M)` (Qin et al. 2022).

    `x` is `[B, T, H, K]`, `positions` the T integers i; the weight is positive while i - j < M = `length`.
    """
    angle = (positions.to(x.dtype) * (math.pi / (2 * length)))[:, None, None]
    return torch.cat([x.relu() * angle.cos(), x.relu() * angle.sin()], -1)


def orthogonal_directions(count: int, width: int, seed: int) -> Tensor:
    """`[count, width]` normal vectors, but orthogonal in blocks of `width`; fixed by the seed."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(2, -(-count // width), width, width, generator=generator, device="cpu", dtype=torch.float64)
    q, r = torch.linalg.qr(normal[0])
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]  # without these signs not uniform over rotations
    return (q * normal[1].norm(dim=-1, keepdim=True)).flatten(0, 1)[:count].float()


def performer_features(x: Tensor, directions: Tensor, query: bool, eps: float = 1e-6) -> Tensor:
    """`(e^{ω·x - |x|²/2} + ε) / √F`, random features whose products estimate `e^{q·k}` (Choromanski et al. 2021).

    `x` already has the scale K^-¼. Completing the square, the exponent is at most |ω|²/2, about K/2. A query's largest
    exponent is taken off, which cancels in the normalised output; a key's cannot be, as later keys would be needed.
    """
    exponent = x @ directions.to(x.dtype).t() - x.square().sum(-1, keepdim=True) / 2
    if query:
        exponent = exponent - exponent.detach().amax(-1, keepdim=True)
    return (exponent.exp() + eps) * directions.shape[0] ** -0.5
