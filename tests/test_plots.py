"""`rs.plots` has every public figure function, by name, and loads what is asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import recallscope as rs
from recallscope.architectures import plots as costs
from recallscope.bounds.capacity import plot as capacities
from recallscope.bounds.dataflow import plots as wires
from recallscope.bounds.demand import plots as demands
from recallscope.budgets.points import perplexity_against_budgets
from recallscope.budgets.regions import region_figure
from recallscope.frontier import figure as one_frontier
from recallscope.frontier import panels, recall
from recallscope.profiling import plots as measured
from recallscope.reproduction import plots as remade
from recallscope.scaling import plots as laws
from recallscope.slicing.report import plots as slices
from recallscope.training.sweeps import plots as sweeps


def public(module) -> dict:
    """Functions of a module, or of a package that exports them."""
    found = {name: f for name, f in vars(module).items() if inspect.isfunction(f) and not name.startswith("_")}
    return {name: f for name, f in found.items() if f.__module__.startswith(module.__name__)}


def test_every_figure_has_its_name():
    modules = (capacities, costs, demands, laws, one_frontier, measured, panels, recall, remade, slices, sweeps, wires)
    budgets = {f.__name__: f for f in (perplexity_against_budgets, region_figure)}
    each = [budgets, *(public(module) for module in modules)]
    every = {name: f for found in each for name, f in found.items()}
    assert len(every) == sum(map(len, each)) and all(each)  # no name twice
    assert dir(rs.plots) == sorted(every)
    assert {name: getattr(rs.plots, name) for name in dir(rs.plots)} == every


def test_packages_by_name():
    assert {"plots", "bounds"} <= set(dir(rs))
    assert rs.bounds.accuracy_limit(state_bits=4e6, pairs=256, vocabulary=8192) == 1


def test_unknown_figures():
    with pytest.raises(AttributeError, match=r"recallscope\.plots' has no attribute 'pie'; it has accuracy_against_"):
        rs.plots.pie  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"'recallscope' has no attribute 'plot'; it has .*bounds, .*plots"):
        rs.plot  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("recallscope.plots", {"torch", "plotly", "pyarrow", "numpy"}),
        ("[getattr(recallscope.plots, name) for name in dir(recallscope.plots)]", {"torch", "plotly"}),
    ],
)
def test_nothing_is_loaded_before_it_is_drawn(code, absent):
    code = f"import sys, recallscope; {code}; sys.exit(bool({absent} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
