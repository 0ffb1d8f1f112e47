"""The explorer page in a browser, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slicing.report import chrome

from .explorer_page import ROWS, START, written


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chrome.Browser]:
    with chrome.browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("light"), ROWS, START)


@pytest.fixture
def tab(driven: chrome.Browser, address: str) -> Iterator[chrome.Browser]:
    driven.open("about:blank")
    driven.log()
    driven.open(address)
    yield driven
    assert driven.log() == []
