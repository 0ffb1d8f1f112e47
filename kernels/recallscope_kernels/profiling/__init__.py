"""Measured time beside useful and executed FLOPs, bytes of the fused limit, and measured roofs."""

from recallscope_kernels.profiling.device import PEAKS as PEAKS
from recallscope_kernels.profiling.device import Device as Device
from recallscope_kernels.profiling.device import device_facts as device_facts
from recallscope_kernels.profiling.measure import Measurement as Measurement
from recallscope_kernels.profiling.measure import crossing_length as crossing_length
from recallscope_kernels.profiling.measure import measure as measure
from recallscope_kernels.profiling.roofs import Roofs as Roofs
from recallscope_kernels.profiling.roofs import faster as faster
from recallscope_kernels.profiling.roofs import measured_roofs as measured_roofs
from recallscope_kernels.profiling.timer import Timing as Timing
from recallscope_kernels.profiling.timer import time_calls as time_calls
