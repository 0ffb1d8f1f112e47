"""Linear attention without decay or normaliser."""

from recallscope_kernels.ops.linear_attention.cost import linear_attention_cost as linear_attention_cost
from recallscope_kernels.ops.linear_attention.decode import linear_attention_decode as linear_attention_decode
from recallscope_kernels.ops.linear_attention.op import linear_attention as linear_attention
from recallscope_kernels.ops.linear_attention.reference import linear_attention_reference as linear_attention_reference
