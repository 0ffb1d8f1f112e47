"""Quality against cost, with what is possible at most: rows of evidence in, plotly figures out."""

from recallscope.frontier.panels import state_vs_recall_figure as state_vs_recall_figure
from recallscope.frontier.recall import accuracy_against_state as accuracy_against_state
