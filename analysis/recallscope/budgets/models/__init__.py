"""Models that only specialisation needs: one that makes a feed-forward layer for each cluster, and low-rank changes."""

from recallscope.budgets.models.low_rank import LowRank as LowRank
from recallscope.budgets.models.low_rank import merged as merged
from recallscope.budgets.models.low_rank import with_low_rank as with_low_rank
from recallscope.budgets.models.projected import ProjectedModel as ProjectedModel
