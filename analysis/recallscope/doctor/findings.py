"""What a check found, all checks in order, and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line: a `part` of the installation, its `state`, what it `says`, and a `remedy` where something can be done.

    `absent` is what recallscope does without; `broken` is what it cannot do without.
    """

    part: str
    state: State
    says: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All checks, quick ones first; some seconds, most of them for importing torch and reading the held-out text.

    Nothing is installed, downloaded or sent. A check that fails in a way that nobody foresaw is a finding too.
    """
    from recallscope.doctor import installation, machine

    checks = (
        ("Python", installation.python), ("packages", installation.packages), ("extras", installation.extras),
        ("models", installation.models), ("held-out text", installation.held_out), ("torch", machine.torch_build),
        ("GPU", machine.gpu), ("Triton", machine.triton), ("counters", machine.counters), ("energy", machine.energy),
        ("browser", machine.browser), ("folder", machine.folder),
    )  # fmt: skip
    found: list[Finding] = []
    for part, check in checks:
        try:
            found += check(part)
        except Exception as error:  # whatever a broken installation raises belongs into its line, not on top of it
            found.append(
                Finding(part, "broken", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            )
    return found


def format_findings(findings: Sequence[Finding]) -> str:
    """A line for each finding, in columns, and one that counts."""
    width = max((len(one.part) for one in findings), default=0)
    lines = [
        f"{one.state:7} {one.part:{width}}  {one.says}" + (f"; {one.remedy}" if one.remedy else "") for one in findings
    ]
    broken = sum(one.state == "broken" for one in findings)
    absent = sum(one.state == "absent" for one in findings)
    lines.append(f"\n{broken or 'nothing'} broken, {absent or 'nothing'} absent that recallscope can do without")
    return "\n".join(lines)
