"""A few members that run as one model, the batches that they see, and what has become of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recallscope.tasks.task import Examples
from recallscope.training.members.members import Members
from recallscope.training.members.mix import Batches, Mix
from recallscope.training.members.outcome import Outcome
from recallscope.training.members.recipe import Recipe
from recallscope.training.members.scores import score_sums

_EVALUATED = 2**14  # tokens of all members at once while evaluating


class Crew:
    """Members, trained together from evaluation to evaluation."""

    def __init__(self, build: Callable[[], nn.Module], mix: Mix, recipe: Recipe, outcomes: list[Outcome], device: str):
        self.mix, self.recipe, self.outcomes, self.device = mix, recipe, outcomes, device
        self.left = list(range(len(outcomes)))
        self.members = Members(build, [o.member for o in outcomes], recipe.weight_decay, device, recipe.compile)
        self._batches = {
            seed: Batches(mix, seed, recipe.batch, recipe.examples, device)
            for seed in dict.fromkeys(o.member.seed for o in outcomes)
        }

    def __len__(self) -> int:
        return len(self.left)

    def advance(self, start: int, end: int, tick: Callable[[int], None]) -> None:
        """Train from step `start` to `end`, evaluate, and let go of members that have arrived or diverged."""
        if not self.left:
            return
        total = torch.zeros(len(self.left), dtype=torch.float64, device=self.device)
        for step in range(start, end):
            inputs, positions, answers = self._batch(step)
            torch.manual_seed(step)  # for mixers that draw while they train
            rates = [self.recipe.rate(member.rate, step) for member in self.members.members]
            losses = self.members.step(inputs, positions, answers, rates, self.recipe.bfloat16)
            total += losses
            tick(len(losses))
        scores = self._evaluate(final=False)
        kept = []
        for place, (i, loss, tasks) in enumerate(zip(self.left, total.tolist(), scores, strict=True)):
            outcome, mean = self.outcomes[i], sum(_main(score) for score in tasks) / len(tasks)
            outcome.curve.append((end, loss / (end - start), mean))
            if not math.isfinite(loss) or not math.isfinite(mean):
                outcome.stopped = "diverged"
            elif self.recipe.stop_at is not None and "accuracy" in tasks[0] and mean > self.recipe.stop_at:
                outcome.stopped = "reached" if end < self.recipe.steps else ""
            if not outcome.stopped:
                kept.append(place)
        self._let_go(kept)

    def _let_go(self, kept: list[int]) -> None:
        if len(kept) == len(self.left):
            return
        tests = self._evaluate(final=True)
        for place in set(range(len(self.left))) - set(kept):
            self.outcomes[self.left[place]].tests = tests[place]
        self.left = [self.left[place] for place in kept]
        if kept:
            self.members.keep(kept)

    def finish(self) -> None:
        """Test scores of the members that are left."""
        if self.left:
            for i, tests in zip(self.left, self._evaluate(final=True), strict=True):
                self.outcomes[i].tests = tests

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, positions and answers of a step, `[M, B, ...]`: members of one seed see the same."""
        drawn = {seed: batches(step) for seed, batches in self._batches.items()}
        examples = [drawn[member.seed] for member in self.members.members]
        parts = [trained_on(one, self.mix.trained_on_all) for one in examples]
        inputs, positions, answers = (torch.stack(column) for column in zip(*parts, strict=True))
        return (inputs if inputs.is_floating_point() else inputs.long()), positions.long(), answers

    @torch.no_grad()
    def _evaluate(self, final: bool) -> list[list[dict[str, float]]]:
        """Scores of each member on each test task; every seed is evaluated on the examples of the first."""
        size, count = self.recipe.test if final else self.recipe.validation, len(self.members)
        results: list[list[dict[str, float]]] = [[] for _ in range(count)]
        for examples in self.mix.held_out(size, final, self.device):
            rows = max(1, _EVALUATED // (count * examples.inputs.shape[1]))
            sums: dict[str, Tensor] = {}
            for start in range(0, len(examples), rows):
                part = examples.rows(slice(start, start + rows))
                inputs = part.inputs if part.inputs.is_floating_point() else part.inputs.long()
                wide = [x.expand(count, *x.shape) for x in (inputs, part.positions.long())]
                with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.bfloat16):
                    outputs = self.members.logits(*wide)
                for name, value in score_sums(outputs, part).items():
                    sums[name] = sums.get(name, 0) + value
            for member in range(count):
                results[member].append(_scores({name: value[member].item() for name, value in sums.items()}))
        return results

    def state_dict(self) -> dict[str, Any]:
        members = self.members.state_dict() if self.left else None
        return {"left": self.left, "members": members, "outcomes": [o.to_dict() for o in self.outcomes]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.left = state["left"]
        if self.left:
            self.members.load_state_dict(state["members"])
        for outcome, saved in zip(self.outcomes, state["outcomes"], strict=True):
            loaded = type(outcome).from_dict(saved)
            outcome.curve, outcome.stopped, outcome.tests = loaded.curve, loaded.stopped, loaded.tests


def trained_on(examples: Examples, everything: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What a batch is trained on: its questions, or every next token."""
    if not everything:
        return examples.inputs, examples.positions, examples.answers
    last = examples.inputs.shape[1] - 1
    positions = torch.arange(last, device=examples.inputs.device).expand(len(examples), -1)
    return examples.inputs, positions, examples.inputs[:, 1:]


def _scores(sums: dict[str, float]) -> dict[str, float]:
    count = sums["count"]
    scores = {"answers": count, "loss": sums["loss"] / sums.get("answered", count)}
    if "correct" in sums:
        scores["accuracy"] = sums["correct"] / count
    if "variation" in sums:
        scores["total variation"] = sums["variation"] / count
    return scores


def _main(score: dict[str, float]) -> float:
    return score.get("accuracy", score["loss"])
