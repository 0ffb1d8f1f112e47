"""The six tasks of MAD (Poli et al. 2024, arXiv 2403.17844), their benchmark settings and their score."""

from recallscope.tasks.mad.benchmark import SWEEP as SWEEP
from recallscope.tasks.mad.benchmark import TASKS as TASKS
from recallscope.tasks.mad.benchmark import MadRecipe as MadRecipe
from recallscope.tasks.mad.benchmark import Setting as Setting
from recallscope.tasks.mad.benchmark import mad_score as mad_score
from recallscope.tasks.mad.benchmark import settings as settings
from recallscope.tasks.mad.benchmark import task_score as task_score
from recallscope.tasks.mad.compression import MadCompression as MadCompression
from recallscope.tasks.mad.fuzzy_recall import MadFuzzyRecall as MadFuzzyRecall
from recallscope.tasks.mad.in_context_recall import MadRecall as MadRecall
from recallscope.tasks.mad.memorization import MadMemorization as MadMemorization
from recallscope.tasks.mad.noisy_recall import MadNoisyRecall as MadNoisyRecall
from recallscope.tasks.mad.selective_copying import MadSelectiveCopying as MadSelectiveCopying
