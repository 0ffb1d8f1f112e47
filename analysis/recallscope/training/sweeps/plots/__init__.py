"""Figures of sweeps: rows of `run_sweep` in, plotly figures out.

A point is one subject at the rate that is best on the validation examples (`best_of`): its mean over tests and seeds,
with whiskers from the worst seed to the best. Published rows are hollow and drawn as they are. Chance is dashed.
`test` chooses tests by their columns, such as `{"length": 64, "pairs": 8}`; None is the mean over all tests of the
sweep. For dark pages pass a figure to `recallscope.look.themed`.
"""

from recallscope.training.sweeps.plots.against import accuracy_against_pairs as accuracy_against_pairs
from recallscope.training.sweeps.plots.against import accuracy_against_rate as accuracy_against_rate
from recallscope.training.sweeps.plots.against import accuracy_against_width as accuracy_against_width
from recallscope.training.sweeps.plots.curves import read_curves as read_curves
from recallscope.training.sweeps.plots.curves import training_curves as training_curves
from recallscope.training.sweeps.plots.seeds import seed_spread as seed_spread
