"""Memory that tensors and arrays leave behind on CPU: kept for the next ones, or given back at once."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks of up to 2 GiB; whether it did (other C libraries are left alone).

    Large tensors otherwise come from fresh pages each time, and the page faults took a quarter of the time of scoring
    and a third of that of training the reference models (see LOG.md). The process's peak stays what it was, but for
    fragmentation; it just does not shrink in between.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**31 - 1) and mallopt(_TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> bool:
    """Return freed pages to the system, those between blocks in use as well; whether there were any."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
