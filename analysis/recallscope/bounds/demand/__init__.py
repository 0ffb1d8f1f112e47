"""The recall demand of a corpus: what memories of every size can serve, and what a state of S bits can gain."""

from recallscope.bounds.demand.corpus import Demand as Demand
from recallscope.bounds.demand.corpus import demand as demand
from recallscope.bounds.demand.gains import Carried as Carried
from recallscope.bounds.demand.gains import carried_gain as carried_gain
from recallscope.bounds.demand.gains import gain_limit as gain_limit
from recallscope.bounds.demand.gains import spans as spans
from recallscope.bounds.demand.recent import stack_distance as stack_distance
from recallscope.bounds.demand.selective import selective_capacity as selective_capacity
from recallscope.bounds.demand.states import AtState as AtState
from recallscope.bounds.demand.tables import demand_evidence as demand_evidence
from recallscope.bounds.demand.tables import format_demand as format_demand
from recallscope.bounds.demand.tables import state_evidence as state_evidence
