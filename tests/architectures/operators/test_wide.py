"""Wider and fewer layers: attention in all as before, feed-forward layers fewer."""

from __future__ import annotations

import pytest
from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.operators import widen
from recallscope.architectures.specification import specification

LAYER = {"mixer": "attention", "heads": 4, "kv_heads": 2, "qk_norm": False}
DEEP = specification(Architecture("deep", ModelConfig(50, 64, (LAYER,) * 6, 96)))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_attention_stays_and_feed_forward_layers_go(layers):
    wide = widen(DEEP, layers)
    model = LanguageModel(wide.architecture.config)
    assert wide.parameters() == sum(p.numel() for p in model.parameters())
    gone = (6 - layers) * (3 * 64 * 96 + 2 * 64)  # feed-forward layers and norms
    assert wide.parameters() == DEEP.parameters() - gone
    assert wide.state_elements(100) == DEEP.state_elements(100)
    assert wide.decode_flops(100) == DEEP.decode_flops(100) - (6 - layers) * 6 * 64 * 96
    assert wide.applied == (f"widen(layers={layers})",)


def test_as_many_layers_change_nothing():
    assert widen(DEEP, 6).architecture.state_elements(10) == DEEP.state_elements(10)
    assert widen(DEEP, 6).parameters() == DEEP.parameters()


def test_bad_widening():
    with pytest.raises(ValueError, match="layers: a divisor of 6, got 4"):
        widen(DEEP, 4)
    mixed = specification(Architecture("mixed", ModelConfig(50, 64, (LAYER, {"mixer": "hyena"}), 96)))
    with pytest.raises(ValueError, match="equal layers can be widened"):
        widen(mixed)
    hyena = specification(Architecture("hyena", ModelConfig(50, 64, ({"mixer": "hyena"},) * 2, 96)))
    with pytest.raises(ValueError, match="with heads and key_width can be widened, got hyena"):
        widen(hyena)
