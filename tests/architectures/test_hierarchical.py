"""Bytes in words: all at once = byte by byte, causal, split by hand, parameters, state and FLOPs counted."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.counting import count_flops
from recallscope.architectures.hierarchical import BYTES, HierarchicalModel

TEXT = b"def f(x):\n\treturn x + antidisestablishmentarianism  # \xc3\xa9t\xc3\xa9\n\n"
LOCAL = ({"mixer": "attention", "heads": 2},)
BACKBONES: dict[str, tuple[dict[str, Any], ...]] = {
    "attention": ({"mixer": "attention", "heads": 2},),
    "recurrent": ({"mixer": "gated_delta_net", "heads": 2, "chunk": 4}, {"mixer": "sliding_window", "window": 3}),
}


def make(backbone: str = "attention", longest: int = 7) -> HierarchicalModel:
    torch.manual_seed(0)
    stacks = ModelConfig(0, 16, LOCAL, 24), ModelConfig(0, 32, BACKBONES[backbone], 40), ModelConfig(0, 24, LOCAL, 16)
    model = HierarchicalModel(*stacks, longest=longest)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model.double().eval()


def ids(*texts: bytes) -> torch.Tensor:
    return torch.tensor([list(text) for text in texts])


def words_of(text: bytes, longest: int) -> list[bytes]:
    """By regular expression: bytes up to a white space, at most `longest`; the last may be unfinished."""
    return re.findall(rb"[^ \t\n\r]{0,%d}[ \t\n\r]|[^ \t\n\r]{1,%d}" % (longest - 1, longest), text)


@pytest.mark.parametrize("longest", [1, 2, 7, 16])
def test_words_end_at_white_space_or_when_they_are_long(longest):
    model = make(longest=longest)
    ends, word, offset = (u[0].tolist() for u in model.split(ids(TEXT)))
    words = words_of(TEXT, longest)
    assert b"".join(words) == TEXT
    assert word == [i for i, one in enumerate(words) for _ in one]
    assert offset == [j for one in words for j in range(len(one))]
    last = [j == len(one) - 1 for one in words for j in range(len(one))]
    assert ends[:-1] == last[:-1]  # whether the last byte ends its word shows only in its value


@pytest.mark.parametrize("longest", [1, 2, 7, 16])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_byte_by_byte_equals_all_at_once(backbone, longest):
    model = make(backbone, longest)
    other = bytes(reversed(TEXT))
    with torch.no_grad():
        together = model(ids(TEXT, other))
        for row, text in enumerate((TEXT, other)):
            state, logits = model.init_state(), []
            for byte in text:
                one, state = model.step(torch.tensor([byte]), state)
                logits.append(one)
            assert (torch.cat(logits) - together[row]).abs().max() < 1e-10
            words = words_of(text, longest)
            whole = len(words) - (state.offset > 0)
            kept = [u for states in (state.words, state.encoder, state.decoder) for layer in states for u in layer]
            measured = sum(u.numel() for u in kept if u.ndim)  # positions are single numbers
            assert measured == model.state_elements(whole, state.offset)


def test_the_future_does_not_matter_and_gradients_reach_everything():
    model = make()
    before = model(ids(TEXT))
    for t in (0, 9, 30):
        changed = ids(TEXT)
        changed[0, t] = 0x20 if changed[0, t] != 0x20 else 0x41
        after = model(changed)
        assert (after[:, :t] - before[:, :t]).abs().max() < 1e-12 if t else True
        assert (after[:, t] - before[:, t]).abs().max() > 1e-6
    before.square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_parameters_and_flops_are_counted():
    model = make().float()
    assert model.parameters_count() == sum(p.numel() for p in model.parameters())
    words = len(words_of(TEXT, 7))
    with torch.no_grad(), count_flops() as count:
        model(ids(TEXT, TEXT))
    head = 2 * 2 * len(TEXT) * BYTES * 24
    assert model.forward_flops(words, 2) + head == count.flops


def test_bad_input():
    stack = ModelConfig(0, 16, LOCAL, 24)
    with pytest.raises(ValueError, match="longest: at least 1 byte, got 0"):
        HierarchicalModel(stack, stack, stack, 0)
    with pytest.raises(ValueError, match="encoder: vocabulary 0, since bytes are read and written, got 50"):
        HierarchicalModel(ModelConfig(50, 16, LOCAL, 24), stack, stack)
    model = make()
    with pytest.raises(ValueError, match=r"byte: of one sequence, shape \(1,\), got \(2,\)"):
        model.step(torch.tensor([1, 2]), model.init_state())
