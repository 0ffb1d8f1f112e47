"""What the shared suite runs beside every mixer's defaults: other options, and smaller chunks and windows."""

from __future__ import annotations

from typing import Any

from recallscope.architectures.mixers import MIXERS

WIDTH = 64

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "attention": [
        {"heads": 8, "kv_heads": 2, "sinks": True, "gate": True, "rope_base": None},
        {"heads": 2, "kv_heads": 1, "key_width": 16, "qk_norm": False},
    ],
    "based": [{"heads": 2, "key_width": 5, "chunk": 16}, {"heads": 2, "key_width": 4, "symmetric": True, "chunk": 48}],
    "hyena": [{"length": 40, "filter_width": 8, "bands": 3}],
    "sliding_window": [{"heads": 4, "kv_heads": 2, "window": 5, "gate": True}, {"window": 1}],
}

SELECTIVE: set[str] = set()
"""Mixers that choose what they read: their outputs may depend on less than their dataflow allows."""

CASES = [(name, {}) for name in MIXERS] + [(name, options) for name, many in VARIANTS.items() for options in many]
