"""A task's examples as prompts: its ids become words of the model's tokenizer, solved examples may stand before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recallscope.tasks.task import NO_ANSWER, Examples, Task
from recallscope.text import Tokenizer

_SPACES = ("Ġ", "▁")  # how byte-level BPE and SentencePiece write a leading space
_FILLERS = (".", "Ġ.", "▁.", ",")
_LINE_BREAKS = ("Ċ", "<0x0A>", "\n")


@dataclass(frozen=True)
class Mapping:
    """Which token stands for which id of a task.

    Attributes
    ----------
    tokens : Tensor
        `[vocabulary]` int64: the token of each id of the task, no two the same.
    before : tuple of int
        What opens the prompt: the tokenizer's beginning-of-text token, if there is one.
    separator : tuple of int
        What follows a solved example: a line break.
    """

    tokens: Tensor
    before: tuple[int, ...] = ()
    separator: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prompts:
    """`ids [examples, T]` (rows padded on the right, which a causal model cannot see) and `positions [examples, Q]`."""

    ids: Tensor
    positions: Tensor
    lengths: Tensor


def as_ids(task: Task, known: int | None) -> Mapping:
    """The task's ids as they are, and nothing else: for models trained on the task, or on no text at all."""
    if known is not None and known < task.vocabulary:
        raise ValueError(f"task: uses {task.vocabulary} ids, the model knows {known}; choose a smaller vocabulary")
    return Mapping(torch.arange(task.vocabulary))


def as_words(task: Task, tokenizer: Tokenizer, known: int | None, seed: int) -> Mapping:
    """Words of the tokenizer, chosen at random by `seed`; id 0, filler in most tasks, becomes a full stop."""
    words = [word for word in word_tokens(tokenizer) if known is None or word < known]
    filler = _first(tokenizer, _FILLERS)
    if filler is None:
        raise ValueError("tokenizer: has no token for a full stop or a comma; use map_to='ids'")
    if len(words) < task.vocabulary - 1:
        most = len(words) + 1
        raise ValueError(
            f"task: vocabulary {task.vocabulary} needs {task.vocabulary - 1} words, the tokenizer has {len(words)}; "
            f"a vocabulary of at most {most} fits"
        )
    chosen = np.random.default_rng(seed).choice(words, task.vocabulary - 1, replace=False)
    break_ = _first(tokenizer, _LINE_BREAKS)
    return Mapping(
        torch.tensor([filler, *chosen.tolist()]),
        () if tokenizer.bos is None else (tokenizer.bos,),
        (filler if break_ is None else break_,),
    )


def word_tokens(tokenizer: Tokenizer) -> list[int]:
    """Ids of tokens that are a space and letters; or letters alone if the tokenizer never joins a space to them."""
    backend = tokenizer.backend
    special = set(backend.get_added_tokens_decoder())
    ids = [at for at in range(tokenizer.vocabulary) if at not in special and backend.id_to_token(at) is not None]
    letters = [at for at, text in zip(ids, tokenizer.pieces(ids), strict=True) if text.strip(" ").isalpha()]
    spaced = [at for at in letters if backend.id_to_token(at).startswith(_SPACES)]
    return spaced or letters


def _first(tokenizer: Tokenizer, spellings: Sequence[str]) -> int | None:
    found = (tokenizer.backend.token_to_id(spelling) for spelling in spellings)
    return next((at for at in found if at is not None), None)


def build_prompts(examples: Examples, mapping: Mapping, solved: Examples | None = None) -> Prompts:
    """Prompts of `examples`; of `solved`, as many times more, the first k go before the first example, and so on.

    A solved example is its input with every answer put in behind its question (unless it stands there already) and a
    line break after it. The opening token and the asked example are as they are.
    """
    inputs, count = examples.inputs.long(), len(examples)
    before = [list(mapping.before) for _ in range(count)]
    if solved is not None:
        each = len(solved) // count
        for at, text in enumerate(_solutions(solved)):
            before[at // each] += mapping.tokens[text].tolist() + list(mapping.separator)
    offsets = torch.tensor([len(part) for part in before])
    ids = torch.zeros(count, int(offsets.max()) + inputs.shape[1], dtype=torch.int64)
    for row, part in enumerate(before):
        ids[row, : len(part)] = torch.tensor(part, dtype=torch.int64)
    ids.scatter_(1, offsets[:, None] + torch.arange(inputs.shape[1]), mapping.tokens[inputs])
    return Prompts(ids, offsets[:, None] + examples.positions.long(), offsets + inputs.shape[1])


def _solutions(solved: Examples) -> list[Tensor]:
    found = []
    for line, positions, answers in zip(
        *(x.numpy() for x in (solved.inputs, solved.positions, solved.answers)), strict=True
    ):
        asked = answers != NO_ANSWER
        after, answers = positions[asked].astype(np.int64) + 1, answers[asked]
        stands = np.append(line, NO_ANSWER)[after] == answers
        found.append(torch.from_numpy(np.insert(line, after[~stands], answers[~stands]).astype(np.int64)))
    return found


def prompt_text(tokenizer: Tokenizer, prompts: Prompts, row: int = 0) -> str:
    """One prompt as text, special tokens shown."""
    ids = prompts.ids[row, : int(prompts.lengths[row])].tolist()
    return tokenizer.backend.decode(ids, skip_special_tokens=False)
