"""Daft and Ray without telemetry and without bars of their own."""

from __future__ import annotations

import os

QUIET = {
    "DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "1", "SCARF_NO_ANALYTICS": "1", "RAY_USAGE_STATS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0", "RAY_TQDM": "0", "RAY_DISABLE_DASHBOARD": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leaves CUDA_VISIBLE_DEVICES alone where no GPU was asked for
}  # fmt: skip


def be_quiet() -> None:
    """Before the first import of daft or ray; Daft otherwise reports its import and every run."""
    os.environ.update(QUIET)
