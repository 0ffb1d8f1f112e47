"""Models with different tokenizers: the text cut where the tokens of all of them end, and neutral units for repeats."""

from recallscope.slicing.segments.cut import borders as borders
from recallscope.slicing.segments.cut import byte_lengths as byte_lengths
from recallscope.slicing.segments.cut import segment_of as segment_of
from recallscope.slicing.segments.mixed import Mixed as Mixed
from recallscope.slicing.segments.mixed import align as align
from recallscope.slicing.segments.rows import scored_sizes as scored_sizes
from recallscope.slicing.segments.rows import segment_rows as segment_rows
from recallscope.slicing.segments.rows import segment_views as segment_views
from recallscope.slicing.segments.units import Units as Units
from recallscope.slicing.segments.units import unit_ends as unit_ends
