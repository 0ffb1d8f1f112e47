"""What is refused at the public edge in one line, whatever the command: devices, output folders, broken JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def parsed(text: str | bytes, place: str) -> Any:
    """JSON, or a `ValueError` that names its `place`: what is not UTF-8, not JSON, or nested without end."""
    try:
        return json.loads(text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is not JSON ({error.msg}, character {error.pos})") from None
    except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
        raise ValueError(f"{place} is not JSON ({str(error).splitlines()[0]})") from None


def check_device(device: str) -> None:
    """Raise a `ValueError` unless this installation of torch can use `device` (`cpu`, `cuda`, `cuda:1`, `mps`, ...)."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"device: cpu, cuda, cuda:1, mps or another that torch can use, got {device!r} ({why})"
        ) from None


def check_folder(name: str, folder: Path) -> None:
    """Raise a `ValueError` if a folder cannot be made there, because it or what it lies in is a file."""
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise ValueError(f"{name}: {place} is a file; name a folder")
            return
