"""What loops over language models share: optimisers, a step of them, checkpoints that a killed run goes on from."""

from __future__ import annotations

from pathlib import Path

import torch

from recallscope.architectures.model import LanguageModel
from recallscope.training.checkpoint import read_checkpoint, write_checkpoint


def muon_and_adamw(model: LanguageModel, rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, at AdamW's update size; AdamW for everything else.

    At 0.79 M tokens its loss was 0.74 nats below AdamW's, in a trial whose biases differed too (see LOG.md).
    """
    named = list(model.named_parameters())
    matrices = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    hidden = {name for name, _ in named if name in matrices and name.startswith("blocks.")}
    rest = [p for name, p in named if name not in hidden]
    return [
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        torch.optim.Muon(
            [p for name, p in named if name in hidden],
            lr=rate,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
    ]


def update(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """One step of all of them at this rate; gradients are gone then."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()


def save_checkpoint(
    path: Path, identity: str, step: int, model: LanguageModel, optimizers: list[torch.optim.Optimizer]
) -> None:
    """Everything that a run needs to go on, replaced by rename; `identity` says what the run is."""
    states = [optimizer.state_dict() for optimizer in optimizers]
    write_checkpoint(path, identity, step=step, model=model.state_dict(), optimizers=states)


def resume(path: Path, identity: str, model: LanguageModel, optimizers: list[torch.optim.Optimizer]) -> int:
    """Restore a checkpoint and return the step to go on with; 0 when there is none. Another run's is refused."""
    refusal = f"folder: {path.parent} holds a run of another configuration; choose another folder"
    saved = read_checkpoint(path, identity, refusal)
    if saved is None:
        return 0
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return saved["step"]
