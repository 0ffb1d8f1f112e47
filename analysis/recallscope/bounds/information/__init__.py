"""What a state of so many bits allows at most, whoever reads it. Numbers where proven, orders where only orders are."""

from recallscope.bounds.information.asymptotic import Asymptotic as Asymptotic
from recallscope.bounds.information.copying import copy_error_limit as copy_error_limit
from recallscope.bounds.information.copying import copy_length_limit as copy_length_limit
from recallscope.bounds.information.copying import copy_state_limit as copy_state_limit
from recallscope.bounds.information.counting import all_right_limit as all_right_limit
from recallscope.bounds.information.counting import answer_bits as answer_bits
from recallscope.bounds.information.counting import answer_sequences as answer_sequences
from recallscope.bounds.information.depth import binary_depth_limit as binary_depth_limit
from recallscope.bounds.information.depth import p_hot_depth_limit as p_hot_depth_limit
from recallscope.bounds.information.depth import recall_depth_growth as recall_depth_growth
from recallscope.bounds.information.depth import recall_depth_scale as recall_depth_scale
from recallscope.bounds.information.disjointness import disjointness_bits as disjointness_bits
from recallscope.bounds.information.disjointness import disjointness_growth as disjointness_growth
from recallscope.bounds.information.fano import accuracy_limit as accuracy_limit
from recallscope.bounds.information.fano import pairs_limit as pairs_limit
from recallscope.bounds.information.fano import state_limit as state_limit
from recallscope.bounds.information.retrieval import dictionary_bits as dictionary_bits
from recallscope.bounds.information.retrieval import dynamic_extra as dynamic_extra
from recallscope.bounds.information.retrieval import incremental_extra as incremental_extra
from recallscope.bounds.information.retrieval import membership_bits as membership_bits
from recallscope.bounds.information.retrieval import static_retrieval as static_retrieval
