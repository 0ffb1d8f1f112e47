"""mLSTM: a matrix state with an exponential input gate, kept in range by a running maximum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import from_chunks, into_chunks, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State
from recallscope.architectures.mixers._rotary import wide


class MLSTM(Mixer):
    """mLSTM of xLSTM (Beck et al. 2024, arXiv 2405.04517), with the output gate and head-wise norm around it.

    `C_t = f C_{t-1} + i k vᵀ`, `n_t = f n_{t-1} + i k`, `h_t = C_tᵀ q / max(|n_t·q|, 1)`,
    `y = W_o (σ(W_g x) ⊙ norm(h))`, with `i = e^{ĩ}`, `f = σ(f̃)` (or `e^{f̃}`), ĩ and f̃ affine in x, one of each a
    head, and k scaled by 1 / √K.

    The state holds C and n times `e^{-m}`, with `m_t = max(ln f + m_{t-1}, ĩ_t)`, so no exponent is positive, and the
    denominator is `max(|n_t·q|, e^{-m_t})`. The paper's short convolution and up-projection around this are left out,
    as in its 7B model, which also caps ĩ and f̃ softly at 15 and norms heads by LayerNorm; here the norm is an RMSNorm
    with a learned gain, and nothing is capped.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H.
    key_width : int or None
        Width K of queries and keys per head; None: D / 2H.
    value_width : int or None
        Width V of values per head; None: D / H.
    forget : str
        `sigmoid` or `exp`.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        value_width: int | None = None,
        forget: str = "sigmoid",
        chunk: int = 64,
    ):
        super().__init__()
        if (key_width is None or value_width is None) and width % (2 * heads):
            raise ValueError(f"heads: twice them must divide the width, got width {width} and heads {heads}")
        if forget not in ("sigmoid", "exp"):
            raise ValueError(f"forget: sigmoid or exp, got {forget!r}")
        self.width, self.heads, self.chunk, self.forget = width, heads, chunk, forget
        self.key_width, self.value_width = key_width or width // (2 * heads), value_width or width // heads
        self.qk = nn.Linear(width, 2 * heads * self.key_width, bias=False)
        self.value = nn.Linear(width, heads * self.value_width, bias=False)
        self.gates = nn.Linear(width, 2 * heads)
        self.output_gate = nn.Linear(width, heads * self.value_width, bias=False)
        self.norm = nn.RMSNorm(self.value_width, eps=1e-5)
        self.out = nn.Linear(heads * self.value_width, width, bias=False)
        with torch.no_grad():  # f from 0.95 to 0.998 over the heads, or 1; i = 1
            self.gates.bias.zero_()
            if forget == "sigmoid":
                self.gates.bias[heads:] = torch.linspace(3, 6, heads)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """q, k (scaled) `[B, T, H, K]`, v and a one `[B, T, H, V + 1]`, ĩ and ln f `[B, T, H]`."""
        q, k = wide(self.qk(x)).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        v = F.pad(wide(self.value(x)).unflatten(-1, (self.heads, -1)), (0, 1), value=1.0)
        i, f = wide(self.gates(x)).chunk(2, -1)
        return q, k * self.key_width**-0.5, v, i, F.logsigmoid(f) if self.forget == "sigmoid" else f

    def _finish(self, o: Tensor, m: Tensor, x: Tensor) -> Tensor:
        """`o` `[B, ..., H, V + 1]`, numerator and denominator, both times `e^{-m}`."""
        floor = torch.exp((-m).clamp(max=80.0))[..., None]  # past that i is so small that h is zero in float32
        h = self.norm(o[..., :-1] / torch.maximum(o[..., -1:].abs(), floor)).flatten(-2).to(x.dtype)
        return self.out(torch.sigmoid(self.output_gate(x)) * h)

    def init_state(self, batch: int) -> State:
        """Zero C and n, `[B, H, K, V + 1]`, and m = -∞ `[B, H]`; float32 at least."""
        weight = wide(self.value.weight)
        matrix = weight.new_zeros(batch, self.heads, self.key_width, self.value_width + 1)
        return matrix, weight.new_full((batch, self.heads), -torch.inf)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, m = self.checked_state(state, x.shape[0])
        q, k, v, i, log_f = self._project(x)
        with torch.autocast(x.device.type, enabled=False):
            o, ms, matrix, m = stabilised_attention(q, k, v, i, log_f, matrix, m, self.chunk)
        return self._finish(o, ms, x), (matrix, m)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, m = self.checked_state(state, x.shape[0])
        q, k, v, i, log_f = self._project(x)
        past, m = log_f + m, torch.maximum(log_f + m, i)
        k = k * (i - m).exp()[..., None]
        matrix = torch.addcmul(matrix * (past - m).exp()[..., None, None], k[..., None], v[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], m, x), (matrix, m)

    def parameters_count(self) -> Any:
        """D H (2 K + 3 V) in the large matrices, 2 H (D + 1) in the gates, V in the norm."""
        return self._projection_flops() // 2 + 2 * self.heads + self.value_width

    def _projection_flops(self) -> Any:
        """Of one token: two for each weight of a matrix."""
        return 2 * self.width * self.heads * (2 * self.key_width + 3 * self.value_width + 2)

    def state_elements(self, t: Any) -> Any:
        """H (K V + K + 1), whatever `t`: C, n and m."""
        return self.heads * (self.key_width * (self.value_width + 1) + 1)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention with values of width V + 1."""
        attention = linear_attention_flops(t, self.chunk, self.key_width, self.value_width + 1)
        return batch * (t * self._projection_flops() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 H K (V + 1): add to C and n, read them."""
        return batch * (self._projection_flops() + 4 * self.heads * self.key_width * (self.value_width + 1))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))


