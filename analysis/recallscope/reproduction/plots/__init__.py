"""Figures of papers with published points (hollow) beside own ones (filled): tables in, plotly figures out.

Every function takes rows of evidence, returns a plotly `Figure`, shows nothing, and raises `ValueError` for a table
without the rows that it draws. Missing values are left out of the drawing, never drawn as 0.
"""

from recallscope.reproduction.plots.against import accuracy_against_window as accuracy_against_window
from recallscope.reproduction.plots.against import accuracy_by_feature_map as accuracy_by_feature_map
from recallscope.reproduction.plots.against import accuracy_of_sets as accuracy_of_sets
from recallscope.reproduction.plots.against import recall_by_pairs as recall_by_pairs
from recallscope.reproduction.plots.bigrams import loss_by_training_count as loss_by_training_count
from recallscope.reproduction.plots.bigrams import repeats_by_distance as repeats_by_distance
from recallscope.reproduction.plots.frontiers import quality_against_cost as quality_against_cost
from recallscope.reproduction.plots.gaps import recall_share_of_gap as recall_share_of_gap
from recallscope.reproduction.plots.languages import languages_by_examples as languages_by_examples
from recallscope.reproduction.plots.prefill import prefill_latency as prefill_latency
from recallscope.reproduction.plots.prompts import accuracy_by_length as accuracy_by_length
from recallscope.reproduction.plots.prompts import gain_of_second_reading as gain_of_second_reading
from recallscope.reproduction.plots.recall import recall_beside_published as recall_beside_published
from recallscope.reproduction.plots.recall import recall_by_width as recall_by_width
from recallscope.reproduction.plots.recall_distance import loss_by_count_and_distance as loss_by_count_and_distance
from recallscope.reproduction.plots.recall_law import loss_against_state as loss_against_state
from recallscope.reproduction.plots.recurrent_transformer import copy_and_text_curves as copy_and_text_curves
from recallscope.reproduction.plots.throughput import prefill_and_decoding as prefill_and_decoding
