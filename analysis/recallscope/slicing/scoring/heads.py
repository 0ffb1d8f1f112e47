"""From a causal model to losses: the head in chunks of positions if it gives the model's logits, else those whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.allocator import keep_freed_memory
from recallscope.slicing.scoring.score import Score

if TYPE_CHECKING:
    from torch import Tensor

HEAD_ROWS = 128  # positions whose logits exist at one time; 128 x 50,257 float32 are 26 MB
LOGITS = 2**27  # logits of whole rows that exist at one time, if the head cannot be had by itself; but one row at least
PROBE = 64  # tokens per row of the probe batch


def head_in_chunks(hidden: Callable[[Tensor], Tensor], head: Callable[[Tensor], Tensor], device: Any) -> Score:
    """`nll = logsumexp(head(h)) - head(h)[target]` in float32, at most 128 positions' logits in memory at a time.

    Parameters
    ----------
    hidden : callable
        `ids [B, T] -> [B, T, D]`, for ids on `device`.
    head : callable
        `[N, D] -> logits [N, V]`, on whatever device it likes.
    """
    import torch

    keep_freed_memory()

    def score(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(ids).to(device)
            states, targets = hidden(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()
            parts = [
                nll_of(head(states[at : at + HEAD_ROWS]), targets[at : at + HEAD_ROWS])
                for at in range(0, len(targets), HEAD_ROWS)
            ]
            return torch.cat(parts).view(ids.shape[0], -1).cpu().numpy()

    return score


def full_logits(model: Any, device: Any, vocabulary: int) -> Score:
    """Losses from the model's own logits, as many rows at a time as give `LOGITS` of them."""
    import torch

    keep_freed_memory()

    def score(ids: np.ndarray) -> np.ndarray:
        rows = max(LOGITS // ((ids.shape[1] - 1) * vocabulary), 1)
        with torch.inference_mode():
            parts = [_row_losses(model, part.to(device)) for part in torch.from_numpy(ids).split(rows)]
            return torch.cat(parts).cpu().numpy()

    return score


def _row_losses(model: Any, ids: Tensor) -> Tensor:
    import torch

    logits, targets = model(input_ids=ids[:, :-1], **no_cache(model)).logits.flatten(0, 1), ids[:, 1:].flatten()
    parts = [nll_of(*part) for part in zip(logits.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)]
    return torch.cat(parts).view(ids.shape[0], -1)


def nll_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Losses `[N]` of logits `[N, V]` in float32, whatever the dtype of the model."""
    logits = logits.float()
    return logits.logsumexp(-1) - logits.gather(1, targets[:, None].to(logits.device))[:, 0]


def no_cache(module: Any) -> dict[str, bool]:
    """`use_cache=False` for modules that know the word: nothing is kept for a next step."""
    known = inspect.signature(module.forward).parameters.values()
    named = any(one.name == "use_cache" or one.kind is one.VAR_KEYWORD for one in known)
    return {"use_cache": False} if named else {}


def probe_ids(vocabulary: int, longest: int | None, device: Any) -> Tensor:
    """Two rows of random ids that differ in their second halves, int64 `[2, T]`, T at most 64."""
    import torch

    length = max(min(PROBE, longest or PROBE), 2)
    ids = torch.randint(0, vocabulary, (2, length), generator=torch.Generator().manual_seed(0))
    ids[1, : length // 2] = ids[0, : length // 2]
    ids[1, length // 2] = (ids[0, length // 2] + 1) % vocabulary
    return ids.to(device)


def sees_later_tokens(model: Any, probe: Tensor) -> bool:
    """Whether logits change with tokens that come after them, on the rows of `probe_ids`."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=probe, **no_cache(model)).logits[:, : probe.shape[1] // 2]
    return not _close(logits[0], logits[1], 1e-3)


def head_is_all(model: Any, body: Any, head: Any, probe: Tensor) -> bool:
    """Whether the model's logits are what `head` makes of `body`'s hidden states, and nothing more.

    The model runs with the head's output replaced by large random numbers, which must come back untouched: a soft cap,
    a scale or a bias after the head shows however small the model's own logits are. What the head is given must be the
    hidden states of the body. Both run on random ids.
    """
    import torch

    seen: list[tuple[Tensor, Tensor]] = []

    def replace(module: Any, inputs: tuple[Tensor, ...], output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            return output
        noise = 100 * torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        noise = noise.to(output.device, output.dtype)
        seen.append((inputs[0], noise))
        return noise.clone()  # what follows may work in place

    hook = head.register_forward_hook(replace)
    try:
        with torch.inference_mode():
            logits = model(input_ids=probe, **no_cache(model)).logits
    finally:
        hook.remove()
    if len(seen) != 1:
        return False
    given, noise = seen[0]
    with torch.inference_mode():
        states = getattr(body(input_ids=probe, **no_cache(body)), "last_hidden_state", None)
    if states is None or logits.shape != noise.shape or states.shape != given.shape:
        return False
    return torch.equal(logits.float(), noise.float().to(logits.device)) and _close(states, given, 1e-4)


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two tensors differ by rounding only: `tolerance` of their largest entry; 100 times that below float32.

    NaN equals NaN: broken weights are reported with the loss that they give.
    """
    import torch

    tolerance *= 1 if torch.finfo(one.dtype).bits >= 32 else 100
    one, other = one.float(), other.float().to(one.device)
    scale = one.nan_to_num(0, 0, 0).abs().max()
    same = (one == other) | (one.isnan() & other.isnan())
    return bool((same | ((one - other).abs() <= tolerance * scale)).all())