def stabilised_attention(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, log_f: Tensor, state: Tensor, m: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`o_t = S_tᵀ q_t`, `S_t = e^{ln f + m_{t-1} - m_t} S_{t-1} + e^{ĩ - m_t} k_t v_tᵀ`, in chunks.

    In a chunk, with G the running sum of ln f and `a = ĩ - G`, `m_t - G_t = M_t` is the largest of the m before the
    chunk and of a up to t. The weight of the key at j is `e^{a_j - M_t}`, that of the state `e^{m - M_t}`: at most 1.
    The outputs times `e^m` do not depend on M, so M is not differentiated.

    Takes `[B, T, H, ...]`, `S [B, H, K, V]` and `m [B, H]`; returns the o, the m at each token, and S and m at the end.
    """
    time = q.shape[1]
    chunk = min(chunk, time)
    q, k, v, total = (into_chunks(u, chunk) for u in (q, k, v, log_f[..., None]))
    total = total.cumsum(-2).squeeze(-1)  # G, [B, N, H, C]
    padded = F.pad(i, (0, 0, 0, -time % chunk), value=-torch.inf)  # as if no token had come
    a = padded.unflatten(1, (-1, chunk)).transpose(2, 3) - total
    highest = a.detach().cummax(-1).values
    shares = (a - highest[..., -1:]).exp()[..., None]
    updates = (k * shares).transpose(-1, -2) @ v  # of each chunk alone, [B, N, H, K, V]
    states, ms = [], []
    for n in range(a.shape[1]):
        states.append(state)
        ms.append(m)
        top = torch.maximum(m.detach(), highest[:, n, :, -1])
        scale, gain = (m - top).exp()[..., None, None], (highest[:, n, :, -1] - top).exp()[..., None, None]
        state, m = state * scale + updates[:, n] * gain, top + total[:, n, :, -1]
    before = torch.stack(ms, 1)[..., None]
    top = torch.maximum(before.detach(), highest)  # M, [B, N, H, C]
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)
    weights = (a[..., None, :] - top[..., None]).masked_fill(later, -torch.inf).exp()
    o = (q @ k.transpose(-1, -2) * weights) @ v + (q * (before - top).exp()[..., None]) @ torch.stack(states, 1)
    return from_chunks(o, time), from_chunks((top + total)[..., None], time).squeeze(-1), state, m
