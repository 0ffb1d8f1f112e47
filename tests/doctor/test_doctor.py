"""The doctor finds what is missing on a machine that lacks it, and says so in one line each."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from recallscope.bundled import files
from recallscope.cli import app
from recallscope.doctor import Finding, examine, format_findings, installation, machine
from typer.testing import CliRunner


def test_this_installation_is_whole():
    """The tests run in an installation by the constraints: nothing may be broken, and every part has its line."""
    found = examine()
    assert [one for one in found if one.state == "broken"] == []
    parts = "Python packages extras models held-out text torch GPU Triton counters energy browser folder"
    assert set(parts.replace("held-out text", "held-out_text").split()) == {one.part.replace(" ", "_") for one in found}
    (text,) = (one for one in found if one.part == "held-out text")
    assert text.says.startswith("1,722 documents")
    assert all("\n" not in one.says + one.remedy for one in found)


def versions(monkeypatch, **other: str | None) -> None:
    true = metadata.version

    def version(name: str) -> str:
        found = other[name] if name in other else true(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(installation.metadata, "version", version)


def test_a_missing_and_an_old_package_are_named(monkeypatch):
    versions(monkeypatch, scipy=None, numpy="1.26.4")
    (found,) = installation.packages("packages")
    assert found.state == "broken" and "constraints.txt" in found.remedy
    assert found.says == "numpy 1.26.4, >=2.1 is needed, scipy is not installed"


def test_a_missing_extra_is_absent_and_its_command_is_said(monkeypatch):
    versions(monkeypatch, numba=None)
    found = {one.says.split(":")[0]: one for one in installation.extras("extras")}
    assert found["[fast]"].state == "absent" and "'.[fast]'" in found["[fast]"].remedy
    assert "numba is not installed" in found["[fast]"].says
    assert found["[dev]"].state == "ok"


def test_what_works_on_a_cluster_is_not_installed_as_the_others(monkeypatch):
    """Daft asks for an older pyarrow than the held-out text is made of: with constraints.txt nothing would resolve."""
    monkeypatch.setattr(installation.metadata, "metadata", lambda name: SimpleNamespace(get_all=lambda key: ["scale"]))
    monkeypatch.setattr(installation, "_requirements", lambda: [Requirement("daft>=0.7.20,<0.8; extra == 'scale'")])
    versions(monkeypatch, daft=None)
    (found,) = installation.extras("extras")
    assert found.state == "absent" and "daft is not installed" in found.says and "--no-deps daft" in found.remedy


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(installation, "sys", SimpleNamespace(version_info=(3, 10, 1)))
    (found,) = installation.python("Python")
    assert found.state == "broken" and found.says.startswith("3.10.1")


@pytest.fixture
def copied(monkeypatch, tmp_path: Path) -> Path:
    """The bundled files in a folder of their own, to be damaged."""
    shutil.copytree(files.FOLDER, tmp_path / "bundled", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setattr(files, "FOLDER", tmp_path / "bundled")
    return tmp_path / "bundled"


def test_a_reference_model_that_is_gone(copied: Path):
    (copied / "models" / "hyena" / "model.safetensors").unlink()
    (found,) = installation.models("models")
    assert (found.state, found.says) == ("broken", "missing: hyena")


@pytest.mark.parametrize("name", ["models/window/model.safetensors", "tokenizer.json", "bigrams.parquet"])
def test_a_truncated_file_is_one_line(copied: Path, name: str):
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    (found,) = (one for one in examine() if one.part == "models")
    assert found.state == "broken" and found.says and "\n" not in found.says


def test_held_out_text_that_differs_from_the_manifest(copied: Path):
    manifest = json.loads((copied / "held_out.json").read_text())
    changed = manifest["documents"][3]
    changed["sha256"] = "0" * 64
    (copied / "held_out.json").write_text(json.dumps(manifest))
    (found,) = installation.held_out("held-out text")
    assert found.state == "broken" and changed["id"] in found.says and "scipy==" in found.says


def test_counters_that_are_not_there_or_not_permitted(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.counters("counters")[0].state == "absent"
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(machine, "PARAMETERS", tmp_path / "params")
    assert machine.counters("counters") == [Finding("counters", "ok", "/opt/ncu")]
    (tmp_path / "params").write_text("OtherParameter: 0\nRmProfilingAdminOnly: 1\n")
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    (found,) = machine.counters("counters")
    assert found.state == "absent" and "NVreg_RestrictProfilingToAdminUsers" in found.remedy
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    assert machine.counters("counters")[0].state == "ok"


def test_a_browser_without_its_driver(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/chromium" if name == "chromium" else None)
    (found,) = machine.browser("browser")
    assert found.state == "absent" and found.says.startswith("no chromedriver on PATH")


def test_a_full_disk_and_a_folder_that_is_read_only(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert machine.folder("folder")[0].state == "ok"
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=5e7))
    assert machine.folder("folder")[0].says.endswith("50 MB free")

    def refuse(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    (found,) = machine.folder("folder")
    assert found.state == "broken" and found.says == f"{tmp_path}: Permission denied"


def test_an_unforeseen_failure_is_a_line_and_an_exit_status(monkeypatch):
    def fail(part: str) -> list[Finding]:
        raise RuntimeError("driver too old\nupdate it")

    for name in ("held_out", "packages", "extras", "models"):
        monkeypatch.setattr(installation, name, lambda part: [])
    monkeypatch.setattr(machine, "gpu", fail)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    assert "broken  GPU" in done.stdout and "RuntimeError: driver too old" in done.stdout
    rows = json.loads(done.stdout.splitlines()[-1])
    assert {"part": "GPU", "state": "broken", "says": "RuntimeError: driver too old", "remedy": ""} in rows
    assert "1 broken, " in done.stdout


def test_the_lines_count_what_they_list():
    assert format_findings([]).strip().startswith("nothing broken, nothing absent")
    text = format_findings([Finding("a", "ok", "x"), Finding("bb", "absent", "y", "do z")])
    assert text.splitlines()[:2] == ["ok      a   x", "absent  bb  y; do z"]
    assert "nothing broken, 1 absent" in text
