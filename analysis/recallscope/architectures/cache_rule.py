"""What is kept and read of the caches of a layer, other than everything: its effect on the closed forms of a mixer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from recallscope.architectures.config import ModelConfig, build_layer
from recallscope.architectures.mixers import Mixer
from recallscope.architectures.mixers._counts import ceil_div, maximum, minimum


@dataclass(frozen=True)
class CacheRule:
    """How one layer with a cache of the whole past uses it; the default is the mixer as it is.

    Attributes
    ----------
    budget, prompt : int or None
        Entries kept; with `prompt`, of so many first tokens only, those after them staying.
    scores : bool
        Whether each kept entry has a running score for each key head.
    page, pages : int or None
        Tokens of a page, with the least and the greatest value of each key channel kept for it, and pages read.
    kept : int or None
        Values that each query head reads, those with the largest scores.
    borrowed : bool
        Whether the cache is another layer's.
    """

    budget: int | None = None
    prompt: int | None = None
    scores: bool = False
    page: int | None = None
    pages: int | None = None
    kept: int | None = None
    borrowed: bool = False

    def entries(self, t: Any) -> Any:
        """Entries n in the cache after `t` tokens."""
        if self.budget is None:
            return t
        after = 0 if self.prompt is None else maximum(t - self.prompt, 0)
        return minimum(t, self.budget + after)

    def _keys(self, t: Any) -> Any:
        """Entries m whose keys are read."""
        n = self.entries(t)
        return n if self.page is None or self.pages is None else minimum(n, self.page * self.pages)

    def _skipped(self, t: Any, group: int) -> Any:
        """Entries of m whose values nobody reads in a group of queries that choose apart."""
        m = self._keys(t)
        return 0 if self.kept is None else m - minimum(m, self.kept * group)

    def _bounds(self, mixer: Any, t: Any) -> Any:
        """Elements of the pages' least and greatest keys."""
        return 0 if self.page is None else 2 * mixer.kv_heads * mixer.key_width * ceil_div(self.entries(t), self.page)

    def _scores(self, mixer: Any, t: Any) -> Any:
        return mixer.kv_heads * self.entries(t) if self.scores else 0

    def state_elements(self, mixer: Mixer, t: Any) -> Any:
        """The mixer's at n, and bounds and scores; nothing of the cache if it is borrowed."""
        n = self.entries(t)
        own = mixer.state_elements(n)
        if self.borrowed:
            return own - cached_elements(mixer) * n
        return own + self._bounds(mixer, t) + self._scores(mixer, t)

    def read_elements(self, mixer: Any, t: Any) -> Any:
        """The mixer's at m, less the values skipped, and bounds and scores."""
        read = mixer.read_elements(self._keys(t)) + self._bounds(mixer, t) + self._scores(mixer, t)
        if self.kept is None:
            return read
        skipped = self._skipped(t, mixer.heads // mixer.kv_heads)
        return read - mixer.kv_heads * mixer.key_width * skipped

    def write_elements(self, mixer: Any, t: Any) -> Any:
        """The mixer's, the bounds of one page and all scores; nothing of the cache if it is borrowed."""
        if self.borrowed:
            return mixer.write_elements(t) - cached_elements(mixer)
        bounds = 0 if self.page is None else 2 * mixer.kv_heads * mixer.key_width
        return mixer.write_elements(t) + bounds + self._scores(mixer, t)

    def decode_flops(self, mixer: Any, t: Any, batch: Any = 1) -> Any:
        """The mixer's at m, 2 H K less for each value skipped, 4 H K for the bound of each page."""
        flops = mixer.decode_flops(self._keys(t), batch)
        if self.page is not None:
            flops = flops + batch * 4 * mixer.heads * mixer.key_width * ceil_div(self.entries(t), self.page)
        if self.kept is not None:
            width = mixer.key_width + int(getattr(mixer, "sinks", False))
            flops = flops - batch * 2 * mixer.heads * width * self._skipped(t, 1)
        return flops


def cached_elements(mixer: Mixer) -> int:
    """Elements for each position of the whole past that a mixer keeps; 0 if it keeps none one by one."""
    return sum(span.elements for span in mixer.dataflow().spans if span.first is None or span.last is None)


def changed_layers(config: ModelConfig, rules: tuple[CacheRule, ...]) -> list[tuple[int, Mixer, CacheRule]]:
    """How often each distinct layer with a rule of its own occurs, its mixer without storage, and the rule."""
    if not rules:
        return []
    layers = {repr(layer): layer for layer in config.layers}
    kinds = Counter(zip(map(repr, config.layers), rules, strict=True))
    with torch.device("meta"):
        return [
            (count, build_layer(config, layers[key])[0], rule)
            for (key, rule), count in kinds.items()
            if rule != CacheRule()
        ]
