"""Operands to try an operator on, and a decoding step that is ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops._shape import Shape
from recallscope_kernels.ops._table import OPERATORS
from recallscope_kernels.ops.attention import attention_decode
from recallscope_kernels.ops.based import based_decode, feature_count
from recallscope_kernels.ops.fft_convolution import fft_convolution_decode
from recallscope_kernels.ops.gla import gla_decode
from recallscope_kernels.ops.jrt_prefix import prefix_length
from recallscope_kernels.ops.kda import kda_decode
from recallscope_kernels.ops.lightning import lightning_decode
from recallscope_kernels.ops.matrix_state import matrix_decode
from recallscope_kernels.ops.rwkv7 import rwkv7_decode
from recallscope_kernels.ops.selective_scan import selective_scan_decode
from recallscope_kernels.ops.short_convolution import short_convolution_decode
from recallscope_kernels.ops.short_convolution.cost import TAPS
from recallscope_kernels.ops.window_attention import window_attention_decode
from recallscope_kernels.ops.window_attention.reference import WINDOW

STEPS = {"gla": gla_decode, "kda": kda_decode, "rwkv7": rwkv7_decode, "selective_scan": selective_scan_decode}


def operands(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0
) -> list[Tensor]:
    """q, k, v and what else an operator takes: standard normal, keys of length 1 and β in (0, 1) for the delta rules.

    ln α is from -0.1 to 0, and so are Mamba's steps and rates from 0 to 0.1 and to 1; a prefix has half the tokens;
    RWKV-7's a has length 1 and b is from -a to 0. A convolution has as many taps as tokens, of variance 1 / T; a short
    one has 4, of variance 1 / 4.
    """
    generator, extra = torch.Generator(device).manual_seed(seed), OPERATORS[name].extra
    here = {"generator": generator, "device": device}
    gate, prefix = (shape.B, shape.T, shape.H), (shape.B, prefix_length(shape.T), shape.H)
    made = [torch.randn(*gate, n, **here) for n in (shape.K, shape.K, shape.V)]
    if "beta" in extra:
        made[1] = normalize(made[1], dim=-1)
        made.append(torch.rand(gate, **here))
    if "log_decay" in extra:
        made.append(-0.1 * torch.rand(gate, **here))
    if "channel_decay" in extra:
        made.append(-0.1 * torch.rand(*gate, shape.K, **here))
    if "a" in extra:
        sought = normalize(torch.randn(*gate, shape.K, **here), dim=-1)
        made += [sought, -sought * torch.rand(*gate, shape.K, **here)]
    if "step" in extra:
        made += [0.1 * torch.rand(*gate, shape.V, **here), torch.rand(shape.H, shape.K, shape.V, **here)]
    if "prefix" in extra:
        made += [torch.randn(*prefix, n, **here) for n in (shape.K, shape.V)]
    if "taps" in extra:
        made = [made[2], torch.randn(shape.T, shape.H, shape.V, **here) * shape.T**-0.5]
    if "short_taps" in extra:
        made = [made[2], torch.randn(TAPS, shape.H, shape.V, **here) * TAPS**-0.5]
    return [u.to(dtype) for u in made]


def decoding(
    name: str, shape: Shape, dtype: torch.dtype = torch.float32, device: str = "cpu", implementation: str | None = None
) -> Callable[[], Tensor]:
    """One decoding step after T tokens of context, as a call without arguments: states are there, and kept in place."""
    steps = OPERATORS[name].steps
    if implementation not in (None, *steps):
        raise ValueError(f"operator: decoding of {name} has {', '.join(steps)}, got {implementation!r}")
    token = operands(name, replace(shape, T=1), dtype, device)
    if name in ("attention", "window_attention", "fft_convolution"):
        return _cached(name, shape, token, dtype, device, implementation)
    if name == "short_convolution":
        inputs = operands(name, replace(shape, T=TAPS - 1), dtype, device, seed=1)[0]
        return lambda: short_convolution_decode(token[0], token[1], inputs, implementation=implementation)
    chosen = {"chunked": "torch"}.get(implementation or "", implementation)
    taylor = name in ("based", "jrt_prefix")
    size = (feature_count(shape.K), shape.V + 1) if taylor else (shape.K, shape.V)
    state = torch.ones(shape.B, shape.H, *size, dtype=sum_dtype(token[0]), device=device)
    if taylor:
        return lambda: based_decode(*token[:3], state=state, implementation=chosen)
    if name == "lightning":
        return lambda: lightning_decode(*token, state=state, implementation=chosen)
    if name in STEPS:
        return lambda: STEPS[name](*token, state)
    q, k, v, *rest = token
    gates = dict(zip(OPERATORS[name].extra, rest, strict=True))
    return lambda: matrix_decode(q, k, v, gates.get("beta"), gates.get("log_decay"), state, None, chosen)


def _cached(
    name: str, shape: Shape, token: list[Tensor], dtype: torch.dtype, device: str, implementation: str | None
) -> Callable[[], Tensor]:
    """Of the operators whose state is a cache: of all tokens and one more place, or of a window's."""
    past = replace(shape, T=WINDOW if name == "window_attention" else shape.T + 1)
    kept = operands(name, past, dtype, device, seed=1)
    if name == "fft_convolution":
        return lambda: fft_convolution_decode(token[0], kept[1], kept[0], shape.T)
    step = attention_decode if name == "attention" else window_attention_decode
    return lambda: step(*token, *kept[1:], length=shape.T, implementation=implementation)
