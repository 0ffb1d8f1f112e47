"""State sizes behind the recall-against-state figure of Based (Arora et al. 2024, arXiv 2402.18668, Figure 2).

The figure counts 4 bytes an element at 1,024 tokens; one mixer layer of attention, windows and Based, two of Mamba,
H3 and Hyena; it leaves out what short convolutions keep, which is state too and which our counts hold.
"""

from __future__ import annotations

import pytest
from recallscope.architectures.names import architecture

TOKENS = 1024


def published_bytes(mixer: str, layers: int, left_out: int, **options) -> int:
    layer = architecture(mixer=mixer, **options)
    return 4 * layers * (layer.state_elements(TOKENS) - left_out)


@pytest.mark.parametrize(
    "width, key_width, size",
    [
        (32, 8, 5940), (64, 8, 11_700), (128, 8, 23_220), (64, 16, 39_780), (256, 8, 46_260), (128, 16, 78_948),
        (64, 24, 84_500), (512, 8, 92_340), (256, 16, 157_284), (128, 24, 167_700), (512, 16, 313_956),
        (256, 24, 334_100), (512, 24, 666_900),
    ],
)  # fmt: skip
def test_based(width, key_width, size):
    options = {"width": width, "heads": 1, "key_width": key_width}
    assert published_bytes("based", 1, 0, **options, symmetric=True) == size
    kept = published_bytes("based", 1, 0, **options)  # the features that the published code really keeps
    assert kept == 4 * (width + 1) * (1 + key_width + key_width**2) > size


@pytest.mark.parametrize("width, size", [(64, 524_288), (256, 2_097_152)])
def test_attention(width, size):
    assert published_bytes("attention", 1, 0, width=width, heads=1) == size


@pytest.mark.parametrize("window", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_window(window):
    assert published_bytes("sliding_window", 1, 0, width=128, heads=1, window=window) == 1024 * window


@pytest.mark.parametrize(
    "width, state, size",
    [
        (64, 8, 8192), (64, 16, 16_384), (64, 24, 24_576), (128, 16, 32_768), (128, 24, 49_152), (256, 16, 65_536),
        (256, 24, 98_304), (512, 16, 131_072),
    ],
)  # fmt: skip
def test_mamba(width, state, size):
    assert published_bytes("mamba", 2, 3 * 2 * width, width=width, state_size=state) == size


@pytest.mark.parametrize("width, size", [(64, 8192), (128, 32_768), (256, 131_072), (512, 524_288)])
def test_h3(width, size):
    assert published_bytes("h3", 2, 3 * width, width=width, state_size=width // 4) == size


@pytest.mark.parametrize("width, size", [(64, 524_288), (128, 1_048_576), (256, 2_097_152), (512, 4_194_304)])
def test_hyena(width, size):
    assert published_bytes("hyena", 2, 6 * width, width=width) == size
