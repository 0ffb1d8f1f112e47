"""Lightning attention: linear attention with a fixed decay for each head and layer, normalised after the sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow
from recallscope.architectures.mixers._linear import linear_attention, linear_attention_flops
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class Lightning(Mixer):
    """Gated linear attention of TransNormerLLM (Qin et al. 2023, arXiv 2307.14995).

    `S_t = λ S_{t-1} + k_t v_tᵀ`, `o_t = S_tᵀ q_t`, `y = W_o (SRMS(o) ⊙ u)`, with `q, k = SiLU(W x)`, `v, u = W x` and
    `SRMS(x) = √D x / |x|` over all heads, no gain. The decay of head h = 1..H in layer l < L is `λ = e^{-s_h r_l}`:

    - `slopes="released"`: `s_h = 2^{-8h/H}`, `r_l = 1 - l / (L - 1) + 10⁻⁵`, as in the released code;
    - `slopes="paper"`: `s_h = 8h / H`, `r_l = 1 - l / L`, far shorter.

    With `lrpe`, in the paper in layer 0 alone, a pair n tokens apart scores `Re Σ_c q_c k_c e^{iθ_c n}`, θ learned: q
    and k become `[q ⊙ cos tθ; q ⊙ sin tθ]`, twice as wide. Recall over a gap of n tokens is scaled by `λ^n`.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H; V = D / H.
    key_width : int or None
        Width K of queries and keys per head; None: D / H.
    layer, layers : int
        Place l of this layer, counted from 0, and number L of layers.
    slopes : str
        `released` or `paper`.
    lrpe : bool
        Learned rotations.
    sigmoid_gate : bool
        σ(u) in place of u, as in the successors' code.
    chunk : int
        Tokens per chunk of the parallel form; changes speed, not results.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        layer: int = 0,
        layers: int = 1,
        slopes: str = "released",
        lrpe: bool = False,
        sigmoid_gate: bool = False,
        chunk: int = 64,
    ):
        super().__init__()
        check_heads(width, heads)
        if not 0 <= layer < layers:
            raise ValueError(f"layer: from 0 to layers - 1, got layer {layer} of {layers}")
        if slopes not in ("released", "paper"):
            raise ValueError(f"slopes: released or paper, got {slopes!r}")
        self.width, self.heads, self.key_width = width, heads, key_width or width // heads
        self.layer, self.layers, self.slopes = layer, layers, slopes
        self.lrpe, self.sigmoid_gate, self.chunk = lrpe, sigmoid_gate, chunk
        self.qk = nn.Linear(width, 2 * heads * self.key_width, bias=False)
        self.value_gate = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        if lrpe:  # geometric over the channels of all heads, from 1 to 10⁻⁴ a token
            channels = heads * self.key_width
            self.theta = nn.Parameter(torch.logspace(0, -4, channels).view(heads, 1, self.key_width))

    def _log_decay(self, like: Tensor) -> Tensor:
        """`ln λ`, at most 0, `[H]`."""
        head = torch.arange(1, self.heads + 1, device=like.device, dtype=like.dtype)
        if self.slopes == "paper":
            return -8 * head / self.heads * (1 - self.layer / self.layers)
        return -(2 ** (-8 * head / self.heads)) * (1 - self.layer / max(self.layers - 1, 1) + 1e-5)

    def _project(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q, k `[B, T, H, K or 2K]`, v `[B, T, H, V]` and the gate `[B, T, D]`."""
        q, k = F.silu(wide(self.qk(x))).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        if self.lrpe:
            positions = torch.arange(int(position), int(position) + x.shape[1], device=x.device)
            angle = positions.to(q.dtype)[:, None, None] * self.theta[:, 0].to(q.dtype)  # [T, H, K]
            q, k = (torch.cat([u * angle.cos(), u * angle.sin()], -1) for u in (q, k))
        v, gate = self.value_gate(x).chunk(2, -1)
        return q, k, wide(v).unflatten(-1, (self.heads, -1)), torch.sigmoid(gate) if self.sigmoid_gate else gate

    def _finish(self, o: Tensor, gate: Tensor) -> Tensor:
        return self.out(F.rms_norm(o.flatten(-2), (self.width,), eps=1e-6).to(gate.dtype) * gate)

    def init_state(self, batch: int) -> State:
        """The zero matrix `[B, H, K, V]`, float32 at least; with `lrpe`, `[B, H, 2K, V]` and the next position."""
        weight, value = wide(self.out.weight), self.width // self.heads
        matrix = weight.new_zeros(batch, self.heads, self._state_width(), value)
        return (matrix, torch.zeros((), dtype=torch.long)) if self.lrpe else (matrix,)

    def _unpacked(self, state: State | None, batch: int) -> tuple[Tensor, Tensor]:
        matrix, *position = self.checked_state(state, batch)
        return matrix, position[0] if self.lrpe else torch.zeros((), dtype=torch.long)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        matrix, position = self._unpacked(state, x.shape[0])
        q, k, v, gate = self._project(x, position)
        log_decay = self._log_decay(q).expand(1, x.shape[1], -1)[..., None]  # the same in all sequences
        with torch.autocast(x.device.type, enabled=False):
            o, matrix = linear_attention(q, k, v, matrix, self.chunk, log_decay)
        return self._finish(o, gate), (matrix, position + x.shape[1])[: 1 + self.lrpe]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        matrix, position = self._unpacked(state, x.shape[0])
        q, k, v, gate = (u[:, 0] for u in self._project(x[:, None], position))
        decay = self._log_decay(q).exp()[:, None, None]
        matrix = torch.addcmul(matrix * decay, k[..., None], v[..., None, :])
        return self._finish((q[..., None, :] @ matrix)[..., 0, :], gate), (matrix, position + 1)[: 1 + self.lrpe]

    def parameters_count(self) -> Any:
        """D (2 H K + 3 D), and H K with `lrpe`."""
        keys = self.heads * self.key_width
        return self.width * (2 * keys + 3 * self.width) + (keys if self.lrpe else 0)

    def _projection_flops(self) -> Any:
        """Of one token: two for each weight of a matrix."""
        return 2 * self.width * (2 * self.heads * self.key_width + 3 * self.width)

    def _state_width(self) -> Any:
        """Width of the keys that the state holds: K, or 2 K."""
        return (1 + int(self.lrpe)) * self.key_width

    def state_elements(self, t: Any) -> Any:
        """K D, whatever `t`; twice that with `lrpe`."""
        return self._state_width() * self.width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and linear attention."""
        attention = linear_attention_flops(t, self.chunk, self._state_width(), self.width // self.heads)
        return batch * (t * self._projection_flops() + self.heads * attention)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, and 4 for each element of the state: add to it, read it."""
        return batch * (self._projection_flops() + 4 * self.state_elements(t))

    def dataflow(self) -> Dataflow:
        return Dataflow(state=self.state_elements(1))
