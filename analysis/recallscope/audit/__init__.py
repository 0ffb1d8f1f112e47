"""What follows from printed numbers alone: what agrees, what does not, and by how much."""

from __future__ import annotations

from recallscope.audit.checks import CHECKS as CHECKS
from recallscope.audit.checks import audit as audit
from recallscope.audit.format import format_audit as format_audit
from recallscope.audit.intervals import Cell as Cell
from recallscope.audit.intervals import through as through
from recallscope.audit.own import read_table as read_table
