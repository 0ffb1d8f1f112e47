"""Real text that every installation already has: source and documentation of the pinned dependencies.

Documents are single files, in an order that a hash decides, so that any prefix is a fair sample of all packages. Whole
packages are held out: no file of an evaluation package is ever trained on.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from recallscope.text import Document, digest

STANDARD_LIBRARY = "stdlib"
TRAINING_PACKAGES = (
    STANDARD_LIBRARY, "numpy", "sympy", "torch", "transformers", "mpmath", "IPython", "pygments", "jinja2", "typer",
    "huggingface_hub", "jupyter_server", "jupyter_client", "nbconvert", "ipykernel", "traitlets", "prompt_toolkit",
)  # fmt: skip
HELD_OUT_PACKAGES = ("networkx", "scipy", "pyarrow", "rich", "tornado")
SUFFIXES = (".py", ".pyi", ".rst", ".md")
SMALLEST, LARGEST = 400, 300_000  # bytes; longer files are tables of numbers or generated code
PACKAGE_SHARE = 24_000_000  # bytes taken from one package at most, so that the two largest do not drown the rest


def package_folder(package: str) -> Path:
    """Folder of an installed package (or of the standard library), without importing it."""
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_paths()["stdlib"])
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"package: {package!r} is not installed; install recallscope with its constraints.txt")
    return Path(next(iter(spec.submodule_search_locations)))


def _files(package: str) -> Iterator[tuple[str, Path]]:
    folder = package_folder(package)
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        foreign = package == STANDARD_LIBRARY and inside.parts[0] in ("site-packages", "dist-packages", "test")
        if path.suffix in SUFFIXES and not foreign and "__pycache__" not in inside.parts and path.is_file():
            yield f"{package}/{inside.as_posix()}", path


def _order(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode()).digest()


def documents(packages: tuple[str, ...]) -> Iterator[Document]:
    """Every usable file of the packages, without repeats of the same content, in the order of the hash of its id.

    Left out: files under 400 or over 300,000 bytes, files that are not UTF-8, and what exceeds 24 MB of one package.
    """
    seen: set[str] = set()
    taken = dict.fromkeys(packages, 0)
    listed = sorted((entry for package in packages for entry in _files(package)), key=lambda entry: _order(entry[0]))
    for identifier, path in listed:
        data = path.read_bytes()
        package = identifier.split("/", 1)[0]
        if not SMALLEST <= len(data) <= LARGEST or taken[package] + len(data) > PACKAGE_SHARE:
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        mark = digest(text)
        if mark not in seen:
            seen.add(mark)
            taken[package] += len(data)
            yield Document(identifier, text)
