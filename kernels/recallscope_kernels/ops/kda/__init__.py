"""Kimi delta attention: the delta rule with a decay for each channel of the keys."""

from recallscope_kernels.ops.kda.cost import kda_cost as kda_cost
from recallscope_kernels.ops.kda.decode import kda_decode as kda_decode
from recallscope_kernels.ops.kda.op import kda as kda
from recallscope_kernels.ops.kda.reference import kda_reference as kda_reference
