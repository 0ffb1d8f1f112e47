"""The AR-aware law: a grid of models that differ in size, data and state, and what state does to which tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.scaling.recall.effects import Effect as Effect
    from recallscope.scaling.recall.effects import difference as difference
    from recallscope.scaling.recall.effects import state_effects as state_effects
    from recallscope.scaling.recall.grid import AGAIN as AGAIN
    from recallscope.scaling.recall.grid import Design as Design
    from recallscope.scaling.recall.grid import cells as cells
    from recallscope.scaling.recall.grid import run_grid as run_grid
    from recallscope.scaling.recall.law import FORMS as FORMS
    from recallscope.scaling.recall.law import RecallLaw as RecallLaw
    from recallscope.scaling.recall.law import compare_forms as compare_forms
    from recallscope.scaling.recall.law import fit_recall_law as fit_recall_law
    from recallscope.scaling.recall.law import state_share as state_share
    from recallscope.scaling.recall.logs import LOG_FORMS as LOG_FORMS
    from recallscope.scaling.recall.logs import log_form_errors as log_form_errors
    from recallscope.scaling.recall.losses import Grid as Grid
    from recallscope.scaling.recall.losses import grid_of as grid_of
    from recallscope.scaling.recall.losses import group_losses as group_losses
    from recallscope.scaling.recall.rows import effect_rows as effect_rows
    from recallscope.scaling.recall.rows import law_rows as law_rows
    from recallscope.scaling.recall.rows import loss_rows as loss_rows
    from recallscope.scaling.recall.rows import repeated_rows as repeated_rows
    from recallscope.scaling.recall.sums import GROUPS as GROUPS
    from recallscope.scaling.recall.sums import SLICES as SLICES
    from recallscope.scaling.recall.sums import loss_sums as loss_sums
    from recallscope.scaling.recall.trunks import Recipe as Recipe
    from recallscope.scaling.recall.trunks import shape as shape
    from recallscope.scaling.recall.trunks import train_to as train_to

_NAMES = {
    "effects": ("Effect", "difference", "state_effects"),
    "grid": ("AGAIN", "Design", "cells", "run_grid"),
    "law": ("FORMS", "RecallLaw", "compare_forms", "fit_recall_law", "state_share"),
    "logs": ("LOG_FORMS", "log_form_errors"),
    "losses": ("Grid", "grid_of", "group_losses"),
    "rows": ("effect_rows", "law_rows", "loss_rows", "repeated_rows"),
    "sums": ("GROUPS", "SLICES", "loss_sums"),
    "trunks": ("Recipe", "shape", "train_to"),
}
_WHERE = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__getattr__, __dir__ = lazily(__name__, _WHERE)
