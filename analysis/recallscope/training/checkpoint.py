"""Checkpoints of every training loop: replaced in one rename, and read again by the run that wrote them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from recallscope.disk import replaced


def write_checkpoint(path: Path, identity: str, **content: Any) -> None:
    """Write the content with what says which run it is; tensors, numbers, text, and lists and dicts of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        torch.save({"identity": identity, **content}, temporary)


def read_checkpoint(path: Path, identity: str, refusal: str) -> dict[str, Any] | None:
    """The content, None without a file; a `ValueError` that says `refusal` if it is another run's."""
    if not path.exists():
        return None
    saved = torch.load(path, weights_only=True)
    if saved["identity"] != identity:
        raise ValueError(refusal)
    return saved
