"""Figures of measured operators: evidence of `measured_rows` and `roof_rows` in, plotly figures out."""

from recallscope.profiling.plots.decoding import decoding_costs as decoding_costs
from recallscope.profiling.plots.roofline import roofline_figure as roofline_figure
from recallscope.profiling.plots.time import time_against_length as time_against_length
from recallscope.profiling.plots.traffic import traffic_inefficiency as traffic_inefficiency
