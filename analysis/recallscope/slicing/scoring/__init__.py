"""Losses per token: windows over documents, models of every kind, losses from files."""

from recallscope.slicing.scoring.losses_file import LossesFile as LossesFile
from recallscope.slicing.scoring.losses_file import open_losses as open_losses
from recallscope.slicing.scoring.models import resolve_model as resolve_model
from recallscope.slicing.scoring.score import Scorer as Scorer
from recallscope.slicing.scoring.score import check_finite as check_finite
from recallscope.slicing.scoring.score import score_shard as score_shard
from recallscope.slicing.scoring.windows import Windowing as Windowing
from recallscope.slicing.scoring.windows import cut_windows as cut_windows
from recallscope.slicing.scoring.windows import visible_context as visible_context
