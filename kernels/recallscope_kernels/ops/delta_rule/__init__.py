"""The delta rule and its gated form."""

from recallscope_kernels.ops.delta_rule.chunked import chunked_delta_rule as chunked_delta_rule
from recallscope_kernels.ops.delta_rule.cost import delta_rule_cost as delta_rule_cost
from recallscope_kernels.ops.delta_rule.cost import gated_delta_rule_cost as gated_delta_rule_cost
from recallscope_kernels.ops.delta_rule.decode import delta_rule_decode as delta_rule_decode
from recallscope_kernels.ops.delta_rule.op import delta_rule as delta_rule
from recallscope_kernels.ops.delta_rule.op import gated_delta_rule as gated_delta_rule
from recallscope_kernels.ops.delta_rule.reference import delta_rule_reference as delta_rule_reference
