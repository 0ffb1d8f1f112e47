"""How many pairs a memory rule recalls: predicted, simulated, and both on one plot. No training, no torch."""

from recallscope.bounds.capacity.bits import recalled_bits as recalled_bits
from recallscope.bounds.capacity.bits import state_bits as state_bits
from recallscope.bounds.capacity.curves import capacity_curve as capacity_curve
from recallscope.bounds.capacity.curves import largest_difference as largest_difference
from recallscope.bounds.capacity.memory import RULES as RULES
from recallscope.bounds.capacity.memory import Memory as Memory
from recallscope.bounds.capacity.memory import state_elements as state_elements
from recallscope.bounds.capacity.plot import capacity_figure as capacity_figure
from recallscope.bounds.capacity.prediction import predicted_accuracy as predicted_accuracy
from recallscope.bounds.capacity.simulation import Estimate as Estimate
from recallscope.bounds.capacity.simulation import simulated_accuracy as simulated_accuracy
from recallscope.bounds.capacity.thresholds import additive_pairs_scale as additive_pairs_scale
from recallscope.bounds.capacity.thresholds import linear_memory_width_scale as linear_memory_width_scale
