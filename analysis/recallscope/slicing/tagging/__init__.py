"""Tags and counts: where each token's n-gram was seen before, in its document and in the training text."""

from recallscope.slicing.tagging.counts import Counts as Counts
from recallscope.slicing.tagging.counts import count_all as count_all
from recallscope.slicing.tagging.counts import count_targeted as count_targeted
from recallscope.slicing.tagging.counts import ngram_keys as ngram_keys
from recallscope.slicing.tagging.counts import queries as queries
from recallscope.slicing.tagging.tags import longest_match as longest_match
from recallscope.slicing.tagging.tags import opportunity_distance as opportunity_distance
from recallscope.slicing.tagging.tags import repeat_distance as repeat_distance
from recallscope.slicing.tagging.tags import tag as tag
from recallscope.slicing.tagging.tags import visible as visible
