"""Mixers with a state carried from block to block, against loops over tokens in float64 from the papers' equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from recallscope.architectures.counting import count_flops
from recallscope.architectures.mixers import BlockRecurrent, RecurrentTransformer

LENGTHS = (1, 4, 5, 6, 10, 11, 17)
WIDTH = 16


def make(mixer: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    for name, parameter in mixer.named_parameters():
        if name != "alpha":
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return mixer.double().eval()


def inputs(length: int) -> torch.Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(length), dtype=torch.float64)


def normed(x: torch.Tensor, norm: Any) -> torch.Tensor:
    x = x - x.mean(-1, keepdim=True)
    y = x / (x.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight
    return y if norm.bias is None else y + norm.bias


def softmax_read(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, bias: Any = 0.0) -> torch.Tensor:
    """One query `[B, H K]` to keys and values `[B, N, H K]`: `[B, H K]`."""
    q, k, v = (u.unflatten(-1, (heads, -1)) for u in (q, k, v))
    z = torch.einsum("bhk,bnhk->bhn", q, k) / math.sqrt(q.shape[-1]) + bias
    return torch.einsum("bhn,bnhk->bhk", z.exp() / z.exp().sum(-1, keepdim=True), v).flatten(1)


def block_recurrent_reference(mixer: Any, x: torch.Tensor) -> torch.Tensor:
    h, w, slots = mixer.heads, mixer.window, range(mixer.states)
    q1, q2, k, v = (x @ mixer.qkv.weight.T).chunk(4, -1)
    c, outputs = x.new_zeros(x.shape[0], mixer.states, WIDTH), []
    for t in range(x.shape[1]):
        read = normed(c + mixer.slot, mixer.state_norm)
        k_c, v_c = (read @ mixer.state_kv.weight.T).chunk(2, -1)
        seen = list(range(max(0, t - w + 1), t + 1))
        bias = torch.stack([mixer.distance_bias[:, t - i] for i in seen], -1)
        both = [softmax_read(q1[:, t], k[:, seen], v[:, seen], h, bias), softmax_read(q2[:, t], k_c, v_c, h)]
        outputs.append(torch.cat(both, -1) @ mixer.out.weight.T)
        if t % w == w - 1:
            p1, p2 = (read @ mixer.state_query.weight.T).chunk(2, -1)
            own = torch.stack([softmax_read(p1[:, s], k_c, v_c, h) for s in slots], 1)
            tokens = torch.stack([softmax_read(p2[:, s], k[:, seen], v[:, seen], h) for s in slots], 1)
            u = torch.cat([own, tokens], -1) @ mixer.state_out.weight.T @ mixer.update.weight.T + mixer.update.bias
            if mixer.gate == "fixed":
                g = 1 / (1 + (-mixer.keep).exp())
                c = c * g + u * (1 - g)
            else:
                z, i, f = u.chunk(3, -1)
                c = c * torch.sigmoid(f + 1) + z.tanh() * torch.sigmoid(i - 1)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("gate", ["fixed", "lstm"])
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_block_recurrent_against_a_loop_over_tokens(length, gate):
    mixer, x = make(BlockRecurrent(WIDTH, 2, 6, states=3, window=5, gate=gate)), inputs(length)
    torch.testing.assert_close(mixer(x), block_recurrent_reference(mixer, x), rtol=0, atol=1e-10)


@torch.no_grad()
def test_the_state_changes_with_the_last_token_of_a_block_only():
    mixer, x = make(BlockRecurrent(WIDTH, 2, states=3, window=5)), inputs(12)
    state, changed = mixer.init_state(2), []
    for t in range(12):
        _, after = mixer.step(x[:, t], state)
        changed.append(not torch.equal(after[0], state[0]))
        state = after
    assert [t for t in range(12) if changed[t]] == [4, 9]


@torch.no_grad()
def test_states_that_are_kept_whole_stay_at_zero():
    mixer, x = make(BlockRecurrent(WIDTH, 2, states=3, window=5)), inputs(12)
    mixer.keep.fill_(1e3)
    assert not mixer.prefill(x)[1][0].any()


@pytest.mark.parametrize("length", [9, 10, 11])
def test_an_update_that_nothing_reads_is_not_trained(length):
    mixer = BlockRecurrent(WIDTH, 2, states=3, window=5)
    with count_flops() as training:
        mixer(torch.randn(2, length, WIDTH, requires_grad=True)).sum().backward()
    assert mixer.training_flops(length, 2) == training.flops


def layer_reference(mixer: Any, window: torch.Tensor) -> torch.Tensor:
    """T: one pre-norm transformer layer, causal, on all rows of a window."""
    read = normed(window, mixer.norm)
    q = read @ mixer.query.weight.T
    k, v = (read @ mixer.kv.weight.T).chunk(2, -1)
    rows = [softmax_read(q[:, i], k[:, : i + 1], v[:, : i + 1], mixer.heads) for i in range(window.shape[1])]
    u = window + torch.stack(rows, 1) @ mixer.out.weight.T
    hidden = normed(u, mixer.ffn_norm) @ mixer.ffn["up"].weight.T
    hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return u + hidden @ mixer.ffn["down"].weight.T


def recurrent_transformer_reference(mixer: Any, x: torch.Tensor) -> torch.Tensor:
    """The paper's recurrence on whole windows [first half; second half], closed by T on the first half alone."""
    w, alpha = mixer.block, mixer.alpha.item() if mixer.accumulate else 0.0
    blocks = [block + mixer.position[: block.shape[1]] for block in x.split(w, 1)]
    h_before, h, outputs = torch.zeros_like(blocks[0]), layer_reference(mixer, blocks[0]), []
    for block in blocks[1:]:
        first, second = h + alpha * h_before, block + alpha * h_before[:, : block.shape[1]]
        window = layer_reference(mixer, torch.cat([first, second], 1))
        outputs.append(window[:, :w])
        h_before, h = h, window[:, w:]
    return torch.cat([*outputs, layer_reference(mixer, h + alpha * h_before[:, : h.shape[1]])], 1)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("block", [1, 5])
