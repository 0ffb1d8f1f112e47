"""Published numbers as evidence: one file of rows for each table or figure, with source, trust and flags."""

from __future__ import annotations

from recallscope.published.format import format_list as format_list
from recallscope.published.format import format_rows as format_rows
from recallscope.published.tables import published_names as published_names
from recallscope.published.tables import published_table as published_table
from recallscope.published.where import matching as matching
