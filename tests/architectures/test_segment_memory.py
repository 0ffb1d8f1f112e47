"""The segment memory: step by step = all at once, causal, what is kept, and its passes written out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.architectures.segment_memory import SegmentMemoryModel, SegmentState
from tolerances import TOLERANCES

LAYERS = (
    {"mixer": "attention", "heads": 2},
    {"mixer": "sliding_window", "heads": 2, "window": 3},
    {"mixer": "hyena", "length": 16},
    {"mixer": "based", "heads": 2, "key_width": 4, "chunk": 4},
)
CONFIG = ModelConfig(vocabulary=50, width=16, layers=LAYERS, ffn_width=24)
BATCH = 2


def make(config: ModelConfig = CONFIG, **options: Any) -> SegmentMemoryModel:
    torch.manual_seed(0)
    model = SegmentMemoryModel(LanguageModel(config), **({"segment": 8, "sensory": 3, "memories": 4} | options))
    for parameter in model.parameters():  # zeros at the start would hide the branches
        torch.nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def ids(length: int) -> torch.Tensor:
    return torch.randint(0, 50, (BATCH, length), generator=torch.Generator().manual_seed(length))


def steps(model: SegmentMemoryModel, tokens: torch.Tensor) -> tuple[torch.Tensor, list[SegmentState]]:
    states, logits = [model.init_state(BATCH)], []
    for one in tokens.unbind(1):
        y, state = model.step(one, states[-1])
        logits.append(y)
        states.append(state)
    return torch.stack(logits, 1), states


def tensors(state: SegmentState) -> list[torch.Tensor]:
    kept = [one for layer in state.states or [] for one in layer if one.ndim and one.shape[0] == BATCH]
    return [state.memories, state.recent, state.prompt, *kept]


def assert_close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=TOLERANCES["parallel against step", "float64"])


CASES: list[tuple[ModelConfig, dict[str, Any]]] = [
    (CONFIG, {}),
    (replace(CONFIG, loops=2, inject=True, tied=True), {"key_width": 5, "memories": 2}),
    (CONFIG, {"segment": 1, "sensory": 1}),
    (CONFIG, {"segment": 5, "sensory": 5, "memories": 1}),
]


@pytest.mark.parametrize("config, options", CASES)
def test_step_by_step_equals_all_at_once(config, options):
    model, tokens = make(config, **options), ids(45)
    with torch.no_grad():
        want, states = steps(model, tokens)
        for length in (1, 7, 8, 9, 45):
            logits, state = model.prefill(tokens[:, :length])
            assert_close(logits, want[:, :length])
            for got, one in zip(tensors(state), tensors(states[length]), strict=True):
                assert_close(got, one)
        for cut in (3, 8, 20):
            logits, _ = model.prefill(tokens[:, cut:], states[cut])
            assert_close(logits, want[:, cut:])


@pytest.mark.parametrize("config, options", CASES)
def test_declared_state_and_parameters_are_measured(config, options):
    model, tokens = make(config, **options), ids(45)
    with torch.no_grad():
        _, states = steps(model, tokens)
    for t, state in enumerate(states):
        assert model.state_elements(t) == sum(one.numel() for one in tensors(state)) / BATCH, t
    own = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in model.model.parameters())
    assert model.parameters_count() == own


def test_the_future_does_not_matter_and_old_segments_do():
    model, tokens = make(), ids(40)
    with torch.no_grad():
        before = model(tokens)
        for at in (2, 8, 15, 21):
            changed = tokens.clone()
            changed[:, at] = (changed[:, at] + 1) % 50
            moved = (model(changed) - before).abs().amax((0, 2))
            assert moved[:at].max() < 1e-12
            assert moved[at] > 1e-6
            assert moved[39] > 1e-12  # through memories, the segments between being forgotten


def test_passes_written_out():
    """Three segments of 8 tokens, the last of 4; memories are raw values of the recall."""
    model, tokens = make(), ids(20)
    x = model.model.embedding(tokens) * math.sqrt(16)
    token = model.token.expand(BATCH, 1, -1)

    def f(*parts: torch.Tensor) -> torch.Tensor:
        rows = torch.cat(parts, 1)
        for block in model.model.blocks:
            rows = block(rows)
        return model.model.norm(rows)

    with torch.no_grad():
        first = f(token, x[:, :8], token)
        second = f(first[:, -1:], x[:, 5:8], x[:, 8:16], first[:, -1:])  # of one memory, the recall is that memory
        memories = torch.cat([first[:, -1:], second[:, -1:]], 1)
        summary = f(token, x[:, 13:16], token)[:, -1]
        scores = torch.einsum("bk,bnk->bn", summary @ model.query.weight.T, memories @ model.key.weight.T) / 4
        recalled = torch.einsum("bn,bnd->bd", scores.softmax(-1), memories)[:, None]
        third = f(recalled, x[:, 13:16], x[:, 16:])
        rows = torch.cat([first[:, 1:9], second[:, 4:12], third[:, 4:]], 1)
        logits, state = model.prefill(tokens)
        assert_close(logits, model.model.head(rows))
        assert_close(state.memories, memories)
        assert_close(state.prompt, recalled)


def test_gradients_reach_the_memory():
    model = make()
    model(ids(30)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_state_between_segments_at_full_shape():
    config = ModelConfig(8, 2048, ({"mixer": "attention", "heads": 16},), 0)
    with torch.device("meta"):
        model = SegmentMemoryModel(LanguageModel(config), segment=1024, sensory=32, memories=300)
    assert model.state_elements(300 * 1024) == model.state_elements(1000 * 1024) == 679_936
    assert model.state_elements(1024) == 33 * 2048


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sensory": 0}, "sensory: from 1 to the segment's 8 tokens, got 0"),
        ({"sensory": 9}, "sensory: from 1 to the segment's 8 tokens, got 9"),
        ({"memories": 0}, "memories: at least 1, got 0"),
        ({"key_width": 0}, "key_width: at least 1, got 0"),
    ],
)
def test_bad_shapes(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
