"""An architecture and what was done to its weights, state and depth: the operand of the operators."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import nn

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.cache_rule import CacheRule, changed_layers
from recallscope.architectures.mixers import Mixer


@dataclass(frozen=True)
class Weights:
    """Equal matrices, as stored and as used by one token.

    Attributes
    ----------
    name : str
        Where they are: `mixer.qkv`, `ffn.up`, `ffn.experts.down`, `head`, `embedding`, ...; operators choose by it.
    rows, columns, count : int
        Outputs M, inputs N of one matrix, and how many there are in the model.
    stored : int or float
        Values kept for one matrix, M N if it is dense.
    flops : int or float
        Products of one matrix for one token that uses it, 2 M N if it is dense (0 for a table that is looked up). One
        product per token is assumed; a few mixers differ (Hyena's filters, compressors of blocks, a layer that runs
        twice), and what an operator saves there is only as good as that.
    bits : float
        Bits per stored value, scales and zero points included.
    index_bits : float
        Bits for the positions of the values of one matrix, 0 if it is dense.
    used : float
        Share of the tokens that use a matrix: k / E for one of E experts.
    read : float
        Share of a matrix's bytes that one token's product reads, 1 but for activation sparsity and look-ups.
    passes : int
        Layers that run one stored matrix: 1 unless layers share their weights.
    resident : bool
        Whether a matrix is read once for all its passes, because it stays in a cache.
    """

    name: str
    rows: int
    columns: int
    count: int
    stored: float
    flops: float
    bits: float = 16.0
    index_bits: float = 0.0
    used: float = 1.0
    read: float = 1.0
    passes: int = 1
    resident: bool = False

    @property
    def token_flops(self) -> float:
        """Expected products of all these matrices for one token."""
        return self.count * self.passes * self.used * self.flops

    def bytes(self) -> float:
        """Of one matrix, values and indices."""
        return (self.stored * self.bits + self.index_bits) / 8

    def read_bytes(self, tokens: float) -> float:
        """Expected bytes of one matrix that a pass over so many independent tokens reads."""
        passes = 1 if self.resident else self.passes
        return passes * self.bytes() * (1 - (1 - self.used * self.read) ** tokens)


@dataclass(frozen=True)
class Specification:
    """An architecture under operators. Cost methods are exact arithmetic; quality is never derived from them.

    Attributes
    ----------
    architecture : Architecture
        The shape itself; operators that change it (fewer heads, experts) replace it.
    weights : tuple of Weights
        Every matrix and table of the model.
    other_parameters : int
        Norms, convolutions, biases: vectors that no operator touches, at 16 bits.
    state_bits : float
        Bits per element of the state.
    applied : tuple of str
        The operators so far, in order, as they were called.
    quality : dict
        Measured results, by metric; empty unless somebody measured this very specification.
    caches : tuple of CacheRule
        How each layer uses its cache; empty: every layer as its mixer does.
    """

    architecture: Architecture
    weights: tuple[Weights, ...]
    other_parameters: int
    state_bits: float = 16.0
    applied: tuple[str, ...] = ()
    quality: tuple[tuple[str, float], ...] = ()
    caches: tuple[CacheRule, ...] = ()

    @cached_property
    def _ruled(self) -> list[tuple[int, Mixer, CacheRule]]:
        return changed_layers(self.architecture.config, self.caches)

    def _by_rule(self, quantity: str, t: Any, *batch: Any) -> Any:
        """A closed form of the architecture, with what the rules change in it."""
        total = getattr(self.architecture, quantity)(t, *batch)
        for count, mixer, rule in self._ruled:
            change = getattr(rule, quantity)(mixer, t, *batch) - getattr(mixer, quantity)(t, *batch)
            total = total + self.architecture.config.loops * count * change
        return total

    @cached_property
    def _extra_flops(self) -> float:
        """Forward products of one token beyond those of the untouched architecture."""
        untouched = specification(self.architecture).weights
        return sum(w.token_flops for w in self.weights) - sum(w.token_flops for w in untouched)

    def parameters(self) -> float:
        """Values stored."""
        return sum(w.count * w.stored for w in self.weights) + self.other_parameters

    def weight_bytes(self) -> float:
        """Bytes of all weights, indices included."""
        return sum(w.count * w.bytes() for w in self.weights) + 2 * self.other_parameters

    def state_elements(self, t: Any) -> Any:
        """Elements that survive between two decoding steps after `t` tokens, per sequence."""
        return self._by_rule("state_elements", t)

    def read_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` reads, per sequence."""
        return self._by_rule("read_elements", t)

    def write_elements(self, t: Any) -> Any:
        """Elements of state that the step of token `t` writes, per sequence."""
        return self._by_rule("write_elements", t)

    def state_bytes(self, t: Any) -> Any:
        """Bytes of the state after `t` tokens, per sequence."""
        return self.state_elements(t) * self.state_bits / 8

    def decode_flops(self, t: Any, batch: Any = 1) -> Any:
        """Products of the step of token `t`."""
        return self._by_rule("decode_flops", t, batch) + batch * self._extra_flops

    def prefill_flops(self, t: Any, batch: Any = 1) -> Any:
        """Products of a forward pass."""
        return self.architecture.prefill_flops(t, batch) + batch * t * self._extra_flops

    def training_flops(self, t: Any, batch: Any = 1) -> Any:
        """Products of a forward and a backward pass."""
        return self.architecture.training_flops(t, batch) + 3 * batch * t * self._extra_flops

    def decode_bytes(self, t: Any, batch: int = 1) -> Any:
        """Bytes that the step of token `t` moves: the weights that the batch needs, each state read and written."""
        config = self.architecture.config
        others = self.other_parameters + (config.loops - 1) * (self.other_parameters - config.width)  # final norm: once
        weights = sum(w.count * w.read_bytes(batch) for w in self.weights) + 2 * others
        state = self.read_elements(t) + self.write_elements(t)
        return weights + batch * state * self.state_bits / 8

    def with_weights(self, applied: str, weights: tuple[Weights, ...]) -> Specification:
        """The same model with other weights, and the operator's name; what was measured no longer holds."""
        return replace(self, weights=weights, applied=(*self.applied, applied), quality=())


