"""The surface that all mixers share, and the costs that follow from what each of them states."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recallscope.architectures.dataflow import Dataflow

State = tuple[Tensor, ...]


class Mixer(nn.Module):
    """A sequence mixer: `[B, T, D] -> [B, T, D]`, causal.

    A mixer writes `prefill`, `step`, `init_state` and the closed forms below. `t` in these is an integer, an array of
    integers or a sympy symbol. Counts are per layer; state counts per sequence.

    FLOPs are those of products: matrix products, convolutions, transforms (`_counts.fft_flops`) and multiply-adds on a
    recurrent state, each multiply-add being 2. Elementwise work is left out: norms, activations, softmax, gates,
    decays, rotations. They are *executed* counts: masked tiles, padding and recomputed scores are in them, and an
    attention kernel counts its full rectangle whatever it skips (the convention of torch's counter).
    """

    shift: bool = False
    """Whether one layer can bind a key to the *next* token, because keys or values see the token before."""

    encodes: bool = False
    """Whether `forward` takes a `prefix`, whose tokens it reads without a causal mask."""

    by_content: bool = True
    """Whether what is read depends on the token that reads: without it there is no recall, whatever the state."""

    def prefill(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """All tokens at once: `[B, T, D]` and the state before them to `[B, T, D]` and the state after them."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`, from the empty state."""
        return self.prefill(x)[0]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One token: `[B, D]` and the state to `[B, D]` and the state after it."""
        raise NotImplementedError

    def init_state(self, batch: int) -> State:
        """State before the first token: tensors that start with the batch; others are constants or positions."""
        raise NotImplementedError

    def checked_state(self, state: State | None, batch: int) -> State:
        """The state, if it has the dtypes and shapes of `init_state`, lengths of caches apart; None: the empty one.

        It is compared with the state of no sequences at all, which takes no memory: every step passes through here.
        """
        if state is None:
            return self.init_state(batch)
        like = self.init_state(0)
        if len(state) != len(like):
            raise ValueError(f"state: {len(like)} tensors, got {len(state)}")
        for i, (got, want) in enumerate(zip(state, like, strict=True)):
            shape = (batch, *want.shape[1:]) if want.ndim and not want.shape[0] else tuple(want.shape)
            if got.dtype != want.dtype:
                raise ValueError(f"state[{i}]: dtype {want.dtype}, got {got.dtype}")
            if got.ndim != len(shape) or any(w and g != w for g, w in zip(got.shape, shape, strict=True)):
                raise ValueError(f"state[{i}]: shape {shape} (0: any length), got {tuple(got.shape)}")
        return state

    def parameters_count(self) -> Any:
        """Number of parameters, in closed form."""
        raise NotImplementedError

    def state_elements(self, t: Any) -> Any:
        """Elements that survive between two decoding steps after `t` tokens."""
        raise NotImplementedError

    def read_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` reads (counted from 1); all of it unless a mixer selects."""
        return self.state_elements(t)

    def write_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` writes, in place; all of it for a recurrent state."""
        return self.state_elements(t)

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of `prefill` on `batch` sequences of `t` tokens from the empty state."""
        raise NotImplementedError

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of forward and backward; each product needs two more of its size for its two gradients."""
        return 3 * self.prefill_flops(t, batch)

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of the `step` of token `t` (counted from 1)."""
        raise NotImplementedError

    def dataflow(self) -> Dataflow:
        """What the output at one position may read."""
        raise NotImplementedError


def check_heads(width: int, heads: int) -> None:
    """Raise a `ValueError` unless the width is a whole number of heads."""
    if heads < 1 or width % heads:
        raise ValueError(f"heads: must divide the width, got width {width} and heads {heads}")
