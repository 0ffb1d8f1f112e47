"""The recurrence over blocks: step by step as it is defined, and with all that need not wait done at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recallscope.architectures.recurrent_transformer.layer import TransformerLayer

VARIANTS = ("forget", "accumulate", "accumulate_outputs")


class BlockState(NamedTuple):
    """What is kept between two blocks: h_i, and what is accumulated beside it, h_{i-1} or y_{i-1}.

    `hidden` is `[B, r, D]`, r tokens of block i. `beside` is `[B, w, D]`; None for `forget`, and after the first block.
    """

    hidden: Tensor
    beside: Tensor | None


class Recurrence(nn.Module):
    """Kausik's recurrent transformer (technical note of June 2025; see arXiv 2402.14746) on blocks x_1 ... x_n.

    Each block has w tokens, the last may have fewer. With one layer T on windows of 2 w tokens, `h_1 = T(x_1)`, then

    - `forget`: `(y_i, h_{i+1}) = T([h_i; x_{i+1}])`;
    - `accumulate`: `(y_i, h_{i+1}) = T([h_i + α h_{i-1}; x_{i+1} + α h_{i-1}])`, as the note has it, h_0 = 0;
    - `accumulate_outputs`: the same with y_{i-1} for h_{i-1}, y_0 = 0, as the author's later code.

    At the end `y_n = T(h_n)`. The output is y_1 ... y_n: y_i, the first half of its window, sees that half alone, so it
    does not depend on x_{i+1}. With `forget` the output is causal token by token; when blocks accumulate, that of the
    last block is not what it would be if another block followed, since at the end nothing is added.

    Parameters
    ----------
    layer : TransformerLayer
        T.
    block : int
        Tokens w of a block.
    variant : str
        One of `VARIANTS`.
    alpha : float
        α, in [0, 1]; without part in `forget`.
    learned : bool
        Whether α is a parameter, clamped to [0, 1].
    """

    def __init__(
        self, layer: TransformerLayer, block: int, variant: str = "forget", alpha: float = 0.5, learned: bool = False
    ):
        super().__init__()
        if block < 1:
            raise ValueError(f"block: at least 1 token, got {block}")
        if variant not in VARIANTS:
            raise ValueError(f"variant: one of {', '.join(VARIANTS)}, got {variant!r}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha: in [0, 1], got {alpha}")
        if learned and variant == "forget":
            raise ValueError("learned: there is no alpha in forget")
        self.layer, self.block, self.variant = layer, block, variant
        self.alpha: Tensor | float = nn.Parameter(torch.tensor(float(alpha))) if learned else float(alpha)

    def start(self, x: Tensor) -> BlockState:
        """The state after the first block `[B, ≤ w, D]`."""
        return BlockState(self.layer(x), None)

    def step(self, x: Tensor, state: BlockState) -> tuple[Tensor, BlockState]:
        """Block i + 1, `[B, ≤ w, D]`, and the state to y_i `[B, w, D]` and the state after it: one window through T."""
        w = state.hidden.shape[1]
        window = self.layer(torch.cat([self._plus(state.hidden, state.beside), self._plus(x, state.beside)], 1))
        y, hidden = window[:, :w], window[:, w:]
        return y, BlockState(hidden, self._kept(y, state))

    def close(self, state: BlockState) -> Tensor:
        """y_n, after the last block."""
        return self.layer(state.hidden)

    def forward(self, x: Tensor, block: int | None = None, start: int = 0) -> Tensor:
        """`[B, N, D] -> [B, N - start, D]`: the output from token `start` on; `block`, if given, in the place of w.

        Only h waits for the block before it. Outputs are computed together at the end, unless they are accumulated, and
        those of blocks before `start` are not computed at all.
        """
        w = self.block if block is None else block
        blocks, skipped = x.split(w, 1), min(start // w, -(-x.shape[1] // w) - 1)
        if self.variant == "accumulate_outputs":
            return self._one_by_one(blocks)[:, start:]
        state, firsts, read = self.start(blocks[0]), [], []
        for x in blocks[1:]:
            first = self._plus(state.hidden, state.beside)
            known = self.layer.keys_values(first)
            second = self._plus(x, state.beside)
            hidden = self.layer.rows(second, torch.cat([known, self.layer.keys_values(second)], 3))
            firsts.append(first)
            read.append(known)
            state = BlockState(hidden, self._kept(first, state))
        outputs = [self.close(state)]
        if firsts[skipped:]:
            together = self.layer.rows(torch.cat(firsts[skipped:]), torch.cat(read[skipped:], 1))
            outputs = [*together.chunk(len(firsts) - skipped), *outputs]
        return torch.cat(outputs, 1)[:, start - skipped * w :]

    def _one_by_one(self, blocks: tuple[Tensor, ...]) -> Tensor:
        state, outputs = self.start(blocks[0]), []
        for x in blocks[1:]:
            y, state = self.step(x, state)
            outputs.append(y)
        return torch.cat([*outputs, self.close(state)], 1)

    def _plus(self, rows: Tensor, beside: Tensor | None) -> Tensor:
        """`rows + α beside`, as many rows of it as there are."""
        if beside is None:
            return rows
        alpha = self.alpha.clamp(0, 1) if isinstance(self.alpha, Tensor) else self.alpha
        return rows + alpha * beside[:, : rows.shape[1]]

    def _kept(self, y: Tensor, state: BlockState) -> Tensor | None:
        return {"forget": None, "accumulate": state.hidden, "accumulate_outputs": y}[self.variant]
