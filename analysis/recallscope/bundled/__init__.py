"""What every installation carries: reference models, tokenizer, counts of their training text, held-out text."""

from recallscope.bundled.corpus import HELD_OUT_PACKAGES as HELD_OUT_PACKAGES
from recallscope.bundled.corpus import TRAINING_PACKAGES as TRAINING_PACKAGES
from recallscope.bundled.corpus import documents as documents
from recallscope.bundled.files import bundled_counts_path as bundled_counts_path
from recallscope.bundled.files import bundled_folder as bundled_folder
from recallscope.bundled.files import bundled_names as bundled_names
from recallscope.bundled.files import bundled_tokenizer as bundled_tokenizer
from recallscope.bundled.files import held_out_documents as held_out_documents
