"""Many copies of one model, with rates and seeds of their own, trained in one pass over stacked weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from recallscope.training.members.scores import answer_losses


@dataclass(frozen=True)
class Member:
    """What one member of a sweep has of its own: its peak learning rate, and its seed (of weights and data)."""

    rate: float
    seed: int


class Members:
    """M copies of one model: each of its weights is stacked, and lies in one row of `flat` per member.

    Members do not mix: products run batched over them (`torch.vmap`), and each row has an AdamW of its own.

    Parameters
    ----------
    build : callable
        Makes the model, with a method `at(inputs, positions)`; called once per seed after `torch.manual_seed(seed)`.
    members : sequence of Member
        Seed and rate of each.
    weight_decay : float
        AdamW's, on every weight.
    device : str
        Where they live.
    compile : bool
        Compile forward and backward (with CUDA graphs on a GPU).
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        members: Sequence[Member],
        weight_decay: float,
        device: str = "cpu",
        compile: bool = False,
    ):
        self.members, self.weight_decay, self.device = list(members), weight_decay, torch.device(device)
        models = {}
        for member in members:
            if member.seed not in models:
                torch.manual_seed(member.seed)
                models[member.seed] = build()
        first = models[members[0].seed]
        self._shapes = {name: weight.shape for name, weight in first.named_parameters()}
        rows = {seed: torch.cat([w.detach().flatten() for w in model.parameters()]) for seed, model in models.items()}
        self._buffers = {
            name: torch.stack([models[m.seed].get_buffer(name) for m in members]).to(self.device)
            for name, _ in first.named_buffers()
        }
        self._asked = _Asked(first.to(self.device))
        self._adopt(torch.stack([rows[m.seed] for m in members]).to(self.device))
        mode = "reduce-overhead" if self.device.type == "cuda" else None
        self._losses = torch.compile(self._plain_losses, mode=mode, dynamic=False) if compile else self._plain_losses

    def _adopt(self, flat: Tensor) -> None:
        """Take rows of weights: views of them as weights, and an optimiser with a group for each row."""
        self.flat, shapes = flat, self._shapes.values()
        pieces = flat.split([shape.numel() for shape in shapes], 1)
        views = [
            piece.unflatten(1, shape) if shape else piece[:, 0] for piece, shape in zip(pieces, shapes, strict=True)
        ]
        self._weights = {name: view.requires_grad_() for name, view in zip(self._shapes, views, strict=True)}
        self._grads = torch.zeros_like(flat)
        rows = [nn.Parameter(row) for row in flat.unbind()]
        for row, grad in zip(rows, self._grads.unbind(), strict=True):
            row.grad = grad
        groups: list[dict[str, Any]] = [
            {"params": [row], "lr": member.rate} for row, member in zip(rows, self.members, strict=True)
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self.weight_decay, fused=True)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def parameters(self) -> int:
        """Weights of one member."""
        return self.flat.shape[1]

    def logits(self, inputs: Tensor, positions: Tensor) -> Tensor:
        """`[M, B, T]` and `[M, B, Q]` to `[M, B, Q, vocabulary]`."""
        return self._logits(self._weights, inputs, positions)

    def _logits(self, stacked: dict[str, Tensor], inputs: Tensor, positions: Tensor) -> Tensor:
        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], ids: Tensor, at: Tensor) -> Tensor:
            return functional_call(self._asked, (_inner(weights), _inner(buffers)), (ids, at))

        return vmap(one, randomness="different")(stacked, self._buffers, inputs, positions)

    def _plain_losses(self, stacked: dict[str, Tensor], inputs: Tensor, positions: Tensor, answers: Tensor) -> Tensor:
        return answer_losses(self._logits(stacked, inputs, positions), answers)

    def step(
        self, inputs: Tensor, positions: Tensor, answers: Tensor, rates: Sequence[float], bfloat16: bool = False
    ) -> Tensor:
        """One step at the members' learning rates now; returns the losses `[M]` before it, in nats per answer."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            losses = self._losses(self._weights, inputs, positions, answers)
        grads = torch.autograd.grad(losses.sum(), list(self._weights.values()), materialize_grads=True)
        torch.cat([grad.reshape(len(self), -1) for grad in grads], 1, out=self._grads)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.step()
        return losses.detach()

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with these members only; their optimisers' moments stay."""
        state = self.optimizer.state_dict()["state"]
        self.members = [self.members[i] for i in kept]
        self._buffers = {name: stacked[list(kept)] for name, stacked in self._buffers.items()}
        self._adopt(self.flat.detach()[list(kept)])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": {j: state[i] for j, i in enumerate(kept)}, "param_groups": groups})

    def state_dict(self) -> dict[str, Any]:
        members = [[member.rate, member.seed] for member in self.members]
        return {"members": members, "flat": self.flat.detach(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` was called, with the members that were left then."""
        left = [Member(rate, int(seed)) for rate, seed in state["members"]]
        places = [self.members.index(member) for member in left]
        self.members = left
        self._buffers = {name: stacked[places] for name, stacked in self._buffers.items()}
        self._adopt(state["flat"].to(self.device))
        self.optimizer.load_state_dict(state["optimizer"])


class _Asked(nn.Module):
    """A model's answers as its forward pass, which is what `functional_call` calls."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, positions: Tensor) -> Tensor:
        return self.model.at(inputs, positions)  # type: ignore[operator]


def _inner(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{name}": tensor for name, tensor in tensors.items()}
