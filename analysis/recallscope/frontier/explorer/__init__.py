"""The explorer: one self-contained HTML file in which every quality can be set against every cost."""

from __future__ import annotations

from recallscope.frontier.explorer.page import write_explorer as write_explorer
