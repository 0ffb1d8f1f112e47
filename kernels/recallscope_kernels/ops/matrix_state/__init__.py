"""One step of a matrix state `[K, V]`: decayed, corrected, written and read; what linear mixers share when decoding."""

from recallscope_kernels.ops.matrix_state.op import matrix_decode as matrix_decode
