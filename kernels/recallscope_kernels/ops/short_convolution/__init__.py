"""Causal convolution of each channel over a few tokens, with SiLU or without."""

from recallscope_kernels.ops.short_convolution.cost import short_convolution_cost as short_convolution_cost
from recallscope_kernels.ops.short_convolution.decode import short_convolution_decode as short_convolution_decode
from recallscope_kernels.ops.short_convolution.op import short_convolution as short_convolution
from recallscope_kernels.ops.short_convolution.reference import (
    short_convolution_reference as short_convolution_reference,
)
