"""RWKV-7: a generalised delta rule, that removes along one key and writes along another."""

from recallscope_kernels.ops.rwkv7.chunked import chunked_rwkv7 as chunked_rwkv7
from recallscope_kernels.ops.rwkv7.cost import rwkv7_cost as rwkv7_cost
from recallscope_kernels.ops.rwkv7.decode import rwkv7_decode as rwkv7_decode
from recallscope_kernels.ops.rwkv7.op import rwkv7 as rwkv7
from recallscope_kernels.ops.rwkv7.reference import rwkv7_reference as rwkv7_reference
