"""Based: linear attention on second-order Taylor features, normalised."""

from recallscope_kernels.ops.based.cost import based_cost as based_cost
from recallscope_kernels.ops.based.decode import based_decode as based_decode
from recallscope_kernels.ops.based.op import based as based
from recallscope_kernels.ops.based.reference import based_reference as based_reference
from recallscope_kernels.ops.based.reference import feature_count as feature_count
from recallscope_kernels.ops.based.reference import taylor_features as taylor_features
