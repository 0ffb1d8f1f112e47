"""The feed-forward half of a block: SwiGLU, dense or as a mixture of experts, or RWKV's; and its costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FFN_OPTIONS = ("ffn_width", "ffn", "experts", "active_experts", "shared_width", "shared_gate")


class Pointwise(nn.Module):
    """A layer on each token alone: no state, and the same alone, together and from any state."""

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        return ()

    def prefill(self, x: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self(x), ()

    step = prefill

    def state_elements(self) -> Any:
        return 0


class FeedForward(Pointwise):
    """SwiGLU (Shazeer 2020): `W₂ (SiLU(W₁ x) ⊙ W₃ x)`, W₁ and W₃ in one product."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.width, self.hidden = width, hidden
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)

    def parameters_count(self) -> Any:
        """3 D F."""
        return 3 * self.width * self.hidden

    def active_parameters(self) -> Any:
        """Parameters that one token uses: all."""
        return self.parameters_count()

    def read_weights(self, tokens: Any) -> Any:
        """Weights that a pass over so many tokens reads: all."""
        return self.parameters_count()

    def token_flops(self) -> Any:
        """Forward products of one token: 6 D F."""
        return 2 * self.parameters_count()


class MixtureOfExperts(Pointwise):
    """`Σ_{e ∈ top k} p_e FFN_e(x) + FFN_shared(x)`, p the softmax over the k chosen router logits (Shazeer 2017).

    Parameters
    ----------
    width, hidden : int
        Model width D and hidden width F of one expert.
    experts, active : int
        Number of experts E and how many of them each token uses, k.
    shared : int
        Hidden width of the expert that every token uses; 0: none.
    shared_gate : bool
        Multiply that expert's output by σ(w x).
    """

    def __init__(self, width: int, hidden: int, experts: int, active: int, shared: int = 0, shared_gate: bool = False):
        super().__init__()
        if not 1 <= active <= experts:
            raise ValueError(f"active_experts: between 1 and experts = {experts}, got {active}")
        self.width, self.hidden, self.active, self.shared_width = width, hidden, active, shared
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(width, hidden) for _ in range(experts))
        self.gate_width = int(shared_gate and shared > 0)
        if shared:
            self.shared = FeedForward(width, shared)
        if self.gate_width:
            self.shared_gate = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        weight, chosen = self.router(flat).topk(self.active, -1)
        weight = weight.softmax(-1).to(x.dtype)
        y = self.shared(flat) if self.shared_width else torch.zeros_like(flat)
        y = y * torch.sigmoid(self.shared_gate(flat)) if self.gate_width else y
        for e, expert in enumerate(self.experts):
            token, slot = torch.nonzero(chosen == e, as_tuple=True)
            y = y.index_add(0, token, expert(flat[token]) * weight[token, slot, None])
        return y.view_as(x)

    def _count(self) -> int:
        return len(self.experts)

    def parameters_count(self) -> Any:
        """3 D (E F + F_shared) + D E, and D for a gate of the shared expert."""
        return 3 * self.width * (self._count() * self.hidden + self.shared_width) + self._small()

    def _small(self) -> Any:
        """Weights of router and gate."""
        return self.width * (self._count() + self.gate_width)

    def active_parameters(self) -> Any:
        """Parameters that one token uses: 3 D (k F + F_shared), router and gate."""
        return self.token_flops() // 2

    def read_weights(self, tokens: Any) -> Any:
        """Expected weights that a pass reads, when every expert is as likely: E (1 − (1 − k/E)^n) experts for n tokens.

        A real router is uneven and reads fewer.
        """
        touched = self._count() * (1 - (1 - self.active / self._count()) ** tokens)
        return 3 * self.width * (touched * self.hidden + self.shared_width) + self._small()

    def token_flops(self) -> Any:
        """Forward products of one token: 6 D (k F + F_shared), and two for each weight of router and gate."""
        return 6 * self.width * (self.active * self.hidden + self.shared_width) + 2 * self._small()


class ChannelMixing(nn.Module):
    """RWKV's: `W_v ReLU(W_k x̄_k)²`, with x̄ a learned mixture of a token and the one before (Peng et al. 2023, 2025).

    RWKV-4 multiplies it by `σ(W_r x̄_r)`; RWKV-7 does not. The token before is state, D elements.
    """

    def __init__(self, width: int, hidden: int, receptance: bool):
        super().__init__()
        self.width, self.hidden, self.streams = width, hidden, 1 + int(receptance)
        self.mix = nn.Parameter(torch.linspace(0, 1, width).repeat(self.streams, 1))
        self.key, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        if receptance:
            self.receptance = nn.Linear(width, width, bias=False)

    def _mixed(self, x: Tensor, before: Tensor) -> Tensor:
        key, *gate = (torch.lerp(before, x, mix.to(x.dtype)) for mix in self.mix)
        y = self.down(F.relu(self.key(key)).square())
        return torch.sigmoid(self.receptance(gate[0])) * y if gate else y

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """The token before the first: zeros, `[B, D]`."""
        return (self.mix.new_zeros(batch, self.width),)

    def prefill(self, x: Tensor, state: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        (last,) = state or self.init_state(x.shape[0])
        return self._mixed(x, torch.cat([last[:, None].to(x.dtype), x[:, :-1]], 1)), (x[:, -1],)

    def forward(self, x: Tensor) -> Tensor:
        return self.prefill(x)[0]

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self._mixed(x, state[0]), (x,)

    def state_elements(self) -> Any:
        """D."""
        return self.width

    def parameters_count(self) -> Any:
        """2 D F, D² for the gate, and D for each mixture."""
        return 2 * self.width * self.hidden + self.streams * self.width + (self.streams - 1) * self.width**2

    def active_parameters(self) -> Any:
        """Parameters that one token uses: all."""
        return self.parameters_count()

    def read_weights(self, tokens: Any) -> Any:
        """Weights that a pass over so many tokens reads: all."""
        return self.parameters_count()

    def token_flops(self) -> Any:
        """Forward products of one token: 4 D F, and 2 D² for the gate."""
        return 4 * self.width * self.hidden + 2 * (self.streams - 1) * self.width**2


FFN = FeedForward | MixtureOfExperts | ChannelMixing
KINDS = ("swiglu", "rwkv4", "rwkv7")


def feed_forward(width: int, options: dict[str, Any]) -> FFN | None:
    """The feed-forward layer that a layer's options describe; None when `ffn_width` is 0."""
    hidden, kind = options["ffn_width"], options.get("ffn", "swiglu")
    if kind not in KINDS or (kind != "swiglu" and "experts" in options):
        raise ValueError(f"ffn: one of {', '.join(KINDS)}, experts with swiglu alone, got {kind!r}")
    if not hidden:
        return None
    if kind != "swiglu":
        return ChannelMixing(width, hidden, receptance=kind == "rwkv4")
    if "experts" in options:
        shared = options.get("shared_width", 0), options.get("shared_gate", False)
        return MixtureOfExperts(width, hidden, options["experts"], options.get("active_experts", 1), *shared)
    return FeedForward(width, hidden)
