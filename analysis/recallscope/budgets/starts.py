"""What each method has before it sees a domain's specialisation set: pre-trained models at several budgets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recallscope.architectures.config import ModelConfig
from recallscope.architectures.model import LanguageModel
from recallscope.budgets.clusters import histogram, importance_weights
from recallscope.budgets.models import ProjectedModel
from recallscope.budgets.protocol import Clusters, Protocol, World
from recallscope.budgets.text import Domain
from recallscope.budgets.training import Trainer, drawn, losses, next_token, passes


@dataclass(frozen=True)
class Start:
    """A method after pre-training.

    Attributes
    ----------
    method : str
        Its name in `METHODS`.
    steps : int
        Steps of pre-training, of all experts together.
    generic, before : int
        FLOPs before the domain is known, and of pre-training that only this domain can use.
    parameters : int
        Of all that was pre-trained.
    choose : callable
        A specialisation set `[n, T + 1]` to the model that is fine-tuned on it, with weights of its own.
    test : callable or None
        Windows of generic text to the loss of each.
    """

    method: str
    steps: int
    generic: int
    before: int
    parameters: int
    choose: Callable[[np.ndarray], LanguageModel]
    test: Callable[[np.ndarray], np.ndarray] | None


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def plain(
    method: str, config: ModelConfig, rate: float, world: World, protocol: Protocol, seed: int
) -> Iterator[Start]:
    """One model on generic windows in random order: SLM, LLM."""
    batches = drawn(world.pool.ids, protocol.batch, max(protocol.generic_steps), seed)
    for steps, model, flops in _snapshots(config, rate, batches, protocol, seed):
        yield Start(method, steps, flops, 0, count(model), _copies(model), lambda ids, m=model: losses(m, ids))


def resampled(world: World, clusters: Clusters, domain: Domain, protocol: Protocol, seed: int) -> Iterator[Start]:
    """SLM-is: generic windows drawn by the importance weights of one domain's smallest specialisation set.

    The set lies within the larger ones, so that one run serves them all. Pre-training counts as specialisation.
    """
    weights = domain_weights(clusters, domain.specialisation(min(protocol.sizes)[0], seed))
    steps = max(protocol.generic_steps)
    batches = drawn(world.pool.ids, protocol.batch, steps, seed, weights[clusters.of_pool])
    for steps, model, flops in _snapshots(protocol.small, protocol.rate("small"), batches, protocol, seed):
        yield Start("SLM-is", steps, 0, flops, count(model), _copies(model), None)


def domain_weights(clusters: Clusters, ids: np.ndarray) -> np.ndarray:
    """Importance weight of each cluster for a domain of which the windows `ids` are known."""
    k = len(clusters.centres)
    return importance_weights(histogram(clusters.of(ids), k), histogram(clusters.of_pool, k))


def scratch(protocol: Protocol, seed: int) -> Start:
    """SLM-nopt: fresh weights."""
    torch.manual_seed(seed)
    model = LanguageModel(protocol.small)
    return Start("SLM-nopt", 0, 0, 0, count(model), _copies(model), None)


def mixture(world: World, clusters: Clusters, protocol: Protocol, seed: int) -> Iterator[Start]:
    """SLM-mix: an independent model for each cluster, each trained on its cluster's share of the steps."""
    torch.manual_seed(seed)
    experts = [LanguageModel(protocol.small) for _ in clusters.centres]
    trainers = [Trainer(expert, protocol.rate("small")) for expert in experts]
    for step, (cluster, ids) in enumerate(_by_cluster(world, clusters, protocol, seed), 1):
        trainers[cluster].step(ids, next_token(experts[cluster]))
        if step in protocol.generic_steps:
            own, flops = copy.deepcopy(experts), sum(trainer.flops for trainer in trainers)

            def choose(ids: np.ndarray, own: list[LanguageModel] = own) -> LanguageModel:
                return copy.deepcopy(own[clusters.most_frequent(ids)])

            yield Start("SLM-mix", step, flops, 0, sum(map(count, own)), choose, _routed(clusters, own.__getitem__))


def projected(world: World, clusters: Clusters, protocol: Protocol, seed: int) -> Iterator[Start]:
    """SLM-pn: one projected network; every batch is of one cluster and trains that cluster's projection."""
    torch.manual_seed(seed)
    model = ProjectedModel(protocol.small, *protocol.projected)
    trainer = Trainer(model, protocol.rate("small"))
    for step, (cluster, ids) in enumerate(_by_cluster(world, clusters, protocol, seed), 1):
        trainer.step(ids, next_token(lambda ids, cluster=cluster: model(ids, cluster)))
        if step in protocol.generic_steps:
            own = copy.deepcopy(model)

            def choose(ids: np.ndarray, own: ProjectedModel = own) -> LanguageModel:
                return own.instantiate(clusters.most_frequent(ids))

            yield Start("SLM-pn", step, trainer.flops, 0, count(own), choose, _routed(clusters, own.instantiate))


def _snapshots(
    config: ModelConfig, rate: float, batches: Iterator[np.ndarray], protocol: Protocol, seed: int
) -> Iterator[tuple[int, LanguageModel, int]]:
    """Steps, a copy of the model after them, and the FLOPs spent."""
    torch.manual_seed(seed)
    model = LanguageModel(config)
    trainer = Trainer(model, rate)
    for step, ids in enumerate(batches, 1):
        trainer.step(ids, next_token(model))
        if step in protocol.generic_steps:
            yield step, copy.deepcopy(model), trainer.flops


def _copies(model: LanguageModel) -> Callable[[np.ndarray], LanguageModel]:
    return lambda ids: copy.deepcopy(model)


def _by_cluster(world: World, clusters: Clusters, protocol: Protocol, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """A cluster, drawn by its share of the windows, and a batch of it; as many as the longest generic training."""
    rng, k = np.random.default_rng([seed, 4]), len(clusters.centres)
    own = [world.pool.ids[clusters.of_pool == cluster] for cluster in range(k)]
    for cluster, ids in enumerate(own):
        if len(ids) < protocol.batch:
            raise ValueError(f"clusters: at least {protocol.batch} windows in each, got {len(ids)} in number {cluster}")
    feeds = [passes(ids, protocol.batch, 1_000_000, seed) for ids in own]
    for cluster in rng.choice(k, max(protocol.generic_steps), p=histogram(clusters.of_pool, k)):
        yield int(cluster), next(feeds[cluster])


def _routed(clusters: Clusters, expert: Callable[[int], LanguageModel]) -> Callable[[np.ndarray], np.ndarray]:
    """The loss of each window under the expert of its cluster."""

    def test(ids: np.ndarray) -> np.ndarray:
        chosen, found = clusters.of(ids), np.zeros(len(ids))
        for cluster in np.unique(chosen):
            found[chosen == cluster] = losses(expert(int(cluster)), ids[chosen == cluster])
        return found

    return test
