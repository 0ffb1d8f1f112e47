"""Gated slot attention: softmax attention to a fixed number of slots of keys and values, each with its own decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import carry, from_chunks, into_chunks, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class GatedSlots(Mixer):
    """Gated slot attention (Zhang et al. 2024): two passes of gated linear attention with a softmax between.

    `K̃_t = diag(α_t) K̃_{t-1} + (1 - α_t) k_tᵀ`, `Ṽ_t = diag(α_t) Ṽ_{t-1} + (1 - α_t) v_tᵀ`, with m slots as rows and
    `α_t = σ(W_α x_t)^{1/τ}`, `[m]`; `o_t = Ṽ_tᵀ softmax(K̃_t q_t / √K)`, `y = W_o RMSNorm(SiLU(o))`, q, k and v being
    SiLU of projections. Reconstruction: the activations around the two passes are not the paper's letter.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; K = V = D / H.
    slots : int
        Number of slots m of each head (64 in the paper).
    root : float
        Root τ of the decay (8 in the paper): the larger, the slower slots forget at the start of training.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results. Small: scores take C m elements a token.
    """

    def __init__(self, width: int, heads: int = 4, slots: int = 64, root: float = 8.0, chunk: int = 16):
        super().__init__()
        check_heads(width, heads)
        for name, value in (("slots", slots), ("chunk", chunk)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, got {value}")
        if root <= 0:
            raise ValueError(f"root: above 0, got {root}")
        self.width, self.heads, self.slots, self.root, self.chunk = width, heads, slots, root, chunk
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.decay = nn.Linear(width, heads * slots, bias=False)
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.out = nn.Linear(width, width, bias=False)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q, k, v `[..., H, K]`, q scaled by K^-½, and ln α `[..., H, m]`; float32 at least."""
        q, k, v = F.silu(wide(self.qkv(x))).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        log_decay = F.logsigmoid(wide(self.decay(x))) / self.root
        return q * q.shape[-1] ** -0.5, k, v, log_decay.unflatten(-1, (self.heads, -1))

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        return self.out(self.norm(F.silu(o.flatten(-2)).to(x.dtype)))

    def init_state(self, batch: int) -> State:
        """Empty slots of keys and of values, `[B, H, m, K]` each; float32 at least."""
        slots = wide(self.qkv.weight).new_zeros(batch, self.heads, self.slots, self.width // self.heads)
        return slots, slots

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v, log_decay = self._project(x)
        with torch.autocast(x.device.type, enabled=False):
            o, keys, values = slot_attention(q, k, v, log_decay, keys, values, self.chunk)
        return self._finish(o, x), (keys, values)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        keys, values = self.checked_state(state, x.shape[0])
        q, k, v, log_decay = self._project(x)
        decay = log_decay.exp()[..., None]  # [B, H, m, 1]
        keys = torch.addcmul(decay * keys, 1 - decay, k[..., None, :])
        values = torch.addcmul(decay * values, 1 - decay, v[..., None, :])
        weights = (keys @ q[..., None]).softmax(-2)  # [B, H, m, 1]
        return self._finish((values.transpose(-1, -2) @ weights)[..., 0], x), (keys, values)

    def parameters_count(self) -> Any:
        """4 D², D H m in the decay, D in the norm."""
        return 4 * self.width**2 + self.width * self.heads * self.slots + self.width

    def _projection_flops(self) -> Any:
        return 2 * (4 * self.width**2 + self.width * self.heads * self.slots)

    def state_elements(self, t: Any) -> Any:
        """Whatever `t`: 2 m D."""
        return 2 * self.slots * self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and in each head two linear attentions, between widths K and m."""
        passes = 2 * linear_attention_flops(t, self.chunk, self.width // self.heads, self.slots)
        return batch * (t * self._projection_flops() + self.heads * passes)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 8 m D: write both kinds of slots, read both."""
        return batch * (self._projection_flops() + 8 * self.slots * self.width)

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))


def slot_attention(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, keys: Tensor, values: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Both passes in chunks: scores of the slots, and after the softmax over slots what they hold.

    q, k, v are `[B, T, H, K]`, `log_decay` ln α `[B, T, H, m]`, slots of keys and values `[B, H, m, K]`. Returns the
    outputs `[B, T, H, K]` and the slots after the last token. Both passes share what each token still has of its
    writing j ≤ i, `(1 - α_j) e^{G_i - G_j}`, with G the running sum of ln α: no exponent is ever positive.
    """
    time = q.shape[1]
    chunk = min(chunk, time)
    q, k, v, log_decay = (into_chunks(u, chunk) for u in (q, k, v, log_decay))
    write, total = -torch.expm1(log_decay), log_decay.cumsum(-2)  # [B, N, H, C, m]
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)[..., None]
    # in place: this tensor is the largest by far, [B, N, H, C, C, m]
    left = (total[..., :, None, :] - total[..., None, :, :]).masked_fill_(later, -torch.inf).exp_()
    left = left * write[..., None, :, :]
    since, until, whole = total.exp(), left[..., -1, :, :].transpose(-1, -2), total[..., -1, :, None].exp()
    before, keys = carry(until @ k, keys, whole)
    scores = ((q @ k.transpose(-1, -2))[..., None, :] @ left).squeeze(-2) + since * (q @ before.transpose(-1, -2))
    weights = scores.softmax(-1)
    before, values = carry(until @ v, values, whole)
    inside = (left @ weights[..., None]).squeeze(-1)
    return from_chunks(inside @ v + (since * weights) @ before, time), keys, values
