"""Causal convolution over as many tokens as there are taps, by FFT."""

from recallscope_kernels.ops.fft_convolution.cost import fft_convolution_cost as fft_convolution_cost
from recallscope_kernels.ops.fft_convolution.decode import fft_convolution_decode as fft_convolution_decode
from recallscope_kernels.ops.fft_convolution.op import fft_convolution as fft_convolution
from recallscope_kernels.ops.fft_convolution.reference import fft_convolution_reference as fft_convolution_reference
