"""Rows name the command that makes them, without the folder that they went to."""

from __future__ import annotations

import pytest
from recallscope.invocation import invocation, invoked


@pytest.mark.parametrize("out", [["--out", "runs/a b"], ["--out=runs/a"], []])
def test_the_command_without_its_folder(out: list[str]):
    with invoked(["sweep", "plan", *out, "--only", "gla"]):
        assert invocation() == "recallscope sweep plan --only gla"
    assert invocation() is None
