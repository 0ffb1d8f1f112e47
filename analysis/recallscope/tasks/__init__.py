"""Recall tasks: frozen descriptions that draw examples, each with its definition, source, chance level and demand."""

from recallscope.tasks._source import Source
from recallscope.tasks.byte_recall import ByteRecall
from recallscope.tasks.copying import Copying, SelectiveCopying
from recallscope.tasks.general_recall import GeneralRecall
from recallscope.tasks.in_context_language import InContextLanguage
from recallscope.tasks.mad.compression import MadCompression
from recallscope.tasks.mad.fuzzy_recall import MadFuzzyRecall
from recallscope.tasks.mad.in_context_recall import MadRecall
from recallscope.tasks.mad.memorization import MadMemorization
from recallscope.tasks.mad.noisy_recall import MadNoisyRecall
from recallscope.tasks.mad.selective_copying import MadSelectiveCopying
from recallscope.tasks.mqar import MQAR
from recallscope.tasks.multi_token import MultiTokenRecall
from recallscope.tasks.overwritten import OverwrittenRecall
from recallscope.tasks.regression import InContextRegression
from recallscope.tasks.set_disjointness import SetDisjointness
from recallscope.tasks.stream_recall import StreamRecall
from recallscope.tasks.task import NO_ANSWER, Examples, Task

TASKS: dict[str, type[Task]] = {
    "mqar": MQAR,
    "multi_token": MultiTokenRecall,
    "overwritten": OverwrittenRecall,
    "stream": StreamRecall,
    "general": GeneralRecall,
    "bytes": ByteRecall,
    "set_disjointness": SetDisjointness,
    "copying": Copying,
    "selective_copying": SelectiveCopying,
    "in_context_language": InContextLanguage,
    "in_context_regression": InContextRegression,
    "mad_recall": MadRecall,
    "mad_fuzzy_recall": MadFuzzyRecall,
    "mad_noisy_recall": MadNoisyRecall,
    "mad_selective_copying": MadSelectiveCopying,
    "mad_compression": MadCompression,
    "mad_memorization": MadMemorization,
}
"""Tasks by the name that the command line knows them by."""

__all__ = [
    "MQAR",
    "NO_ANSWER",
    "TASKS",
    "ByteRecall",
    "Copying",
    "Examples",
    "GeneralRecall",
    "InContextLanguage",
    "InContextRegression",
    "MadCompression",
    "MadFuzzyRecall",
    "MadMemorization",
    "MadNoisyRecall",
    "MadRecall",
    "MadSelectiveCopying",
    "MultiTokenRecall",
    "OverwrittenRecall",
    "SelectiveCopying",
    "SetDisjointness",
    "Source",
    "StreamRecall",
    "Task",
]
