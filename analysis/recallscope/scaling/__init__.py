"""Loss laws and what follows from them: fits, allocations of compute, the efficient size, the step law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope.scaling.allocation import Allocation as Allocation
    from recallscope.scaling.allocation import at_size as at_size
    from recallscope.scaling.allocation import compute_optimal as compute_optimal
    from recallscope.scaling.allocation import inference_aware as inference_aware
    from recallscope.scaling.allocation import size_exponent as size_exponent
    from recallscope.scaling.efficient import efficient_exponent as efficient_exponent
    from recallscope.scaling.efficient import efficient_size as efficient_size
    from recallscope.scaling.efficient import growth_of_corpus as growth_of_corpus
    from recallscope.scaling.fit import LossFit as LossFit
    from recallscope.scaling.fit import fit_loss_law as fit_loss_law
    from recallscope.scaling.intervals import constant_intervals as constant_intervals
    from recallscope.scaling.intervals import covariance as covariance
    from recallscope.scaling.intervals import derived_interval as derived_interval
    from recallscope.scaling.law import LossLaw as LossLaw
    from recallscope.scaling.law import constant_names as constant_names
    from recallscope.scaling.law import law_of_row as law_of_row
    from recallscope.scaling.plots import constants_of_laws as constants_of_laws
    from recallscope.scaling.plots import efficient_exponent_against_beta as efficient_exponent_against_beta
    from recallscope.scaling.plots import residuals_of_fit as residuals_of_fit
    from recallscope.scaling.published import LAWS as LAWS
    from recallscope.scaling.published import published_law as published_law
    from recallscope.scaling.rates import step_law as step_law
    from recallscope.scaling.residuals import check_minimum as check_minimum
    from recallscope.scaling.residuals import huber_objective as huber_objective
    from recallscope.scaling.residuals import outliers as outliers
    from recallscope.scaling.residuals import without_outliers as without_outliers
    from recallscope.scaling.rows import fit_rows as fit_rows
    from recallscope.scaling.rows import law_and_rows as law_and_rows
    from recallscope.scaling.runs import read_runs as read_runs
    from recallscope.scaling.runs import runs_of as runs_of
    from recallscope.scaling.schedule import average_parameters as average_parameters
    from recallscope.scaling.schedule import pruned_run as pruned_run

_NAMES = {
    "allocation": ("Allocation", "at_size", "compute_optimal", "inference_aware", "size_exponent"),
    "efficient": ("efficient_exponent", "efficient_size", "growth_of_corpus"),
    "fit": ("LossFit", "fit_loss_law"),
    "intervals": ("constant_intervals", "covariance", "derived_interval"),
    "law": ("LossLaw", "constant_names", "law_of_row"),
    "plots": ("constants_of_laws", "efficient_exponent_against_beta", "residuals_of_fit"),
    "published": ("LAWS", "published_law"),
    "rates": ("step_law",),
    "residuals": ("check_minimum", "huber_objective", "outliers", "without_outliers"),
    "rows": ("fit_rows", "law_and_rows"),
    "runs": ("read_runs", "runs_of"),
    "schedule": ("average_parameters", "pruned_run"),
}
_WHERE = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__getattr__, __dir__ = lazily(__name__, _WHERE)
