"""The shapes of the reference models: four stacks of mixers, the same width, depth and size."""

from __future__ import annotations

from recallscope.architectures.config import ModelConfig

_ATTENTION, _WINDOW, _HYENA, _BASED = ({"mixer": name} for name in ("attention", "sliding_window", "hyena", "based"))

# Feed-forward widths make up for what the mixers differ in, so that all four have 5.26 M parameters (within 0.1 %).
SHAPES = {
    "attention": ModelConfig(4096, 256, (_ATTENTION,) * 4, 688),
    "window": ModelConfig(4096, 256, (_WINDOW,) * 4, 688),
    "hyena": ModelConfig(4096, 256, (_HYENA,) * 4, 656),
    "based": ModelConfig(4096, 256, (_BASED, _WINDOW) * 2, 752),
}