@pytest.mark.parametrize("length", LENGTHS)
@torch.no_grad()
def test_recurrent_transformer_against_its_windows(length, block, accumulate):
    mixer, x = make(RecurrentTransformer(WIDTH, 2, block, accumulate)), inputs(length)
    torch.testing.assert_close(mixer(x), recurrent_transformer_reference(mixer, x), rtol=0, atol=1e-10)


@torch.no_grad()
def test_accumulating_nothing_is_forgetting():
    x = inputs(17)
    forget, accumulate = (make(RecurrentTransformer(WIDTH, 2, 5, variant)) for variant in (False, True))
    accumulate.load_state_dict(forget.state_dict(), strict=False)
    accumulate.alpha.fill_(-1.0)  # clamped to 0
    torch.testing.assert_close(accumulate(x), forget(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name, options, elements",
    [
        (BlockRecurrent, {"heads": 16, "states": 512, "window": 512}, (3_145_728, 3_145_728)),
        (RecurrentTransformer, {"block": 512}, (1_048_576, 1_048_576)),
        (RecurrentTransformer, {"block": 512, "accumulate": True}, (2_097_152, 2_097_152)),
    ],
)
def test_state_sizes_at_width_2048(name, options, elements):
    with torch.device("meta"):
        mixer = name(2048, **options)
    assert (mixer.state_elements(4096), mixer.state_elements(131_072)) == elements


def test_state_sizes_of_the_recurrent_transformers_of_the_paper():
    """Copying: blocks of 32 at width 96, accumulating; text: one token at width 384, forgetting."""
    with torch.device("meta"):
        copying = RecurrentTransformer(96, block=32, accumulate=True)
        text = RecurrentTransformer(384, heads=6, block=1)
    assert (copying.state_elements(4096), text.state_elements(1000)) == (6_144, 384)


@pytest.mark.parametrize(
    "make_bad, message",
    [
        (lambda: BlockRecurrent(30, heads=4), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: BlockRecurrent(32, states=0), "states: at least 1, got 0"),
        (lambda: BlockRecurrent(32, window=0), "window: at least 1, got 0"),
        (lambda: BlockRecurrent(32, gate="gru"), "gate: fixed or lstm, got 'gru'"),
        (lambda: RecurrentTransformer(30, heads=4), "heads: must divide the width, got width 30 and heads 4"),
        (lambda: RecurrentTransformer(32, block=0), "block: at least 1 token, got 0"),
    ],
)
def test_bad_shapes(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()
