"""Limits that hold for every model, whatever its architecture. The formulas need no torch. Loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.bounds.capacity import Memory as Memory
    from recallscope.bounds.capacity import additive_pairs_scale as additive_pairs_scale
    from recallscope.bounds.capacity import capacity_curve as capacity_curve
    from recallscope.bounds.capacity import largest_difference as largest_difference
    from recallscope.bounds.capacity import predicted_accuracy as predicted_accuracy
    from recallscope.bounds.capacity import recalled_bits as recalled_bits
    from recallscope.bounds.capacity import simulated_accuracy as simulated_accuracy
    from recallscope.bounds.dataflow import Cut as Cut
    from recallscope.bounds.dataflow import Wiring as Wiring
    from recallscope.bounds.dataflow import minimum_cut as minimum_cut
    from recallscope.bounds.dataflow import reach as reach
    from recallscope.bounds.dataflow import recall_capacity as recall_capacity
    from recallscope.bounds.dataflow import state_cut as state_cut
    from recallscope.bounds.dataflow import unroll as unroll
    from recallscope.bounds.dataflow import wiring as wiring
    from recallscope.bounds.demand import carried_gain as carried_gain
    from recallscope.bounds.demand import gain_limit as gain_limit
    from recallscope.bounds.demand import selective_capacity as selective_capacity
    from recallscope.bounds.demand import stack_distance as stack_distance
    from recallscope.bounds.effective_state import EffectiveState as EffectiveState
    from recallscope.bounds.effective_state import effective_state_from_recurrence as effective_state_from_recurrence
    from recallscope.bounds.information import Asymptotic as Asymptotic
    from recallscope.bounds.information import accuracy_limit as accuracy_limit
    from recallscope.bounds.information import all_right_limit as all_right_limit
    from recallscope.bounds.information import answer_bits as answer_bits
    from recallscope.bounds.information import answer_sequences as answer_sequences
    from recallscope.bounds.information import binary_depth_limit as binary_depth_limit
    from recallscope.bounds.information import copy_error_limit as copy_error_limit
    from recallscope.bounds.information import copy_length_limit as copy_length_limit
    from recallscope.bounds.information import copy_state_limit as copy_state_limit
    from recallscope.bounds.information import dictionary_bits as dictionary_bits
    from recallscope.bounds.information import disjointness_bits as disjointness_bits
    from recallscope.bounds.information import disjointness_growth as disjointness_growth
    from recallscope.bounds.information import dynamic_extra as dynamic_extra
    from recallscope.bounds.information import incremental_extra as incremental_extra
    from recallscope.bounds.information import membership_bits as membership_bits
    from recallscope.bounds.information import p_hot_depth_limit as p_hot_depth_limit
    from recallscope.bounds.information import pairs_limit as pairs_limit
    from recallscope.bounds.information import recall_depth_growth as recall_depth_growth
    from recallscope.bounds.information import recall_depth_scale as recall_depth_scale
    from recallscope.bounds.information import state_limit as state_limit
    from recallscope.bounds.information import static_retrieval as static_retrieval
    from recallscope.bounds.symbolic import bound_formula as bound_formula

_NAMES = {
    "capacity": (
        "Memory additive_pairs_scale capacity_curve largest_difference predicted_accuracy recalled_bits "
        "simulated_accuracy"
    ),
    "dataflow": "Cut Wiring minimum_cut reach recall_capacity state_cut unroll wiring",
    "demand": "carried_gain gain_limit selective_capacity stack_distance",
    "effective_state": "EffectiveState effective_state_from_recurrence",
    "information": (
        "Asymptotic accuracy_limit all_right_limit answer_bits answer_sequences binary_depth_limit copy_error_limit "
        "copy_length_limit copy_state_limit dictionary_bits disjointness_bits disjointness_growth dynamic_extra "
        "incremental_extra membership_bits p_hot_depth_limit pairs_limit recall_depth_growth recall_depth_scale "
        "state_limit static_retrieval"
    ),
    "symbolic": "bound_formula",
}
_WHERE = {name: f"recallscope.bounds.{module}" for module, names in _NAMES.items() for name in names.split()}

__getattr__, __dir__ = lazily(__name__, _WHERE)
