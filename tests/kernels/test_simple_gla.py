"""Simple gated linear attention is the recurrence of mixers that the architectures have on their own."""

from __future__ import annotations

import torch
from kernel_cases import assert_close, make, some_state
from recallscope_kernels import simple_gla


def test_simple_gla_is_retention():
    """Outputs and state of the mixer of the architectures, whose decays are fixed."""
    from recallscope.architectures.mixers.retention import Retention

    torch.manual_seed(0)
    mixer = Retention(16, heads=2, chunk=7).double()
    x = torch.randn(2, 30, 16, dtype=torch.float64)
    want, (state, _) = mixer.prefill(x)
    q, k, v = mixer._project(x, torch.zeros((), dtype=torch.long))
    log_decay = torch.tensor([1 - 2**-5, 1 - 2**-6], dtype=torch.float64).log().expand(2, 30, 2)
    o, last = simple_gla(q, k, v, log_decay, scale=1.0, output_final_state=True)
    assert_close("outputs", mixer._finish(o, x), want, torch.float64)
    assert_close("state", last, state, torch.float64)  # type: ignore[arg-type]


def test_simple_gla_is_mamba_2_with_keys_of_a_group():
    from recallscope.architectures.mixers.mamba2 import shared_key_attention

    c, b, value, log_decay = make("simple_gla", 70, torch.float64, 8, 5)
    c, b, state = c[:, :, :1], b[:, :, :1], some_state("simple_gla", torch.float64, 8, 5)
    want, last = shared_key_attention(c, b, value, state, log_decay[..., None], 16)
    queries, keys = (u.expand(-1, -1, 2, -1) for u in (c, b))
    got = simple_gla(queries, keys, value, log_decay, scale=1.0, initial_state=state, output_final_state=True)
    assert_close("outputs", got[0], want, torch.float64)
    assert_close("state", got[1], last, torch.float64)  # type: ignore[arg-type]


def test_strong_decay_forgets_and_does_not_overflow():
    """ln α = -1,000: what came before weighs e^-1000, so each token reads itself alone."""
    q, k, v, _ = make("simple_gla", 70, torch.float32)
    o, _ = simple_gla(q, k, v, torch.full((2, 70, 2), -1e3), scale=1.0)
    assert_close("outputs", o, (q.double() * k.double()).sum(-1, keepdim=True) * v.double(), torch.float32)
