"""recallscope: where the quality gap between two language models is, how much of it is recall, and what would close it.

Names are loaded on first use, so that `import recallscope` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope.lazy import lazily

if TYPE_CHECKING:
    from recallscope import bounds as bounds
    from recallscope import budgets as budgets
    from recallscope import frontier as frontier
    from recallscope import plots as plots
    from recallscope import scaling as scaling
    from recallscope.architectures.architecture import Architecture as Architecture
    from recallscope.architectures.config import ModelConfig as ModelConfig
    from recallscope.architectures.costs import cost as cost
    from recallscope.architectures.costs import crossings as crossings
    from recallscope.architectures.costs import formula as formula
    from recallscope.architectures.model import LanguageModel as LanguageModel
    from recallscope.architectures.names import architecture as architecture
    from recallscope.architectures.tables import cost_table as cost_table
    from recallscope.bounds.demand import demand as demand
    from recallscope.evidence import read_evidence as read_evidence
    from recallscope.evidence import write_evidence as write_evidence
    from recallscope.prompting.continuations import slice_continuations as slice_continuations
    from recallscope.prompting.zero_shot import zero_shot as zero_shot
    from recallscope.slicing.attribution import attribute as attribute
    from recallscope.slicing.attribution import format_table as format_table
    from recallscope.slicing.records import read_records as read_records
    from recallscope.slicing.run import slice_text as slice_text
    from recallscope.slicing.scoring.windows import Windowing as Windowing
    from recallscope.slicing.settings import SliceSettings as SliceSettings
    from recallscope.slicing.tagging.counts import Counts as Counts
    from recallscope.slicing.tagging.tags import tag as tag
    from recallscope.tasks import MQAR as MQAR
    from recallscope.tasks import TASKS as TASKS
    from recallscope.training.sweeps.best import best_of as best_of
    from recallscope.training.sweeps.command import task_sweep as task_sweep
    from recallscope.training.sweeps.run import run_sweep as run_sweep
    from recallscope.training.sweeps.subjects import recall_subject as recall_subject
    from recallscope.training.sweeps.sweep import Sweep as Sweep

_MODULES = ("bounds", "budgets", "frontier", "plots", "scaling")
_WHERE = {
    "Architecture": "recallscope.architectures.architecture",
    "architecture": "recallscope.architectures.names",
    "cost": "recallscope.architectures.costs",
    "cost_table": "recallscope.architectures.tables",
    "crossings": "recallscope.architectures.costs",
    "formula": "recallscope.architectures.costs",
    "demand": "recallscope.bounds.demand",
    "slice_text": "recallscope.bounds.demand.sliced",
    "read_evidence": "recallscope.evidence",
    "write_evidence": "recallscope.evidence",
    "LanguageModel": "recallscope.architectures.model",
    "ModelConfig": "recallscope.architectures.config",
    "attribute": "recallscope.slicing.attribution",
    "format_table": "recallscope.slicing.attribution",
    "Counts": "recallscope.slicing.tagging.counts",
    "read_records": "recallscope.slicing.records",
    "SliceSettings": "recallscope.slicing.settings",
    "tag": "recallscope.slicing.tagging.tags",
    "Windowing": "recallscope.slicing.scoring.windows",
    "TASKS": "recallscope.tasks",
    "MQAR": "recallscope.tasks",
    "Sweep": "recallscope.training.sweeps.sweep",
    "best_of": "recallscope.training.sweeps.best",
    "run_sweep": "recallscope.training.sweeps.run",
    "recall_subject": "recallscope.training.sweeps.subjects",
    "task_sweep": "recallscope.training.sweeps.command",
    "slice_continuations": "recallscope.prompting.continuations",
    "zero_shot": "recallscope.prompting.zero_shot",
}

__getattr__, __dir__ = lazily(__name__, _WHERE, _MODULES)
