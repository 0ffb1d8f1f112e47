"""Training on many devices: the products of a step, what is sent between devices, and how long they wait."""

from __future__ import annotations

from dataclasses import dataclass

from recallscope.architectures.operators._choice import need_whole
from recallscope.architectures.specification import Specification


def transformer_step_flops(
    layers: int, width: int, vocabulary: int, t: int, batch: int, recompute: bool = True
) -> float:
    """FLOPs of a step of a GPT: 96 B T L D² (1 + T / 6 D + V / 16 L D), the forward pass of the layers run twice.

    Narayanan et al. 2021, Eq. 3, also of Smith et al. 2022: 24 D² + 4 D T per layer and token forward (FFN of width
    4 D, or gated of 8/3 D; no masked pair left out), twice that backward, and once more with `recompute`; 6 D V for the
    head. Without recomputation 72 B T L D² (1 + T / 6 D + V / 12 L D).
    """
    for name, value in {"layers": layers, "width": width, "t": t, "batch": batch}.items():
        need_whole(name, value)
    forward = 24 * width**2 * (1 + t / (6 * width))
    return batch * t * ((4 if recompute else 3) * layers * forward + 6 * width * vocabulary)


def step_flops(specification: Specification, t: int, batch: int = 1, recompute: bool = False) -> float:
    """FLOPs of a step of any model; with `recompute`, the layers, not the head, run forward once more."""
    again = 0.0
    if recompute:
        head = sum(w.token_flops for w in specification.weights if w.name.split(".")[0] == "head")
        again = specification.prefill_flops(t, batch) - batch * t * head
    return specification.training_flops(t, batch) + again


def ring_all_reduce_bytes(elements: float, devices: int, bits: float = 16) -> float:
    """Bytes that each device sends for the sum of so many elements held by all: 2 (n − 1) / n of them."""
    need_whole("devices", devices)
    return 2 * (devices - 1) / devices * elements * bits / 8


def tensor_parallel_bytes(
    specification: Specification,
    t: int,
    batch: int,
    devices: int,
    bits: float = 16,
    recompute: bool = False,
) -> float:
    """Bytes that each device sends in a step when every matrix is split over n: 4 all-reduces of B T D a layer.

    Shoeybi et al. 2019 (Megatron-LM): one forward and one backward for each half of a layer (mixer and feed-forward; 2
    in all where there is none), and the forward ones again with `recompute`. Mixers that cannot be split by heads, the
    embedding and the head are left out.
    """
    config = specification.architecture.config
    halves = config.loops * specification.architecture._sublayers
    reduced = (3 if recompute else 2) * halves * batch * t * config.width
    return ring_all_reduce_bytes(reduced, devices, bits)


def pipeline_bubble(stages: int, microbatches: int, chunks: int = 1) -> float:
    """Time that devices wait / time that they work: (p − 1) / (m v).

    Narayanan et al. 2021: m microbatches through p stages, each device holding v chunks of layers, interleaved (m then
    a multiple of p). Equal stages; messages take no time.
    """
    for name, value in {"stages": stages, "microbatches": microbatches, "chunks": chunks}.items():
        need_whole(name, value)
    if chunks > 1 and microbatches % stages:
        raise ValueError(f"microbatches: a multiple of stages = {stages} if interleaved, got {microbatches}")
    return (stages - 1) / (microbatches * chunks)


@dataclass(frozen=True)
class SequenceMessages:
    """Bytes per sequence that the last of n devices needs from those before it, all layers, forward.

    Attributes
    ----------
    state : float
        The layers' states after the tokens of the others: the caches of attention, or a state of fixed size.
    activations : float
        The inputs of all layers for these tokens, from which everything could be computed anew.
    """

    state: float
    activations: float


def sequence_parallel_messages(
    specification: Specification, t: int, devices: int, bits: float = 16
) -> SequenceMessages:
    """What crosses the last boundary when t tokens are split over n devices in equal parts: E(c) or c D a layer.

    c = t (n − 1) / n. A recurrent state is sent from neighbour to neighbour (Sun et al. 2024), a cache travels in parts
    round the ring (Liu et al. 2023); either way, this much has to reach the last device. The gradient takes as much
    back. States are counted with the specification's bits, activations with `bits`.
    """
    need_whole("devices", devices)
    if t % devices:
        raise ValueError(f"t: a multiple of devices = {devices}, got {t}")
    before = t // devices * (devices - 1)
    config = specification.architecture.config
    state = specification.state_elements(before) if before else 0
    activations = config.loops * len(config.layers) * before * config.width
    return SequenceMessages(state * specification.state_bits / 8, activations * bits / 8)
