"""Sequence mixers, one file each, all with the surface of `_mixer.Mixer`."""

from recallscope.architectures.mixers.attention import Attention as Attention
from recallscope.architectures.mixers.based import Based as Based
from recallscope.architectures.mixers.hyena import Hyena as Hyena
from recallscope.architectures.mixers.sliding_window import SlidingWindow as SlidingWindow

MIXERS = {"attention": Attention, "based": Based, "hyena": Hyena, "sliding_window": SlidingWindow}
