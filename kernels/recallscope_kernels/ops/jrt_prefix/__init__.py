"""Prefix linear attention of JRT: Based from a state that has encoded a whole prefix."""

from recallscope_kernels.ops.jrt_prefix.cost import jrt_prefix_cost as jrt_prefix_cost
from recallscope_kernels.ops.jrt_prefix.cost import prefix_length as prefix_length
from recallscope_kernels.ops.jrt_prefix.op import jrt_prefix as jrt_prefix
from recallscope_kernels.ops.jrt_prefix.reference import jrt_prefix_reference as jrt_prefix_reference
