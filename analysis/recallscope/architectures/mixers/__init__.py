"""Sequence mixers, one file each, all with the surface of `_mixer.Mixer`."""

from recallscope.architectures.mixers._mixer import Mixer as Mixer
from recallscope.architectures.mixers._mixer import State as State
from recallscope.architectures.mixers.attention import Attention as Attention
from recallscope.architectures.mixers.base_conv import BaseConv as BaseConv
from recallscope.architectures.mixers.based import Based as Based
from recallscope.architectures.mixers.block_recurrent import BlockRecurrent as BlockRecurrent
from recallscope.architectures.mixers.clipped_softmax import ClippedSoftmax as ClippedSoftmax
from recallscope.architectures.mixers.compressed_attention import CompressedAttention as CompressedAttention
from recallscope.architectures.mixers.delta_net import DeltaNet as DeltaNet
from recallscope.architectures.mixers.diff_qkv import DiffQKV as DiffQKV
from recallscope.architectures.mixers.gated_delta_net import GatedDeltaNet as GatedDeltaNet
from recallscope.architectures.mixers.gated_slots import GatedSlots as GatedSlots
from recallscope.architectures.mixers.gla import GLA as GLA
from recallscope.architectures.mixers.h3 import H3 as H3
from recallscope.architectures.mixers.hgrn2 import HGRN2 as HGRN2
from recallscope.architectures.mixers.hyena import Hyena as Hyena
from recallscope.architectures.mixers.jrt import JRT as JRT
from recallscope.architectures.mixers.kda import KDA as KDA
from recallscope.architectures.mixers.lambda_window import LambdaWindow as LambdaWindow
from recallscope.architectures.mixers.landmark import Landmark as Landmark
from recallscope.architectures.mixers.lightning import Lightning as Lightning
from recallscope.architectures.mixers.linear_attention import LinearAttention as LinearAttention
from recallscope.architectures.mixers.lizard import Lizard as Lizard
from recallscope.architectures.mixers.log_linear import LogLinearAttention as LogLinearAttention
from recallscope.architectures.mixers.long_convolution import LongConvolution as LongConvolution
from recallscope.architectures.mixers.mamba import Mamba as Mamba
from recallscope.architectures.mixers.mamba2 import Mamba2 as Mamba2
from recallscope.architectures.mixers.mamba3 import Mamba3 as Mamba3
from recallscope.architectures.mixers.memsizer import MemSizer as MemSizer
from recallscope.architectures.mixers.mesa_net import MesaNet as MesaNet
from recallscope.architectures.mixers.mla import MultiHeadLatent as MultiHeadLatent
from recallscope.architectures.mixers.mlstm import MLSTM as MLSTM
from recallscope.architectures.mixers.native_sparse import NativeSparse as NativeSparse
from recallscope.architectures.mixers.ngram_head import NGramHead as NGramHead
from recallscope.architectures.mixers.pooling import FixedQueryPooling as FixedQueryPooling
from recallscope.architectures.mixers.primer import Primer as Primer
from recallscope.architectures.mixers.recurrent_transformer import RecurrentTransformer as RecurrentTransformer
from recallscope.architectures.mixers.retention import Retention as Retention
from recallscope.architectures.mixers.rg_lru import RGLRU as RGLRU
from recallscope.architectures.mixers.rwkv4 import RWKV4 as RWKV4
from recallscope.architectures.mixers.rwkv6 import RWKV6 as RWKV6
from recallscope.architectures.mixers.rwkv7 import RWKV7 as RWKV7
from recallscope.architectures.mixers.sliding_window import SlidingWindow as SlidingWindow
from recallscope.architectures.mixers.subsampled import SubsampledAttention as SubsampledAttention
from recallscope.architectures.mixers.ttt_linear import TTTLinear as TTTLinear

MIXERS = {
    "attention": Attention,
    "base_conv": BaseConv,
    "based": Based,
    "block_recurrent": BlockRecurrent,
    "clipped_softmax": ClippedSoftmax,
    "compressed_attention": CompressedAttention,
    "delta_net": DeltaNet,
    "diff_qkv": DiffQKV,
    "gated_delta_net": GatedDeltaNet,
    "gated_slots": GatedSlots,
    "gla": GLA,
    "h3": H3,
    "hgrn2": HGRN2,
    "hyena": Hyena,
    "jrt": JRT,
    "kda": KDA,
    "lambda_window": LambdaWindow,
    "landmark": Landmark,
    "lightning": Lightning,
    "linear_attention": LinearAttention,
    "lizard": Lizard,
    "log_linear": LogLinearAttention,
    "long_convolution": LongConvolution,
    "mamba": Mamba,
    "mamba2": Mamba2,
    "mamba3": Mamba3,
    "memsizer": MemSizer,
    "mesa_net": MesaNet,
    "mla": MultiHeadLatent,
    "mlstm": MLSTM,
    "native_sparse": NativeSparse,
    "ngram_head": NGramHead,
    "pooling": FixedQueryPooling,
    "primer": Primer,
    "recurrent_transformer": RecurrentTransformer,
    "retention": Retention,
    "rg_lru": RGLRU,
    "rwkv4": RWKV4,
    "rwkv6": RWKV6,
    "rwkv7": RWKV7,
    "sliding_window": SlidingWindow,
    "subsampled": SubsampledAttention,
    "ttt_linear": TTTLinear,
}
