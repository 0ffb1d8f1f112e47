"""The laws by name: every public one, loaded on first use, and commands that load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
import recallscope as rs


def test_every_name_loads_and_stays_what_it_is():
    for _ in range(2):  # a module of the same name would hide a function once it is loaded
        found = {name: getattr(rs.scaling, name) for name in dir(rs.scaling)}
        assert not [name for name, thing in found.items() if isinstance(thing, ModuleType)]
    assert callable(rs.scaling.fit_loss_law) and callable(rs.scaling.step_law)


def test_unknown_names():
    with pytest.raises(AttributeError, match=r"recallscope\.scaling' has no attribute 'nope'; it has Allocation"):
        rs.scaling.nope  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("module", "absent"),
    [("recallscope.scaling.command", {"numpy", "scipy", "torch", "pyarrow"}), ("recallscope.scaling.fit", {"torch"})],
)
def test_nothing_heavy_is_loaded(module, absent):
    code = f"import sys, {module}; sys.exit(bool({absent} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
