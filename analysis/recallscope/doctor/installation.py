"""Checks of what was installed: Python, packages, extras, and the bundled files."""

from __future__ import annotations

import json
import sys
from importlib import metadata

from packaging.requirements import Requirement

from recallscope.doctor.findings import Finding
from recallscope.slicing.engines.engine import INSTALL as INSTALL_SCALE

NAME = "recallscope"
INSTALL = "pip install -e . -c constraints.txt in a checkout"


def python(part: str) -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(NAME)["Requires-Python"] or ""
    fits = Requirement(f"python{wanted}").specifier.contains(version, prereleases=True)
    return [
        Finding(part, "ok" if fits else "broken", f"{version}, {wanted} is needed", "" if fits else "a newer Python")
    ]


def packages(part: str) -> list[Finding]:
    """Every dependency that always is one, in the version that is asked for."""
    wanted = [one for one in _requirements() if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [said for one in wanted if (said := _wrong(one))]
    if wrong:
        return [Finding(part, "broken", ", ".join(wrong), INSTALL)]
    return [Finding(part, "ok", f"{len(wanted)} dependencies")]


def extras(part: str) -> list[Finding]:
    """One finding for each optional extra."""
    found = []
    for extra in sorted(metadata.metadata(NAME).get_all("Provides-Extra") or []):
        own = [
            one
            for one in _requirements()
            if one.marker and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""})
        ]
        wrong = [said for one in own if (said := _wrong(one))]
        what = f"[{extra}]: " + ", ".join(wrong or sorted(one.name for one in own) or ["nothing on this system"])
        how = INSTALL_SCALE if extra == "scale" else f"pip install -e '.[{extra}]' -c constraints.txt"
        remedy = how if wrong else ""
        found.append(Finding(part, "absent" if wrong else "ok", what, remedy))
    return found


def models(part: str) -> list[Finding]:
    """The reference models, their tokenizer and the counts of their training text can be read."""
    from safetensors import safe_open

    from recallscope.bundled.files import NAMES, bundled_counts_path, bundled_folder, bundled_names, bundled_tokenizer
    from recallscope.slicing.tagging.counts import Counts

    parameters = []
    for name in bundled_names():
        folder = bundled_folder(name)
        json.loads((folder / "config.json").read_text())
        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            parameters.append(f"{name} ({len(tensors.keys())} tensors)")
    bundled_tokenizer()
    Counts.load(bundled_counts_path())
    missing = [name for name in NAMES if name not in bundled_names()]
    if missing:
        return [Finding(part, "broken", f"missing: {', '.join(missing)}", "a complete checkout, or make models")]
    return [Finding(part, "ok", f"{', '.join(parameters)}; tokenizer; bigram counts")]


def held_out(part: str) -> list[Finding]:
    """The held-out text is the one of the manifest, document by document."""
    from recallscope.bundled.files import held_out_documents

    try:
        documents = [len(document.text.encode()) for document in held_out_documents()]
    except ValueError as error:  # says which file, and which versions are needed
        return [Finding(part, "broken", str(error).partition(": ")[2] or str(error), "or slice your own with --text")]
    return [Finding(part, "ok", f"{len(documents):,} documents, {sum(documents) / 1e6:.1f} MB, as in the manifest")]


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(NAME) or []]


def _wrong(one: Requirement) -> str | None:
    """What is wrong with an installed requirement, None if nothing is."""
    if one.name == NAME:
        return None  # an extra of ours that names another one: it has a line of its own
    try:
        version = metadata.version(one.name)
    except metadata.PackageNotFoundError:
        return f"{one.name} is not installed"
    if not one.specifier.contains(version, prereleases=True):
        return f"{one.name} {version}, {one.specifier} is needed"
    return None
