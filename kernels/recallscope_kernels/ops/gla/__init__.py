"""Gated linear attention: a decay for each channel of the keys."""

from recallscope_kernels.ops.gla.chunked import chunked_gla as chunked_gla
from recallscope_kernels.ops.gla.cost import gla_cost as gla_cost
from recallscope_kernels.ops.gla.decode import channel_decode as channel_decode
from recallscope_kernels.ops.gla.decode import gla_decode as gla_decode
from recallscope_kernels.ops.gla.op import gla as gla
from recallscope_kernels.ops.gla.reference import gla_reference as gla_reference
from recallscope_kernels.ops.gla.scores import channel_decay_scores as channel_decay_scores
