"""Softmax attention over a sliding window: blocks in torch, FlexAttention, FlashAttention."""

from recallscope_kernels.ops.window_attention.blocked import blocked_window_attention as blocked_window_attention
from recallscope_kernels.ops.window_attention.cost import window_attention_cost as window_attention_cost
from recallscope_kernels.ops.window_attention.decode import window_attention_decode as window_attention_decode
from recallscope_kernels.ops.window_attention.op import window_attention as window_attention
from recallscope_kernels.ops.window_attention.reference import window_attention_reference as window_attention_reference
