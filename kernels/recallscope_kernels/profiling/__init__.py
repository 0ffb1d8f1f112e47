"""Measured time beside useful and executed FLOPs, bytes of the fused limit, and measured roofs; counters and energy."""

from recallscope_kernels.profiling.calls import DTYPES as DTYPES
from recallscope_kernels.profiling.calls import Setting as Setting
from recallscope_kernels.profiling.calls import settings_of as settings_of
from recallscope_kernels.profiling.counters import Counts as Counts
from recallscope_kernels.profiling.counting import Counted as Counted
from recallscope_kernels.profiling.counting import check_counters as check_counters
from recallscope_kernels.profiling.counting import count as count
from recallscope_kernels.profiling.device import PEAKS as PEAKS
from recallscope_kernels.profiling.device import Device as Device
from recallscope_kernels.profiling.device import device_facts as device_facts
from recallscope_kernels.profiling.energy import Energy as Energy
from recallscope_kernels.profiling.energy import Meter as Meter
from recallscope_kernels.profiling.energy import energy_meter as energy_meter
from recallscope_kernels.profiling.measure import Measurement as Measurement
from recallscope_kernels.profiling.measure import Missing as Missing
from recallscope_kernels.profiling.measure import crossing_length as crossing_length
from recallscope_kernels.profiling.measure import measure as measure
from recallscope_kernels.profiling.roofs import Roofs as Roofs
from recallscope_kernels.profiling.roofs import faster as faster
from recallscope_kernels.profiling.roofs import measured_roofs as measured_roofs
from recallscope_kernels.profiling.timer import Timing as Timing
from recallscope_kernels.profiling.timer import seconds_of_launch as seconds_of_launch
from recallscope_kernels.profiling.timer import time_calls as time_calls
