"""The selective scan of Mamba: each element of the state decays at a rate of its own."""

from recallscope_kernels.ops.selective_scan.chunked import chunked_selective_scan as chunked_selective_scan
from recallscope_kernels.ops.selective_scan.cost import selective_scan_cost as selective_scan_cost
from recallscope_kernels.ops.selective_scan.decode import selective_scan_decode as selective_scan_decode
from recallscope_kernels.ops.selective_scan.op import selective_scan as selective_scan
from recallscope_kernels.ops.selective_scan.reference import selective_scan_reference as selective_scan_reference
from recallscope_kernels.ops.selective_scan.scan import scan_ as scan_
from recallscope_kernels.ops.selective_scan.scan import scan_chunk_flops as scan_chunk_flops
