"""Specialised models under four budgets: what each method costs, what it reaches, and which one to take.

Grangier, Katharopoulos, Ablin, Hannun 2024 (arXiv 2402.01093). Loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.budgets.budgets import METHODS as METHODS
    from recallscope.budgets.budgets import Budgets as Budgets
    from recallscope.budgets.budgets import Cost as Cost
    from recallscope.budgets.budgets import break_even as break_even
    from recallscope.budgets.budgets import gpu_hours as gpu_hours
    from recallscope.budgets.choice import choose as choose
    from recallscope.budgets.choice import flips as flips
    from recallscope.budgets.clusters import effective_share as effective_share
    from recallscope.budgets.clusters import importance_weights as importance_weights
    from recallscope.budgets.experiment import run_budgets as run_budgets
    from recallscope.budgets.models import ProjectedModel as ProjectedModel
    from recallscope.budgets.models import merged as merged
    from recallscope.budgets.models import with_low_rank as with_low_rank
    from recallscope.budgets.points import perplexity_against_budgets as perplexity_against_budgets
    from recallscope.budgets.points import point_rows as point_rows
    from recallscope.budgets.protocol import Protocol as Protocol
    from recallscope.budgets.regions import region_figure as region_figure
    from recallscope.budgets.regions import region_rows as region_rows
    from recallscope.budgets.sources import known as known
    from recallscope.budgets.tables import recomputed as recomputed

_WHERE = {
    "METHODS": "recallscope.budgets.budgets",
    "Budgets": "recallscope.budgets.budgets",
    "Cost": "recallscope.budgets.budgets",
    "break_even": "recallscope.budgets.budgets",
    "gpu_hours": "recallscope.budgets.budgets",
    "choose": "recallscope.budgets.choice",
    "flips": "recallscope.budgets.choice",
    "effective_share": "recallscope.budgets.clusters",
    "importance_weights": "recallscope.budgets.clusters",
    "run_budgets": "recallscope.budgets.experiment",
    "ProjectedModel": "recallscope.budgets.models",
    "merged": "recallscope.budgets.models",
    "with_low_rank": "recallscope.budgets.models",
    "perplexity_against_budgets": "recallscope.budgets.points",
    "point_rows": "recallscope.budgets.points",
    "Protocol": "recallscope.budgets.protocol",
    "region_figure": "recallscope.budgets.regions",
    "region_rows": "recallscope.budgets.regions",
    "known": "recallscope.budgets.sources",
    "recomputed": "recallscope.budgets.tables",
}

__getattr__, __dir__ = lazily(__name__, _WHERE)
