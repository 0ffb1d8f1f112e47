"""A memory of segments around any language model: what is older than a segment is reached through one vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recallscope.architectures.mixers import State
from recallscope.architectures.model import LanguageModel

Run = Callable[[Tensor, list[State] | None], tuple[Tensor, list[State]]]


@dataclass(frozen=True)
class SegmentState:
    """What is kept between two tokens.

    Attributes
    ----------
    memories : Tensor
        One vector for each of the last segments, `[B, n, D]`, n at most N.
    recent : Tensor
        Embeddings of the last tokens of the current segment, or between segments of the one before, `[B, ≤ k, D]`.
    prompt : Tensor
        What the segment recalled, `[B, 1, D]`; between segments `[B, 0, D]`.
    states : list or None
        The model's states after the prompt, the sensory memory and the segment's tokens so far; None between segments.
    filled : int
        Tokens of the segment so far.
    """

    memories: Tensor
    recent: Tensor
    prompt: Tensor
    states: list[State] | None
    filled: int


class SegmentMemoryModel(nn.Module):
    """Hierarchical memory transformer (HMT, He et al. 2024) around a model f that sees one segment at a time.

    Segments have ℓ tokens. With the embeddings X_n of segment n, the k last of the one before it, S_n, and a learned
    token τ:

    1. summary `s_n`: the last row of `f([τ; S_n; τ])`;
    2. recall `p_n = Σ_i π_i m_i`, `π = softmax((W_q s_n) · (W_k m_i) / √d_m)` over the N last memories; `p_1 = τ`;
    3. `H = f([p_n; S_n; X_n; p_n])`: logits from the rows of X_n, and the last row is the memory m_n.

    So a later token sees one vector of all that is older than S_n. Between segments only memories and S_n are kept.

    Reconstruction: published, the summary is of the first half of X_n, and its tokens get p_n too: in these, logits
    depend on later tokens, and no text can be written token by token. Here it is of S_n, the tokens before the segment,
    which are kept anyway. Rows of f are those that the head reads, after the last norm. Truncated back-propagation is
    left to the caller: states can be detached between calls.

    Parameters
    ----------
    model : LanguageModel
        f, with its embedding and head.
    segment : int
        Tokens ℓ of a segment.
    sensory : int
        Tokens k of the segment before that are read again, 1 to ℓ.
    memories : int
        Memories N that are kept.
    key_width : int or None
        Width d_m of the recall's queries and keys; None: D.
    """

    def __init__(
        self,
        model: LanguageModel,
        segment: int = 1024,
        sensory: int = 32,
        memories: int = 300,
        key_width: int | None = None,
    ):
        super().__init__()
        if not 1 <= sensory <= segment:
            raise ValueError(f"sensory: from 1 to the segment's {segment} tokens, got {sensory}")
        if memories < 1:
            raise ValueError(f"memories: at least 1, got {memories}")
        if key_width is not None and key_width < 1:
            raise ValueError(f"key_width: at least 1, got {key_width}")
        self.width = model.config.width
        self.model, self.segment, self.sensory, self.memories = model, segment, sensory, memories
        self.key_width = self.width if key_width is None else key_width
        self.token = nn.Parameter(torch.randn(self.width))  # of unit size, as embeddings are
        self.query = nn.Linear(self.width, self.key_width, bias=False)
        self.key = nn.Linear(self.width, self.key_width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """`[B, T] -> logits [B, T, vocabulary]`."""
        return self.prefill(ids)[0]

    def init_state(self, batch: int) -> SegmentState:
        """No memories and no tokens."""
        empty = self.token.new_zeros(batch, 0, self.width)
        return SegmentState(empty, empty, empty, None, 0)

    def prefill(self, ids: Tensor, state: SegmentState | None = None) -> tuple[Tensor, SegmentState]:
        """`[B, T]` and the state before them to logits `[B, T, vocabulary]` and the state after them."""
        x = self.model._embed(ids)
        state = self.init_state(len(ids)) if state is None else state
        done, rows = 0, []
        while done < x.shape[1]:
            state = self._opened(state, self.model.run)
            now = x[:, done : done + self.segment - state.filled]
            row, states = self.model.run(now, state.states)
            state = self._after(state, now, states, self.model.run)
            rows.append(row)
            done += now.shape[1]
        return self.model.head(torch.cat(rows, 1)), state

    def step(self, ids: Tensor, state: SegmentState) -> tuple[Tensor, SegmentState]:
        """One token per sequence: `[B]` and the state to logits `[B, vocabulary]` and the new state.

        The first token of a segment also pays for the summary and the start of the pass, the last for the memory.
        """
        x = self.model._embed(ids)[:, None]
        state = self._opened(state, self._one_by_one)
        row, states = self._one_by_one(x, state.states)
        return self.model.head(row[:, 0]), self._after(state, x, states, self._one_by_one)

    def _one_by_one(self, x: Tensor, states: list[State] | None) -> tuple[Tensor, list[State]]:
        states = self.model.init_state(len(x)) if states is None else states
        rows = []
        for one in x.unbind(1):
            row, states = self.model.run(one, states)
            rows.append(row)
        return torch.stack(rows, 1), states

    def recall(self, summary: Tensor, memories: Tensor) -> Tensor:
        """`[B, 1, D]`, the memories `[B, n, D]` weighted by what the summary `[B, 1, D]` asks for."""
        scores = self.query(summary) @ self.key(memories).transpose(1, 2) * self.key_width**-0.5
        return scores.softmax(-1) @ memories

    def _opened(self, state: SegmentState, run: Run) -> SegmentState:
        """In a segment: summary, recall, and the pass up to the segment's first token, if it has none yet."""
        if state.states is not None:
            return state
        prompt = token = self.token.expand(len(state.recent), 1, -1)
        if state.recent.shape[1]:
            rows, _ = run(torch.cat([token, state.recent, token], 1), None)
            prompt = self.recall(rows[:, -1:], state.memories)
        _, states = run(torch.cat([prompt, state.recent], 1), None)
        return replace(state, recent=state.recent[:, :0], prompt=prompt, states=states)

    def _after(self, state: SegmentState, x: Tensor, states: list[State], run: Run) -> SegmentState:
        """After tokens x `[B, T, D]` of the segment; with its last, the memory is written and the pass forgotten."""
        recent, filled = torch.cat([state.recent, x], 1)[:, -self.sensory :], state.filled + x.shape[1]
        if filled < self.segment:
            return replace(state, recent=recent, states=states, filled=filled)
        rows, _ = run(state.prompt, states)
        return SegmentState(
            torch.cat([state.memories, rows], 1)[:, -self.memories :], recent, state.prompt[:, :0], None, 0
        )

    def parameters_count(self) -> int:
        """2 D d_m + D beside those of the model."""
        return 2 * self.width * self.key_width + self.width

    def state_elements(self, t: int) -> int:
        """Per sequence after `t` tokens: D min(⌊t / ℓ⌋, N), and D k between segments.

        After r > 0 tokens of a segment instead D (1 + min(r, k)), and the model's after 1 + k + r tokens.
        """
        full, filled = divmod(t, self.segment)
        memories, sensory = min(full, self.memories), self.sensory if full else 0
        if not filled:
            return self.width * (memories + sensory)
        mixers = [block.mixer for block in self.model.blocks] * self.model.config.loops
        states = sum(mixer.state_elements(1 + sensory + filled) for mixer in mixers)  # type: ignore[operator]
        return self.width * (memories + 1 + min(filled, self.sensory)) + states
