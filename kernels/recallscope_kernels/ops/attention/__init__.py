"""Causal softmax attention: torch's backends, each by name."""

from recallscope_kernels.ops.attention.cost import attention_cost as attention_cost
from recallscope_kernels.ops.attention.decode import attention_decode as attention_decode
from recallscope_kernels.ops.attention.op import attention as attention
from recallscope_kernels.ops.attention.reference import attention_reference as attention_reference
