"""Kausik's recurrent transformer as the note has it, the regular transformers beside it, and the note's own counts."""

from recallscope.architectures.recurrent_transformer.costs import note_flops as note_flops
from recallscope.architectures.recurrent_transformer.costs import parameters_count as parameters_count
from recallscope.architectures.recurrent_transformer.costs import prefill_flops as prefill_flops
from recallscope.architectures.recurrent_transformer.costs import state_elements as state_elements
from recallscope.architectures.recurrent_transformer.layer import TransformerLayer as TransformerLayer
from recallscope.architectures.recurrent_transformer.model import TransformerModel as TransformerModel
from recallscope.architectures.recurrent_transformer.model import TransformerShape as TransformerShape
from recallscope.architectures.recurrent_transformer.recurrence import VARIANTS as VARIANTS
from recallscope.architectures.recurrent_transformer.recurrence import BlockState as BlockState
from recallscope.architectures.recurrent_transformer.recurrence import Recurrence as Recurrence
