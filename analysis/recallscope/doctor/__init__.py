"""Whether this machine has what recallscope can use: one finding a line, with how to get what is missing."""

from __future__ import annotations

from recallscope.doctor.findings import Finding as Finding
from recallscope.doctor.findings import examine as examine
from recallscope.doctor.findings import format_findings as format_findings
