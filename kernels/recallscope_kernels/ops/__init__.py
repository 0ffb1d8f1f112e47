"""Operators: float64 references, fast paths and costs, all on `[B, T, H, K]`."""

from recallscope_kernels.ops._operands import decoding as decoding
from recallscope_kernels.ops._operands import operands as operands
from recallscope_kernels.ops._shape import Cost as Cost
from recallscope_kernels.ops._shape import Shape as Shape
from recallscope_kernels.ops._shape import check_mode as check_mode
from recallscope_kernels.ops._table import OPERATORS as OPERATORS
from recallscope_kernels.ops._table import Operator as Operator
from recallscope_kernels.ops._table import operator_by_name as operator_by_name
