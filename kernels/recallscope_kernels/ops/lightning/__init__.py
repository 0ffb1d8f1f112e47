"""Lightning attention: linear attention with a fixed decay for each head."""

from recallscope_kernels.ops.lightning.op import lightning as lightning
from recallscope_kernels.ops.lightning.op import lightning_decode as lightning_decode
from recallscope_kernels.ops.lightning.op import lightning_log_decay as lightning_log_decay
from recallscope_kernels.ops.lightning.reference import lightning_reference as lightning_reference
