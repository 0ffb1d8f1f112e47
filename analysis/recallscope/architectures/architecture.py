"""An architecture by its shape alone: what it keeps, what it computes, what it moves. No weights are made."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from recallscope.architectures.config import ModelConfig, build_layer
from recallscope.architectures.feed_forward import FFN
from recallscope.architectures.mixers import Mixer


@dataclass(frozen=True)
class Architecture:
    """The costs of a language model of a given shape.

    Every method takes `t`, the number of tokens, as an integer, an array of integers or a sympy symbol. FLOPs follow
    the convention of the mixers: products only, a multiply-add is 2, *executed* unless the name says useful. The
    embedding is a lookup and costs no FLOPs; the head is applied at every position, in prefill too. Bytes are at the
    *fused limit*: each weight, each kept element and each sublayer's input and output cross the memory bus once per
    pass, and nothing else does. Declared, not yet measured; kernels that materialise more are above.

    Attributes
    ----------
    name : str
        How tables and figures call it.
    config : ModelConfig
        Its shape.
    source : str
        Where the shape is from; empty for one's own.
    """

    name: str
    config: ModelConfig
    source: str = ""

    @cached_property
    def layers(self) -> list[tuple[int, Mixer, FFN | None]]:
        """How often each distinct layer occurs in the stack, and its two halves, without storage."""
        kinds = Counter(json.dumps(layer, sort_keys=True) for layer in self.config.layers)
        with torch.device("meta"):
            return [(count, *build_layer(self.config, json.loads(text))) for text, count in kinds.items()]

    def _sum(self, of_mixer: Callable[[Mixer], Any]) -> Any:
        """Over the mixers as they run: again for each loop."""
        return self.config.loops * sum(count * of_mixer(mixer) for count, mixer, _ in self.layers)

    def _sum_ffn(self, of_ffn: Callable[[FFN], Any]) -> Any:
        return sum(count * of_ffn(ffn) for count, _, ffn in self.layers if ffn)

    @property
    def _ffn_state(self) -> Any:
        return self.config.loops * self._sum_ffn(lambda ffn: ffn.state_elements())

    @property
    def _head_weights(self) -> int:
        return self.config.vocabulary * self.config.width

    @property
    def _token_flops(self) -> int:
        """Forward products of one token outside the mixers: feed-forward layers and head."""
        return self.config.loops * self._sum_ffn(lambda ffn: ffn.token_flops()) + 2 * self._head_weights

    def parameters(self) -> int:
        """Parameters, embedding, norms and head included."""
        norms = (self._sublayers + 1) * self.config.width
        tables = self._head_weights * (1 if self.config.tied else 2)
        mixers = sum(count * mixer.parameters_count() for count, mixer, _ in self.layers)
        return mixers + self._sum_ffn(lambda ffn: ffn.parameters_count()) + norms + tables

    def active_parameters(self) -> int:
        """Parameters that one token uses: of a mixture of experts those it is sent to."""
        unused = self._sum_ffn(lambda ffn: ffn.parameters_count() - ffn.active_parameters())
        return self.parameters() - unused

    def state_elements(self, t: Any) -> Any:
        """Elements that survive between two decoding steps after `t` tokens, per sequence."""
        return self._sum(lambda mixer: mixer.state_elements(t)) + self._ffn_state

    def read_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` reads, per sequence."""
        return self._sum(lambda mixer: mixer.read_elements(t)) + self._ffn_state

    def write_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` writes, per sequence."""
        return self._sum(lambda mixer: mixer.write_elements(t)) + self._ffn_state

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of a forward pass over `batch` sequences of `t` tokens."""
        return self._sum(lambda mixer: mixer.prefill_flops(t, batch)) + batch * t * self._token_flops

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of a forward and a backward pass over `batch` sequences of `t` tokens, without optimiser."""
        return self._sum(lambda mixer: mixer.training_flops(t, batch)) + 3 * batch * t * self._token_flops

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Executed FLOPs of the step of token `t` for `batch` sequences."""
        return self._sum(lambda mixer: mixer.decode_flops(t, batch)) + batch * self._token_flops

    def useful_flops(self, t: int, batch: int = 1) -> int:
        """FLOPs of `t` tokens decoded one by one: what a causal prefill needs, without masked pairs and padding."""
        return int(self.decode_flops(np.arange(1, t + 1, dtype=object), batch).sum())  # Python integers: no overflow

    def _read_weights(self, tokens: Any) -> Any:
        """Weights that a pass over so many tokens reads: not unused experts, nor other rows of an untied embedding.

        Layers that run again are read again.
        """
        embedding = 0 if self.config.tied else self._head_weights
        blocks = self.parameters() - self.config.width - self._head_weights - embedding  # all but final norm and tables
        skipped = self._sum_ffn(lambda ffn: ffn.parameters_count() - ffn.read_weights(tokens))
        once = self.config.width + self._head_weights + tokens * self.config.width
        return once + self.config.loops * (blocks - skipped)

    def decode_bytes(self, t: Any, batch: Any = 1, weight_bits: int = 16, state_bits: int = 16) -> Any:
        """Bytes that the step of token `t` moves: weights once, and each sequence's state read and written."""
        state = self.read_elements(t) + self.write_elements(t)
        return _bytes(self._read_weights(batch) * weight_bits + batch * state * state_bits)

    def prefill_bytes(self, t: Any, batch: Any = 1, weight_bits: int = 16, state_bits: int = 16) -> Any:
        """Bytes of a forward pass: weights once, input and output of every sublayer, the state once at the end."""
        activations = batch * t * self.config.loops * self._sublayers * 2 * self.config.width * weight_bits
        state = batch * self.state_elements(t) * state_bits
        return _bytes(self._read_weights(batch * t) * weight_bits + activations + state)

    def training_bytes(self, t: Any, batch: Any = 1, weight_bits: int = 16) -> Any:
        """Bytes of a forward and a backward pass, without optimiser and state.

        Weights are read twice and their gradients written once; each sublayer moves its input and output forward, and
        its input and the gradients of both backward.
        """
        activations = batch * t * self.config.loops * self._sublayers * 5 * self.config.width
        weights = 2 * self._read_weights(batch * t) + self.parameters()
        return _bytes((weights + activations) * weight_bits)

    @property
    def _sublayers(self) -> int:
        return sum(count * (1 + bool(ffn)) for count, _, ffn in self.layers)


def _bytes(bits: Any) -> Any:
    """Whole bytes, rounded up; of an expression, the eighth."""
    return bits / 8 if hasattr(bits, "free_symbols") else math.ceil(bits / 8)
