"""SVG where kaleido and a browser are at hand, and one line that says so where they are not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import plotly.graph_objects as go
import plotly.io
import pytest
from recallscope.reproduction import images


@pytest.fixture
def machine(monkeypatch):
    """A machine with or without kaleido of a version, and with or without a browser."""

    def made(kaleido: str | None, browser: bool) -> None:
        def version(name: str) -> str:
            if kaleido is None:
                raise PackageNotFoundError(name)
            return kaleido

        monkeypatch.delenv("BROWSER_PATH", raising=False)
        monkeypatch.setattr(images, "version", version)
        monkeypatch.setattr(images.shutil, "which", lambda name: "/bin/browser" if browser else None)

    return made


@pytest.mark.parametrize(
    ("kaleido", "browser", "said"),
    [
        (None, True, "kaleido is not installed"),
        ("0.2.1", True, "at least 1, not 0.2.1"),
        ("1.5.0", False, "no browser"),
    ],
)
def test_what_is_missing_is_said_and_nothing_written(machine, tmp_path, kaleido, browser, said):
    machine(kaleido, browser)
    line = images.write_svgs({tmp_path / "a.svg": go.Figure()})
    assert line.startswith("no SVG: ") and said in line and "\n" not in line and not list(tmp_path.iterdir())


def test_all_figures_go_through_one_start_of_the_browser(machine, tmp_path, monkeypatch):
    machine("1.5.0", True)
    calls = []

    def write_images(figures, paths, **options):
        calls.append(options)
        for figure, path in zip(figures, paths, strict=True):
            Path(path).write_text("<svg>" + figure.layout.title.text)

    monkeypatch.setattr(plotly.io, "write_images", write_images)
    line = images.write_svgs({tmp_path / f"{name}.svg": go.Figure(layout={"title": name}) for name in "ab"})
    assert line == "2 SVG files, 0.0 MB" and calls == [{"format": "svg", "width": 1300}]
    assert [(tmp_path / f"{name}.svg").read_text() for name in "ab"] == ["<svg>a", "<svg>b"]


def test_a_browser_that_fails_costs_no_page(machine, tmp_path, monkeypatch):
    machine("1.5.0", True)

    def fails(*_, **__):
        raise RuntimeError("it did not start\nand more")

    monkeypatch.setattr(plotly.io, "write_images", fails)
    assert images.write_svgs({tmp_path / "a.svg": go.Figure()}) == "no SVG: it did not start"
