"""Quality against cost, with what is possible at most: rows of evidence in, readings and figures out. Loaded on first
use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.frontier.explorer import write_explorer as write_explorer
    from recallscope.frontier.figure import frontier_figure as frontier_figure
    from recallscope.frontier.panels import state_vs_recall_figure as state_vs_recall_figure
    from recallscope.frontier.pareto import hypervolume as hypervolume
    from recallscope.frontier.pareto import pareto_set as pareto_set
    from recallscope.frontier.pareto import verdicts as verdicts
    from recallscope.frontier.points import Frontier as Frontier
    from recallscope.frontier.points import Point as Point
    from recallscope.frontier.points import frontiers as frontiers
    from recallscope.frontier.readings import cost_at as cost_at
    from recallscope.frontier.readings import price_of_step as price_of_step
    from recallscope.frontier.readings import quality_at as quality_at
    from recallscope.frontier.readings import to_limit as to_limit
    from recallscope.frontier.readings import volume as volume
    from recallscope.frontier.recall import accuracy_against_state as accuracy_against_state
    from recallscope.frontier.sources import rows_of as rows_of

_NAMES = {
    "explorer": "write_explorer",
    "figure": "frontier_figure",
    "panels": "state_vs_recall_figure",
    "pareto": "hypervolume pareto_set verdicts",
    "points": "Frontier Point frontiers",
    "readings": "cost_at price_of_step quality_at to_limit volume",
    "recall": "accuracy_against_state",
    "sources": "rows_of",
}
_WHERE = {name: f"recallscope.frontier.{module}" for module, names in _NAMES.items() for name in names.split()}

__getattr__, __dir__ = lazily(__name__, _WHERE)
