"""The transforms of a causal convolution, forward and backward; time is the last axis here."""

from __future__ import annotations

from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import pad

from recallscope_kernels.ops._checks import sum_dtype
from recallscope_kernels.ops.fft_convolution.cost import transform_length


def forward(x: Tensor, taps: Tensor, time: int) -> tuple[Tensor, Tensor, Tensor]:
    """The last `time` outputs `[B, T, H, V]`, and spectra of inputs `[B, H, V, n / 2 + 1]` and taps.

    Transforms are long enough for these outputs alone: what wraps around falls on earlier ones.
    """
    length, sums = transform_length(time, len(taps)), sum_dtype(x)
    spectrum, response = (_spectrum(u.movedim(-3, -1).to(sums), length) for u in (x, taps))
    y = irfft(spectrum * response, length)[..., x.shape[1] - time : x.shape[1]]
    return _tokens_first(y, x), spectrum, response


def backward(grad: Tensor, spectrum: Tensor, response: Tensor, inputs: int, taps: int) -> tuple[Tensor, Tensor]:
    """Gradients of inputs and taps: correlations of that of the outputs with the other."""
    length = 2 * (spectrum.shape[-1] - 1)
    placed = pad(grad.movedim(1, -1).to(response.real.dtype), (inputs - grad.shape[1], 0))
    back = _spectrum(placed, length)
    dx = irfft(back * response.conj(), length)[..., :inputs]
    dh = irfft((back * spectrum.conj()).sum(0), length)[..., :taps]
    return _tokens_first(dx, grad), _tokens_first(dh, grad)


def _spectrum(u: Tensor, length: int) -> Tensor:
    return rfft(u, length).contiguous()


def _tokens_first(u: Tensor, like: Tensor) -> Tensor:
    return u.movedim(-1, -3).to(like.dtype).contiguous()
