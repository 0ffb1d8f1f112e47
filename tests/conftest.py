"""Shared fixtures: one thread for torch, so that timings and results do not depend on the machine's other work."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches for the network

import pytest


@pytest.fixture(scope="session")
def bundled():
    """The reference models' tokenizer."""
    from recallscope.bundled import bundled_tokenizer

    return bundled_tokenizer()
