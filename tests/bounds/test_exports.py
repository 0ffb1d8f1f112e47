"""The bounds by name: every public one, loaded on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest
from recallscope import bounds
from recallscope.bounds import information


def test_every_information_limit_has_its_name():
    public = {name for name in vars(information) if not name.startswith("_") and callable(getattr(information, name))}
    assert public <= set(dir(bounds))
    assert all(callable(getattr(bounds, name)) for name in dir(bounds))


def test_unknown_names():
    with pytest.raises(AttributeError, match=r"recallscope\.bounds' has no attribute 'nope'; it has Asymptotic"):
        bounds.nope  # type: ignore[attr-defined]  # noqa: B018


def test_the_commands_load_nothing_heavy():
    code = (
        "import sys, recallscope.bounds.command\n"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'scipy', 'pyarrow', 'sympy')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
