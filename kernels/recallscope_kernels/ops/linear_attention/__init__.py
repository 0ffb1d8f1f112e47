"""Linear attention without a normaliser: without decay, or with one number a token and head."""

from recallscope_kernels.ops.linear_attention.cost import linear_attention_cost as linear_attention_cost
from recallscope_kernels.ops.linear_attention.cost import simple_gla_cost as simple_gla_cost
from recallscope_kernels.ops.linear_attention.decode import linear_attention_decode as linear_attention_decode
from recallscope_kernels.ops.linear_attention.decode import simple_gla_decode as simple_gla_decode
from recallscope_kernels.ops.linear_attention.op import linear_attention as linear_attention
from recallscope_kernels.ops.linear_attention.op import simple_gla as simple_gla
from recallscope_kernels.ops.linear_attention.reference import linear_attention_reference as linear_attention_reference
from recallscope_kernels.ops.linear_attention.reference import simple_gla_reference as simple_gla_reference