def specification(architecture: Architecture, weight_bits: float = 16.0, state_bits: float = 16.0) -> Specification:
    """The untouched architecture as an operand."""
    config, found = architecture.config, []
    for count, mixer, ffn in architecture.layers:
        for place, module in (("mixer", mixer), ("ffn", ffn)):
            for name, linear in module.named_modules() if module else ():
                if isinstance(linear, nn.Linear):
                    found.append((re.sub(r"\.\d+\.", ".", f"{place}.{name}"), linear.weight.shape, count, module))
    weights: dict[tuple, Weights] = {}
    for name, (rows, columns), count, module in found:
        used = module.active / len(module.experts) if name.startswith("ffn.experts.") else 1.0
        size, key = rows * columns, (name, rows, columns, used)
        none = Weights(name, rows, columns, 0, size, 2 * size, weight_bits, used=used, passes=config.loops)
        weights[key] = replace(none, count=weights.get(key, none).count + count)
    tables = _tables(config.vocabulary, config.width, config.tied, weight_bits)
    matrices = (*weights.values(), *tables)
    other = architecture.parameters() - sum(w.count * w.stored for w in matrices)
    return Specification(architecture, matrices, int(other), state_bits)


def _tables(vocabulary: int, width: int, tied: bool, bits: float) -> list[Weights]:
    size = vocabulary * width
    if not vocabulary:
        return []
    head = Weights("head", vocabulary, width, 1, size, 2 * size, bits)
    return [head] if tied else [Weights("embedding", vocabulary, width, 1, size, 0, bits, read=1 / vocabulary), head]
