"""Train all members of one model on a mix of tasks: batched, stopped one by one, resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from recallscope.allocator import keep_freed_memory
from recallscope.architectures.config import ModelConfig
from recallscope.training.checkpoint import read_checkpoint, write_checkpoint
from recallscope.training.members.crew import Crew
from recallscope.training.members.members import Member
from recallscope.training.members.mix import Mix, named
from recallscope.training.members.outcome import Outcome
from recallscope.training.members.readouts import build_model
from recallscope.training.members.recipe import Recipe

_SHARED = 2**19  # hidden elements of the batches of members in one pass on a CPU: with more, the caches miss more often


def train_members(
    config: ModelConfig,
    mix: Mix,
    recipe: Recipe,
    members: Sequence[Member],
    folder: str | Path | None = None,
    device: str = "cpu",
    log: Callable[[int, list[Outcome]], None] | None = None,
    build: Callable[[], nn.Module] | None = None,
    tick: Callable[[int], None] = lambda steps: None,
    keep: bool = False,
) -> list[Outcome]:
    """Train one model once per member, and return what became of each, in the order of `members`.

    All members of a GPU run as one model with stacked weights; on a CPU groups of them do, side by side, one thread
    each. A member alone has all threads, and its last bits depend on how many. A member stops when it has reached
    `recipe.stop_at` or when its loss is no number; the others go on. `log(step, outcomes)` is called after each
    evaluation, `tick(n)` after each step of n members.

    With a `folder`, `checkpoint.pt` is replaced at each evaluation, and a killed run that is called again with the same
    arguments goes on there and ends with the same numbers, bit for bit on a CPU; other arguments are refused. In the
    end the file is removed, unless `keep` says that the caller has to write first what became of the members.

    `build` replaces the language model of `config` by any module with `at(inputs [B, T], positions [B, Q])`.
    """
    keep_freed_memory()
    if len(set(members)) < len(members) or not members:
        raise ValueError(f"members: at least one, and all different, got {list(members)}")
    make = build or (lambda: build_model(config, mix))
    outcomes = [Outcome(member) for member in members]
    elements = recipe.batch * max(t.length for t, _ in mix.train) * config.width
    groups = 1 if torch.device(device).type != "cpu" else groups_of(len(members), elements)
    parts = [outcomes[i * len(members) // groups : (i + 1) * len(members) // groups] for i in range(groups)]
    crews = [Crew(make, mix, recipe, part, device) for part in parts]
    identity = json.dumps([asdict(config), named(mix), asdict(recipe), [asdict(m) for m in members]], default=repr)
    checkpoint = Path(folder) / "checkpoint.pt" if folder else None
    step = _resume(checkpoint, identity, crews) if checkpoint else 0
    with _side_by_side(len(crews)) as each:
        while step < recipe.steps and any(len(crew) for crew in crews):
            ahead = min(step + recipe.evaluate_every, recipe.steps)
            each(lambda crew: crew.advance(step, ahead, tick), crews)  # noqa: B023
            step = ahead
            if checkpoint:
                _save(checkpoint, identity, step, crews)
            if log:
                log(step, outcomes)
        each(Crew.finish, crews)
    if checkpoint and not keep:
        checkpoint.unlink(missing_ok=True)
    return outcomes


@contextmanager
def _side_by_side(crews: int) -> Iterator[Callable[[Callable[[Crew], None], list[Crew]], object]]:
    """What calls a function on each of so many crews: in as many threads as torch has, each of which computes alone."""
    if crews == 1:  # all threads work on it
        yield lambda call, each: [call(crew) for crew in each]
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
            yield lambda call, each: list(pool.map(call, each))
    finally:
        torch.set_num_threads(threads)


def groups_of(members: int, elements: int) -> int:
    """Into how many groups so many members fall on a CPU, `elements` being those of one member's batch.

    An even number, so that two threads have as much to do; it does not depend on the threads that there are, since
    the last bits of results depend on the group.
    """
    least = -(-members * elements // _SHARED)
    return min(members, max(2, least + least % 2))


def _save(path: Path, identity: str, step: int, crews: list[Crew]) -> None:
    write_checkpoint(path, identity, step=step, crews=[crew.state_dict() for crew in crews])


def _resume(path: Path, identity: str, crews: list[Crew]) -> int:
    """Restore a checkpoint and return the step to go on with; 0 when there is none."""
    refusal = f"folder: {path.parent} holds a run with other settings; choose another folder"
    saved = read_checkpoint(path, identity, refusal)
    if saved is None:
        return 0
    for crew, state in zip(crews, saved["crews"], strict=True):
        crew.load_state_dict(state)
    return saved["step"]
