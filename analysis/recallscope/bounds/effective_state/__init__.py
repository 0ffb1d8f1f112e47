"""Effective state: how much of its past a layer's operator really passes on, against what the layer has room for."""

from recallscope.bounds.effective_state.recurrence import (
    effective_state_from_recurrence as effective_state_from_recurrence,
)
from recallscope.bounds.effective_state.spectrum import EffectiveState as EffectiveState
from recallscope.bounds.effective_state.spectrum import effective_state as effective_state

# What needs torch is imported from its own module: `operators` (operators of mixers) and `utilisation` (of models).
