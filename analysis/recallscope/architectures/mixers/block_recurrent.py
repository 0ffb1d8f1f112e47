"""Block-recurrent transformer: window attention, and state vectors that attention updates once per block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._blocks import attend, attend_unprojected, two_block_pairs, whole_blocks
from recallscope.architectures.mixers._counts import ceil_div, minimum
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class BlockRecurrent(Mixer):
    """Recurrent cell of the block-recurrent transformer (Hutchins et al. 2022, arXiv 2203.07852), `skip` configuration.

    Tokens come in blocks of W. Keys and values K_x, V_x of tokens and K_c, V_c of the S state vectors c are made once
    and serve both directions; states are read as `LN(c + e)`, e a learned embedding of each slot. Tokens:

    `y = W_out [Attn(Q¹_x, K_x, V_x); Attn(Q²_x, K_c, V_c)]`, the first over the last W tokens, with a learned bias for
    each head and distance, the second over the state before this block. Once the block's last token is in:

    `h = W_s [Attn(Q¹_c, K_c, V_c); Attn(Q²_c, K_x, V_x)]` over the whole block, and, by `gate`,

    - `fixed`: `c ← g ⊙ c + (1 - g) ⊙ (W_z h + b_z)`, `g = σ(b_g)`, whatever the input;
    - `lstm`: `c ← σ(W_f h + b_f + 1) ⊙ c + σ(W_i h + b_i - 1) ⊙ tanh(W_z h + b_z)`.

    c starts at zero. Left out: feed-forward layers on the state. Reconstruction: the order in `LN(c + e)`, b_g = 1 at
    first, biases in the gates only, one bias a distance without T5's buckets. `step` forms K_c, V_c as a block ends.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads H.
    key_width : int or None
        Width K of keys and values of a head; None: D / H.
    states : int
        State vectors S, each of width D.
    window : int
        Tokens W of a block and of the window.
    gate : {"fixed", "lstm"}
        How the state is updated.
    """

    def __init__(
        self,
        width: int,
        heads: int = 4,
        key_width: int | None = None,
        states: int = 32,
        window: int = 32,
        gate: str = "fixed",
    ):
        super().__init__()
        if key_width is None:
            check_heads(width, heads)
        for name, value in (("states", states), ("window", window)):
            if value < 1:
                raise ValueError(f"{name}: at least 1, got {value}")
        if gate not in ("fixed", "lstm"):
            raise ValueError(f"gate: fixed or lstm, got {gate!r}")
        self.width, self.heads, self.key_width = width, heads, key_width or width // heads
        self.states, self.window, self.gate = states, window, gate
        inner = heads * self.key_width
        self.qkv = nn.Linear(width, 4 * inner, bias=False)  # Q¹, Q², K, V of tokens
        self.state_query = nn.Linear(width, 2 * inner, bias=False)
        self.state_kv = nn.Linear(width, 2 * inner, bias=False)
        self.state_out = nn.Linear(2 * inner, width, bias=False)
        self.state_norm = nn.LayerNorm(width)
        self.slot = nn.Parameter(torch.randn(states, width))
        self.distance_bias = nn.Parameter(torch.zeros(heads, window))
        self.update = nn.Linear(width, width if gate == "fixed" else 3 * width)
        if gate == "fixed":
            self.keep = nn.Parameter(torch.ones(width))
        self.out = nn.Linear(2 * inner, width, bias=False)

    def init_state(self, batch: int) -> State:
        """Zero states `[B, S, D]`, empty caches `[B, 0, H, K]` of the window, and the position of the next token."""
        weight = self.qkv.weight
        empty = weight.new_zeros(batch, 0, self.heads, self.key_width)
        return wide(weight).new_zeros(batch, self.states, self.width), empty, empty, torch.zeros((), dtype=torch.long)

    def _split(self, u: Tensor) -> tuple[Tensor, ...]:
        """Projections `[B, N, n H K]` to n tensors `[B, N, H, K]`."""
        return u.unflatten(-1, (-1, self.heads, self.key_width)).unbind(-3)

    def _read(self, c: Tensor) -> Tensor:
        """States as projections see them, `[B, S, D]`."""
        return self.state_norm((c + self.slot).to(self.slot.dtype))

    def _bias(self) -> Tensor:
        """`[H, W, 2W]`: of queries of a block and keys of the one before and of its own, -inf out of the window."""
        w = self.window
        at = torch.arange(w, 2 * w, device=self.distance_bias.device)[:, None]
        distance = at - torch.arange(2 * w, device=at.device)
        return self.distance_bias[:, distance.clamp(0, w - 1)].masked_fill((distance < 0) | (distance >= w), -torch.inf)

    def _updated(self, c: Tensor, read: Tensor, own: tuple[Tensor, ...], keys: Tensor, values: Tensor) -> Tensor:
        """The states after a block, from the keys and values of states and of the block."""
        to_states, to_tokens = self._split(self.state_query(read))
        h = self.state_out(torch.cat([attend(to_states, *own), attend(to_tokens, keys, values)], -1))
        if self.gate == "fixed":
            keep = torch.sigmoid(self.keep)
            return c * keep + self.update(h) * (1 - keep)
        z, write, keep = self.update(h).chunk(3, -1)
        return c * torch.sigmoid(keep + 1) + torch.tanh(z) * torch.sigmoid(write - 1)

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        c, keys, values, position = self.checked_state(state, x.shape[0])
        to_tokens, to_states, k, v = self._split(self.qkv(x))
        bias, w, time = self._bias(), self.window, x.shape[1]
        start, done, outputs = int(position), 0, []
        while done < time:  # block after block: all of a block's tokens read the states before it
            count, past = min(w - (start + done) % w, time - done), keys.shape[1]
            now = slice(done, done + count)
            keys, values = torch.cat([keys, k[:, now]], 1), torch.cat([values, v[:, now]], 1)
            read = self._read(c)
            own = self._split(self.state_kv(read))
            local = attend(to_tokens[:, now], keys, values, bias[:, :count, w - past : w + count])
            outputs.append(torch.cat([local, attend(to_states[:, now], *own)], -1))
            done, keys, values = done + count, keys[:, -w:], values[:, -w:]
            if (start + done) % w == 0:
                c = self._updated(c, read, own, keys, values)
        return self.out(torch.cat(outputs, 1)), (c, keys, values, position + time)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        c, keys, values, position = self.checked_state(state, x.shape[0])
        to_tokens, to_states, k, v = self._split(self.qkv(x[:, None]))
        keys = torch.cat([keys, k], 1)[:, -self.window :]
        values = torch.cat([values, v], 1)[:, -self.window :]
        bias = self.distance_bias[:, : keys.shape[1]].flip(-1)[:, None]
        read = self._read(c)
        past = attend_unprojected(to_states[:, 0].flatten(1), read, self.state_kv.weight, self.heads)
        y = torch.cat([attend(to_tokens, keys, values, bias)[:, 0], past], -1)
        if (int(position) + 1) % self.window == 0:
            c = self._updated(c, read, self._split(self.state_kv(read)), keys, values)
        return self.out(y), (c, keys, values, position + 1)

    def parameters_count(self) -> Any:
        """12 D H K, the slots S D, the norm 2 D, the bias H W, and the update: D² + 2 D, or 3 (D² + D)."""
        d, inner = self.width, self.heads * self.key_width
        update = d**2 + 2 * d if self.gate == "fixed" else 3 * (d**2 + d)
        return 12 * d * inner + self.states * d + 2 * d + self.heads * self.window + update

    def state_elements(self, t: Any) -> Any:
        """S D, and keys and values of the window: 2 H K min(t, W)."""
        return self.states * self.width + 2 * self.heads * self.key_width * minimum(t, self.window)

    def write_elements(self, t: Any) -> Any:
        """A key and a value, 2 H K, and with the last token of a block the states, S D."""
        return 2 * self.heads * self.key_width + self._fills(t) * self.states * self.width

    def _fills(self, t: Any) -> Any:
        """1 if token `t` is the last of a block, 0 if not."""
        return whole_blocks(t, self.window) - whole_blocks(t - 1, self.window)

    def _token_flops(self) -> Any:
        """Projections of one token: 12 D H K."""
        return 12 * self.width * self.heads * self.key_width

    def _state_kv_flops(self) -> Any:
        """Keys and values of the states: 4 S D H K."""
        return 4 * self.states * self.width * self.heads * self.key_width

    def _update_flops(self) -> Any:
        """One update but for K_c and V_c: 8 S D H K, 4 S H K (S + W), 2 S D² for each gate."""
        s, d, inner = self.states, self.width, self.heads * self.key_width
        gates = 1 if self.gate == "fixed" else 3
        return 8 * s * d * inner + 4 * s * inner * (s + self.window) + 2 * s * d**2 * gates

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections; 4 H K a pair, in two blocks and with S states; K_c, V_c of each block, updates of whole ones."""
        pairs = two_block_pairs(t, self.window) + t * self.states
        blocks = ceil_div(t, self.window) * self._state_kv_flops()
        updates = whole_blocks(t, self.window) * self._update_flops()
        return batch * (t * self._token_flops() + 4 * self.heads * self.key_width * pairs + blocks + updates)

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Three times the products, but once an update by the very last token, which no output reads."""
        return 3 * self.prefill_flops(t, batch) - 2 * batch * self._fills(t) * self._update_flops()

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Projections, 4 H K min(t, W), 4 H D (K + S) for the states; at a block's end K_c, V_c and the update."""
        attention = 4 * self.heads * self.key_width * minimum(t, self.window)
        attention += 4 * self.heads * self.width * (self.key_width + self.states)
        update = self._fills(t) * (self._state_kv_flops() + self._update_flops())
        return batch * (self._token_flops() + attention + update)

    def dataflow(self) -> Dataflow:
        return Dataflow((Span(0, self.window, 2 * self.heads * self.key_width),), self.states * self.width)
