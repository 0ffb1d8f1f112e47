"""All figures by name: tables and reports in, plotly figures out; nothing is shown. Loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.architectures.plots import cost_against_length as cost_against_length
    from recallscope.bounds.capacity import capacity_figure as capacity_figure
    from recallscope.bounds.dataflow import dataflow_figure as dataflow_figure
    from recallscope.bounds.demand.plots import gain_against_state as gain_against_state
    from recallscope.bounds.demand.plots import served_against_size as served_against_size
    from recallscope.budgets import perplexity_against_budgets as perplexity_against_budgets
    from recallscope.budgets import region_figure as region_figure
    from recallscope.frontier import accuracy_against_state as accuracy_against_state
    from recallscope.frontier import frontier_figure as frontier_figure
    from recallscope.frontier import state_vs_recall_figure as state_vs_recall_figure
    from recallscope.profiling.plots import decoding_costs as decoding_costs
    from recallscope.profiling.plots import roofline_figure as roofline_figure
    from recallscope.profiling.plots import time_against_length as time_against_length
    from recallscope.profiling.plots import traffic_inefficiency as traffic_inefficiency
    from recallscope.reproduction.plots import accuracy_against_window as accuracy_against_window
    from recallscope.reproduction.plots import accuracy_by_feature_map as accuracy_by_feature_map
    from recallscope.reproduction.plots import accuracy_by_length as accuracy_by_length
    from recallscope.reproduction.plots import accuracy_of_sets as accuracy_of_sets
    from recallscope.reproduction.plots import copy_and_text_curves as copy_and_text_curves
    from recallscope.reproduction.plots import gain_of_second_reading as gain_of_second_reading
    from recallscope.reproduction.plots import languages_by_examples as languages_by_examples
    from recallscope.reproduction.plots import loss_against_state as loss_against_state
    from recallscope.reproduction.plots import loss_by_count_and_distance as loss_by_count_and_distance
    from recallscope.reproduction.plots import loss_by_training_count as loss_by_training_count
    from recallscope.reproduction.plots import prefill_and_decoding as prefill_and_decoding
    from recallscope.reproduction.plots import prefill_latency as prefill_latency
    from recallscope.reproduction.plots import quality_against_cost as quality_against_cost
    from recallscope.reproduction.plots import recall_beside_published as recall_beside_published
    from recallscope.reproduction.plots import recall_by_pairs as recall_by_pairs
    from recallscope.reproduction.plots import recall_by_width as recall_by_width
    from recallscope.reproduction.plots import recall_share_of_gap as recall_share_of_gap
    from recallscope.reproduction.plots import repeats_by_distance as repeats_by_distance
    from recallscope.scaling.plots import constants_of_laws as constants_of_laws
    from recallscope.scaling.plots import efficient_exponent_against_beta as efficient_exponent_against_beta
    from recallscope.scaling.plots import residuals_of_fit as residuals_of_fit
    from recallscope.slicing.report.plots import loss_gap_by_count as loss_gap_by_count
    from recallscope.slicing.report.plots import loss_gap_by_distance as loss_gap_by_distance
    from recallscope.slicing.report.plots import loss_gap_by_position as loss_gap_by_position
    from recallscope.slicing.report.plots import share_by_threshold as share_by_threshold
    from recallscope.slicing.report.plots import waterfall as waterfall
    from recallscope.training.sweeps.plots import accuracy_against_pairs as accuracy_against_pairs
    from recallscope.training.sweeps.plots import accuracy_against_rate as accuracy_against_rate
    from recallscope.training.sweeps.plots import accuracy_against_width as accuracy_against_width
    from recallscope.training.sweeps.plots import read_curves as read_curves
    from recallscope.training.sweeps.plots import seed_spread as seed_spread
    from recallscope.training.sweeps.plots import training_curves as training_curves

_WHERE = {
    "cost_against_length": "recallscope.architectures.plots",
    "capacity_figure": "recallscope.bounds.capacity",
    "dataflow_figure": "recallscope.bounds.dataflow",
    "gain_against_state": "recallscope.bounds.demand.plots",
    "served_against_size": "recallscope.bounds.demand.plots",
    "perplexity_against_budgets": "recallscope.budgets",
    "region_figure": "recallscope.budgets",
    "accuracy_against_state": "recallscope.frontier",
    "frontier_figure": "recallscope.frontier",
    "state_vs_recall_figure": "recallscope.frontier",
    "decoding_costs": "recallscope.profiling.plots",
    "roofline_figure": "recallscope.profiling.plots",
    "time_against_length": "recallscope.profiling.plots",
    "traffic_inefficiency": "recallscope.profiling.plots",
    "accuracy_against_window": "recallscope.reproduction.plots",
    "accuracy_by_feature_map": "recallscope.reproduction.plots",
    "accuracy_by_length": "recallscope.reproduction.plots",
    "loss_against_state": "recallscope.reproduction.plots",
    "copy_and_text_curves": "recallscope.reproduction.plots",
    "accuracy_of_sets": "recallscope.reproduction.plots",
    "gain_of_second_reading": "recallscope.reproduction.plots",
    "languages_by_examples": "recallscope.reproduction.plots",
    "loss_by_count_and_distance": "recallscope.reproduction.plots",
    "loss_by_training_count": "recallscope.reproduction.plots",
    "prefill_and_decoding": "recallscope.reproduction.plots",
    "prefill_latency": "recallscope.reproduction.plots",
    "quality_against_cost": "recallscope.reproduction.plots",
    "recall_beside_published": "recallscope.reproduction.plots",
    "recall_by_pairs": "recallscope.reproduction.plots",
    "recall_by_width": "recallscope.reproduction.plots",
    "recall_share_of_gap": "recallscope.reproduction.plots",
    "repeats_by_distance": "recallscope.reproduction.plots",
    "constants_of_laws": "recallscope.scaling.plots",
    "efficient_exponent_against_beta": "recallscope.scaling.plots",
    "residuals_of_fit": "recallscope.scaling.plots",
    "loss_gap_by_count": "recallscope.slicing.report.plots",
    "loss_gap_by_distance": "recallscope.slicing.report.plots",
    "loss_gap_by_position": "recallscope.slicing.report.plots",
    "share_by_threshold": "recallscope.slicing.report.plots",
    "waterfall": "recallscope.slicing.report.plots",
    "accuracy_against_pairs": "recallscope.training.sweeps.plots",
    "accuracy_against_rate": "recallscope.training.sweeps.plots",
    "accuracy_against_width": "recallscope.training.sweeps.plots",
    "read_curves": "recallscope.training.sweeps.plots",
    "seed_spread": "recallscope.training.sweeps.plots",
    "training_curves": "recallscope.training.sweeps.plots",
}

__getattr__, __dir__ = lazily(__name__, _WHERE)
