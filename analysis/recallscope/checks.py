"""What is refused at the public edge in one line, whatever the command: devices and output folders."""

from __future__ import annotations

from pathlib import Path


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
