"""Recurrent transformer: one transformer layer carried over the input, block after block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recallscope.architectures.dataflow import Dataflow, Span
from recallscope.architectures.mixers._blocks import (
    attend,
    attend_unprojected,
    block_pairs,
    two_block_pairs,
    whole_blocks,
)
from recallscope.architectures.mixers._counts import ceil_div, minimum
from recallscope.architectures.mixers._mixer import Mixer, State, check_heads
from recallscope.architectures.mixers._rotary import wide


class RecurrentTransformer(Mixer):
    """Recurrent transformer (Kausik, technical note of June 2025; see arXiv 2402.14746), with blocks x_i of w tokens.

    T is a pre-norm transformer layer, causal attention and a GELU feed-forward layer with their residuals, on windows
    of 2 w tokens: `h_1 = T(x_1)`, then

    - forget: `(y_i, h_{i+1}) = T([h_i; x_{i+1}])`;
    - accumulate: `(y_i, h_{i+1}) = T([f_i; α h_{i-1} + x_{i+1}])`, `f_i = h_i + α h_{i-1}`, `h_0 = 0`, with a learned α
      in [0, 1], 1/2 at first.

    The first half of a window sees itself alone, so `y_i = T(f_i)` (f_i = h_i in the first variant) waits for nothing
    of block i + 1: y_i is emitted with block i. Row j of h_i reads rows up to j of x_i and all of f_{i-1}; row j of y_i
    reads rows up to j of f_i: causal token by token, each token going through T twice. The paper closes a sequence with
    `y_n = T(h_n)`; an output that does not depend on what follows must be `T(f_n)`, which differs for accumulate only.
    The authors' newest code accumulates y_{i-1} instead of h_{i-1}, which is not here.

    T has its own feed-forward layer and residuals: use it without those of the block around it. Reconstruction: no
    biases, and the positions that the paper adds to the embeddings are a learned vector for each place in a block.

    The state is unprojected: h_i (and h_{i-1}), and rows of input and h of an unfinished block; so D w after a whole
    block, 2 D w with `accumulate`. `step` takes its query to these rows, prefill makes keys and values.

    Parameters
    ----------
    width : int
        Model width D.
    heads : int
        Number of heads, a divisor of D.
    block : int
        Tokens w of a block.
    accumulate : bool
        Which variant.
    hidden_width : int or None
        Hidden width of the feed-forward layer; None: 4 D.
    positions : bool
        Whether to add a vector for the place in the block.
    """

    shift = True

    def __init__(
        self,
        width: int,
        heads: int = 4,
        block: int = 32,
        accumulate: bool = False,
        hidden_width: int | None = None,
        positions: bool = True,
    ):
        super().__init__()
        check_heads(width, heads)
        if block < 1:
            raise ValueError(f"block: at least 1 token, got {block}")
        self.width, self.heads, self.block, self.accumulate = width, heads, block, accumulate
        self.hidden_width, self.positions = hidden_width or 4 * width, positions
        self.norm = nn.LayerNorm(width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.ffn_norm = nn.LayerNorm(width, bias=False)
        up, down = (nn.Linear(a, b, bias=False) for a, b in [(width, self.hidden_width), (self.hidden_width, width)])
        self.ffn = nn.ModuleDict({"up": up, "down": down})
        if positions:
            self.position = nn.Parameter(torch.randn(block, width) * width**-0.5)
        if accumulate:
            self.alpha = nn.Parameter(torch.tensor(0.5))

    def init_state(self, batch: int) -> State:
        """Empty h_{i-1} (only with `accumulate`), h_i, rows of T's input and rows of h of this block: `[B, 0, D]`."""
        return (self.norm.weight.new_zeros(batch, 0, self.width),) * (4 if self.accumulate else 3)

    def _checked(self, state: State | None, batch: int) -> list[Tensor]:
        """h_{i-1}, h_i, rows of input, rows of h."""
        state = self.checked_state(state, batch)
        return list(state) if self.accumulate else [self.init_state(batch)[0], *state]

    def _after(self, earlier: Tensor, last: Tensor, rows: Tensor, hidden: Tensor) -> State:
        """The state after a token: when the block is full, its h is the last one, and rows start anew."""
        if rows.shape[1] == self.block:
            earlier, last, rows, hidden = last, hidden, rows[:, :0], hidden[:, :0]
        return (earlier, last, rows, hidden) if self.accumulate else (last, rows, hidden)

    def _plus(self, rows: Tensor, earlier: Tensor, start: int = 0) -> Tensor:
        """`rows + α earlier` from row `start` of the block on, where there is an earlier block."""
        if not (self.accumulate and earlier.shape[1]):
            return rows
        return rows + self.alpha.clamp(0, 1) * earlier[:, start : start + rows.shape[1]]

    def _placed(self, x: Tensor, start: int) -> Tensor:
        return x + self.position[start : start + x.shape[1]] if self.positions else x

    def _kv(self, rows: Tensor) -> Tensor:
        """Keys and values of rows `[B, N, D]`: `[B, N, 2, H, K]`."""
        return self.kv(self.norm(rows)).unflatten(-1, (2, self.heads, -1))

    def _feed_forward(self, u: Tensor) -> Tensor:
        return u + self.ffn["down"](F.gelu(self.ffn["up"](self.ffn_norm(u))))

    def _layer(self, rows: Tensor, kv: Tensor) -> Tensor:
        """T at `rows`, the last of the rows whose keys and values are given."""
        count, total = rows.shape[1], kv.shape[1]
        q = self.query(self.norm(rows)).unflatten(-1, (self.heads, -1))
        bias = torch.full((count, total), -torch.inf, device=q.device, dtype=wide(q).dtype).triu(total - count + 1)
        return self._feed_forward(rows + self.out(attend(q, kv[:, :, 0], kv[:, :, 1], bias)))

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        earlier, last, rows, hidden = self._checked(state, x.shape[0])
        first, rows_kv = self._kv(self._plus(last, earlier)), self._kv(rows)
        final_kv = self._kv(self._plus(hidden, last))
        done, outputs = 0, []
        while done < x.shape[1]:
            start = rows.shape[1]
            new = self._plus(self._placed(x[:, done : done + self.block - start], start), earlier, start)
            rows_kv = torch.cat([rows_kv, self._kv(new)], 1)
            h = self._layer(new, torch.cat([first, rows_kv], 1))
            final = self._plus(h, last, start)
            final_kv = torch.cat([final_kv, self._kv(final)], 1)
            outputs.append(self._layer(final, final_kv))
            rows, hidden = torch.cat([rows, new], 1), torch.cat([hidden, h], 1)
            done += new.shape[1]
            if rows.shape[1] == self.block and done < x.shape[1]:
                earlier, last, rows, hidden = last, hidden, rows[:, :0], hidden[:, :0]
                first, rows_kv, final_kv = final_kv, final_kv[:, :0], final_kv[:, :0]
        return torch.cat(outputs, 1), self._after(earlier, last, rows, hidden)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        earlier, last, rows, hidden = self._checked(state, x.shape[0])
        start = rows.shape[1]
        rows = torch.cat([rows, self._plus(self._placed(x[:, None], start), earlier, start)], 1)
        hidden = torch.cat([hidden, self._row(torch.cat([self._plus(last, earlier), rows], 1))[:, None]], 1)
        return self._row(self._plus(hidden, last)), self._after(earlier, last, rows, hidden)

    def _row(self, rows: Tensor) -> Tensor:
        """T at the last of the rows `[B, N, D]`, without keys or values of any: `[B, D]`."""
        read = self.norm(rows)
        o = attend_unprojected(self.query(read[:, -1]), read, self.kv.weight, self.heads)
        return self._feed_forward(rows[:, -1] + self.out(o))

    def parameters_count(self) -> Any:
        """4 D² + 2 D hidden_width, two norms 2 D, positions w D, α."""
        d = self.width
        return 4 * d**2 + 2 * d * self.hidden_width + 2 * d + self.positions * self.block * d + self.accumulate

    def state_elements(self, t: Any) -> Any:
        """D w min(⌊t / w⌋, 1), or 2 for 1 with `accumulate`; and 2 D for each token of an unfinished block."""
        full = whole_blocks(t, self.block)
        kept = self.block * minimum(full, 1 + self.accumulate)
        return self.width * (kept + 2 * (t - full * self.block))

    def write_elements(self, t: Any) -> Any:
        """A row of T's input and one of h: 2 D."""
        return 2 * self.width

    def _token_flops(self) -> Any:
        """Products with the layer's matrices, twice a token: 16 D² + 8 D hidden_width."""
        return 16 * self.width**2 + 8 * self.width * self.hidden_width

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """The layer's matrices twice a token; 4 D a pair, of two blocks for h and of one for y."""
        pairs = two_block_pairs(t, self.block) + block_pairs(t, self.block)
        return batch * (t * self._token_flops() + 4 * self.width * pairs)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """The matrices twice; 4 H D for each row that h and y read, of the block before and twice of this one."""
        full = ceil_div(t, self.block) - 1
        rows = self.block * minimum(full, 1) + 2 * (t - full * self.block)
        return batch * (self._token_flops() + 4 * self.heads * self.width * rows)

    def dataflow(self) -> Dataflow:
        state = self.width * self.block * (1 + self.accumulate)
        return Dataflow((Span(0, self.block, 2 * self.width),), state)
