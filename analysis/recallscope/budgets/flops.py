"""Training FLOPs of every method in closed form; a test holds them equal to what torch counts."""

from __future__ import annotations

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.feed_forward import FeedForward
from recallscope.architectures.mixers.attention import Attention


def step_flops(config: ModelConfig, batch: int) -> int:
    """A forward and a backward pass over `batch` windows of `config.context` tokens; the optimiser is left out.

    Fine-tuning of all weights, with or without pre-training, on sampled or clustered windows: all cost the same.
    """
    return int(Architecture("", config).training_flops(config.context, batch))


def forward_flops(config: ModelConfig, batch: int) -> int:
    """A forward pass: what a teacher costs at each step of its student."""
    return int(Architecture("", config).prefill_flops(config.context, batch))


def projected_elements(config: ModelConfig) -> int:
    """Elements of the feed-forward matrices of one expert: Σ over layers of 3 D F."""
    layers = Architecture("", config).layers
    return sum(count * int(ffn.parameters_count()) for count, _, ffn in layers if ffn)


def projected_step_flops(config: ModelConfig, batch: int, h: int, m: int) -> int:
    """That of the small model, and 6 h a matrix element and 6 m h a layer: W is made once for a batch.

    Forward W = T (E M) takes 2 h an element and 2 m h, its gradient twice as many.
    """
    return step_flops(config, batch) + 6 * h * (projected_elements(config) + len(config.layers) * m)


def projected_parameters(config: ModelConfig, clusters: int, h: int, m: int) -> int:
    """All but the feed-forward matrices once, these h times, M in each layer and E."""
    own, layers = projected_elements(config), len(config.layers)
    return Architecture("", config).parameters() + (h - 1) * own + layers * m * h + clusters * m


def low_rank_step_flops(config: ModelConfig, batch: int, rank: int) -> int:
    """A step in which only low-rank changes of the blocks' matrices are trained (attention and SwiGLU).

    For each frozen matrix of `in` x `out`: 2 in out forward and as many for the gradient of its input, none for its
    own; for the change, 6 rank (in + out). The first projection needs no gradient of its input: that saves
    2 in out + 2 rank in. Embedding and norms have no products; the head takes a forward pass and its input's gradient.
    """
    tokens = batch * config.context
    shapes = _matrices(config)
    head = config.vocabulary * config.width
    products = 2 * (sum(a * b for a, b in shapes) + head)
    pairs = step_flops(config, batch) - 3 * tokens * products  # attention's, forward and backward
    frozen = 2 * products - 2 * shapes[0][0] * shapes[0][1]
    change = 6 * rank * sum(a + b for a, b in shapes) - 2 * rank * shapes[0][0]
    return pairs + tokens * (frozen + change)


def low_rank_parameters(config: ModelConfig, rank: int) -> int:
    """What is trained: rank (in + out) for every matrix of the blocks."""
    return rank * sum(a + b for a, b in _matrices(config))


def _matrices(config: ModelConfig) -> list[tuple[int, int]]:
    """Inputs and outputs of the matrices of all blocks; the first is the first layer's projection."""
    shapes = []
    for count, mixer, ffn in Architecture("", config).layers:
        if not isinstance(mixer, Attention) or mixer.gate or not isinstance(ffn, FeedForward):
            raise ValueError("config: attention without gate and SwiGLU in every layer")
        inner = mixer.heads * mixer.key_width
        projections = [(mixer.width, inner + 2 * mixer.kv_heads * mixer.key_width), (inner, mixer.width)]
        shapes += count * [*projections, (mixer.width, 2 * ffn.hidden), (ffn.hidden, mixer.width)]
    return shapes
