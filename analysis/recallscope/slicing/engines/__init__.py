"""Where the shards of a run are worked on: in this process, by Daft's workers on this machine, or on a Ray cluster."""

from recallscope.slicing.engines.engine import ENGINES as ENGINES
from recallscope.slicing.engines.engine import LOCAL as LOCAL
from recallscope.slicing.engines.engine import Engine as Engine
from recallscope.slicing.engines.engine import engine_of as engine_of
