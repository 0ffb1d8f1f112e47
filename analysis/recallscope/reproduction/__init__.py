"""Figures of papers remade: what print says, what this toolkit finds, and whether the two agree."""

from __future__ import annotations

from recallscope.reproduction.based_figure2 import based_figure2_statements as based_figure2_statements
from recallscope.reproduction.bigram_frequency import bigram_distance_statements as bigram_distance_statements
from recallscope.reproduction.bigram_frequency import bigram_frequency_statements as bigram_frequency_statements
from recallscope.reproduction.entry import Remade as Remade
from recallscope.reproduction.entry import entry_lines as entry_lines
from recallscope.reproduction.entry import verdict_line as verdict_line
from recallscope.reproduction.entry import write_figure as write_figure
from recallscope.reproduction.in_context_language import (
    in_context_language_statements as in_context_language_statements,
)
from recallscope.reproduction.printed import claim_statements as claim_statements
from recallscope.reproduction.printed import gain_rows as gain_rows
from recallscope.reproduction.printed import gain_statements as gain_statements
from recallscope.reproduction.statements import rank_correlation as rank_correlation
from recallscope.reproduction.statements import statement as statement
from recallscope.reproduction.statements import statements_of as statements_of
from recallscope.reproduction.statements import verdict as verdict
from recallscope.reproduction.zoology_figure2 import zoology_figure2_points as zoology_figure2_points
from recallscope.reproduction.zoology_figure2 import zoology_figure2_statements as zoology_figure2_statements
from recallscope.reproduction.zoology_table1 import zoology_table1_rows as zoology_table1_rows
from recallscope.reproduction.zoology_table1 import zoology_table1_statements as zoology_table1_statements
