"""From a start to specialised models: fine-tuning, low-rank changes and distillation, measured on the domain's test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.model import LanguageModel
from recallscope.budgets.flops import forward_flops
from recallscope.budgets.models import merged, with_low_rank
from recallscope.budgets.protocol import Protocol
from recallscope.budgets.starts import Start
from recallscope.budgets.text import Domain, Windows
from recallscope.budgets.training import Loss, Trainer, distilled, losses, next_token, passes

Row = dict[str, Any]


def specialised(start: Start, domain: Domain, protocol: Protocol, seed: int) -> Iterator[tuple[Row, LanguageModel]]:
    """Fine-tune all weights on each size of specialisation set: rows, with the model of each.

    The first row is the model before fine-tuning (0 tokens), unless there was no pre-training.
    """
    smallest = domain.specialisation(min(protocol.sizes)[0], seed)
    if start.steps:
        model = start.choose(smallest)
        yield _row(start, model, domain, protocol, 0, 0, start.before, seed), model
    rate = protocol.rate("scratch" if not start.steps else "tune_large" if start.method == "LLM" else "tune_small")
    for tokens, times in protocol.sizes:
        ids = domain.specialisation(tokens, seed)
        model = start.choose(ids)
        flops = tuned(model, ids, times, rate, next_token(model), protocol, seed)
        yield _row(start, model, domain, protocol, tokens, times, start.before + flops, seed), model


def low_rank(start: Start, domain: Domain, protocol: Protocol, seed: int) -> Iterator[Row]:
    """LLM-lora: low-rank changes of the large model, merged into it at the end."""
    for tokens, times in protocol.sizes:
        ids = domain.specialisation(tokens, seed)
        torch.manual_seed(seed)
        changed = with_low_rank(start.choose(ids), protocol.rank)
        flops = tuned(changed, ids, times, protocol.rate("rank"), next_token(changed), protocol, seed)
        row = _row(start, merged(changed), domain, protocol, tokens, times, flops, seed)
        yield row | {"subject": "LLM-lora"}


def taught(
    student: Start, teacher: Start, lesson: Row, model: LanguageModel, domain: Domain, protocol: Protocol, seed: int
) -> Row:
    """SLM-d: the student fine-tuned on text and teacher at once, `model` being the teacher after its own fine-tuning.

    `lesson` is the teacher's row: its fine-tuning, and both pre-trainings, count.
    """
    tokens, times = lesson["specialisation_tokens"], lesson["passes"]
    ids = domain.specialisation(tokens, seed)
    small, rate = student.choose(ids), protocol.rate("tune_small")
    flops = tuned(small, ids, times, rate, distilled(small, model.eval()), protocol, seed)
    row = _row(student, small, domain, protocol, tokens, times, lesson["specialise_flops"] + flops, seed)
    both = {"generic_flops": student.generic + teacher.generic}
    return row | both | {"subject": "SLM-d", "pretraining_parameters": student.parameters + teacher.parameters}


def tuned(
    model: LanguageModel, ids: np.ndarray, times: int, rate: float, loss: Loss, protocol: Protocol, seed: int
) -> int:
    """Train in place, so many passes, and return the FLOPs that it took."""
    trainer = Trainer(model, rate, len(ids) // protocol.batch * times)
    for batch in passes(ids, protocol.batch, times, seed):
        trainer.step(batch, loss)
    return trainer.flops


def _row(
    start: Start,
    model: LanguageModel,
    domain: Domain,
    protocol: Protocol,
    tokens: int,
    times: int,
    flops: int,
    seed: int,
) -> Row:
    final = Architecture("", model.config)
    return perplexity(losses(model, domain.test.ids), domain.test) | {
        "subject": start.method, "data": "specialised", "domain": domain.name, "seed": seed,
        "generic_tokens": start.steps * protocol.batch * protocol.small.context, "specialisation_tokens": tokens,
        "passes": times, "generic_flops": start.generic, "specialise_flops": flops,
        "inference_flops": forward_flops(model.config, 1) / model.config.context,
        "pretraining_parameters": start.parameters, "inference_parameters": final.parameters(),
    }  # fmt: skip


def generic_row(start: Start, test: Windows, protocol: Protocol, seed: int) -> Row:
    """Perplexity of a start on generic text; each window by the expert of its cluster."""
    assert start.test is not None
    tokens = start.steps * protocol.batch * protocol.small.context
    return perplexity(start.test(test.ids), test) | {
        "subject": start.method, "data": "generic", "seed": seed, "generic_tokens": tokens,
        "generic_flops": start.generic, "pretraining_parameters": start.parameters,
    }  # fmt: skip


def perplexity(nll: np.ndarray, windows: Windows, resamples: int = 1000) -> Row:
    """exp of the mean loss a token, with the 95 % interval of a bootstrap over documents; `n` documents.

    `nll` are the sums of the windows' losses in nats; the interval is that of the text, not of training.
    """
    context = windows.ids.shape[1] - 1
    _, owner = np.unique(windows.document, return_inverse=True)
    sums, tokens = np.bincount(owner, nll), np.bincount(owner) * context
    drawn = np.random.default_rng(0).integers(len(sums), size=(resamples, len(sums)))
    means = sums[drawn].sum(1) / tokens[drawn].sum(1)
    value, (low, high) = sums.sum() / tokens.sum(), np.quantile(means, [0.025, 0.975])
    ends = {"value": value, "low": low, "high": high}
    numbers = {name: round(float(np.exp(x)), 5) for name, x in ends.items()}
    return {"metric": "perplexity", "unit": "1", "n": len(sums), "kind": "measured"} | numbers
