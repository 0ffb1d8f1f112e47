"""Whether numba does a piece of work: it never has to, and the numbers are the same."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def numba_wanted(work: int, worth: int, loaded: str = "numba") -> bool:
    """If numba is installed, and repaid: by `work` from `worth` on, or by any if the module `loaded` is there already.

    The environment overrules: RECALLSCOPE_NUMBA=0 never takes it, =1 always does.
    """
    wish = os.environ.get("RECALLSCOPE_NUMBA", "")
    wanted = wish == "1" or (wish != "0" and (loaded in sys.modules or work >= worth))
    return wanted and find_spec("numba") is not None


def compiled(module: str, work: int, worth: int) -> ModuleType | None:
    """The module, which needs numba, where that is wanted and works."""
    if not numba_wanted(work, worth, module):
        return None
    try:
        return import_module(module)
    except (ImportError, RuntimeError):  # numba does not fit this numpy, or finds no folder for its cache
        return None
