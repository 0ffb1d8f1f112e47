"""Cuts in the unrolled dataflow of an architecture: what can pass from the past to the future, in elements or bits."""

from recallscope.bounds.dataflow.cuts import Cut as Cut
from recallscope.bounds.dataflow.cuts import minimum_cut as minimum_cut
from recallscope.bounds.dataflow.cuts import recall_capacity as recall_capacity
from recallscope.bounds.dataflow.cuts import state_cut as state_cut
from recallscope.bounds.dataflow.plots import dataflow_figure as dataflow_figure
from recallscope.bounds.dataflow.unroll import unroll as unroll
from recallscope.bounds.dataflow.wiring import Wiring as Wiring
from recallscope.bounds.dataflow.wiring import reach as reach
from recallscope.bounds.dataflow.wiring import wiring as wiring
