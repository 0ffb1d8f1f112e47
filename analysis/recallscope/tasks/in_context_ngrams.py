"""In-context n-grams: the next letter by counts within the prompt, a baseline of in-context language learning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recallscope.tasks.task import check


def ngram_probabilities(inputs: Tensor, order: int, letters: int) -> Tensor:
    """`[examples, T, letters + 2]`: distribution of the next letter after each token, by counts so far; float32.

    The back-off n-gram of Akyürek et al. 2024 (arXiv 2401.12973), as the authors' code computes it. After each token
    the counts are those of the prompt so far, strings padded at the start with order - 1 symbols of their own. With h
    the last order - 1 symbols and N the number of times h has occurred, the present occurrence included, a letter seen
    after h has probability count(h, letter) / N, unsmoothed. What is left, at least the present occurrence's 1 / N,
    goes to the letters not yet seen after h, in proportion to their probability by the next lower order (at the end
    their share of all letters). Letters not yet seen in the prompt have probability 0. If all others were seen after h,
    what is left is lost and the row sums to less than 1.

    Parameters
    ----------
    inputs : Tensor
        `[examples, T]` prompts: ids below `letters`, `letters` for a separator, `letters + 1` for padding at the end
        (rows of the padding are 0).
    order : int
        n, 1 to 8: the n-gram sees n - 1 letters.
    letters : int
        Number of letters.
    """
    check(1 <= order <= 8, "order", "1 to 8", order)
    coded = len(inputs) * (letters + 2) ** (order - 1) < 2**63
    check(coded, "order", f"{len(inputs)} prompts, {letters} letters: contexts that fit 63 bits", order)
    low, high = int(inputs.min()), int(inputs.max())
    check(low >= 0 and high <= letters + 1, "inputs", f"ids 0 to {letters + 1}", f"{low} to {high}")
    rows = len(inputs)
    # a separator before the first string makes its empty prefix an occurrence of the padding, as for all other strings
    tokens = np.concatenate([np.full((rows, 1), letters), inputs.cpu().numpy()], 1).astype(np.int64)
    contexts = [_contexts(tokens, width, letters) for width in range(order)]
    seen = [np.zeros((context.max() + 1, letters)) for context in contexts]
    visits = [np.zeros(len(table)) for table in seen]
    result = np.zeros((rows, tokens.shape[1], letters + 2), np.float32)
    active = np.arange(rows)
    for step in range(tokens.shape[1]):
        active = active[tokens[active, step] <= letters]
        ids = [context[active, step] for context in contexts]
        counts = seen[0][ids[0]]
        row = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        for width in range(1, order):
            visits[width][ids[width]] += 1
            counts, total = seen[width][ids[width]], visits[width][ids[width], None]
            lower = np.where(counts > 0, 0, row)
            left = (total - counts.sum(1, keepdims=True)) / total
            mass = lower.sum(1, keepdims=True)
            row = counts / total + lower * np.divide(left, mass, out=np.zeros_like(mass), where=mass > 0)
        result[active, step, :letters] = row
        if step + 1 < tokens.shape[1]:
            letter = tokens[active, step + 1]
            goes_on = letter < letters
            for width in range(order):
                seen[width][ids[width][goes_on], letter[goes_on]] += 1
    return torch.from_numpy(result[:, 1:]).to(inputs.device)


def _contexts(tokens: np.ndarray, width: int, letters: int) -> np.ndarray:
    """`[examples, T]`: a number per example and context, the last `width` symbols of the string (its start padded)."""
    rows, columns = tokens.shape
    index = np.arange(columns)
    since = index - np.maximum.accumulate(np.where(tokens == letters, index, 0), axis=1)
    code = np.repeat(np.arange(rows)[:, None], columns, 1)
    for back in range(width):
        symbol = tokens[:, np.maximum(index - back, 0)]
        code = code * (letters + 2) + np.where(back < since, symbol, letters)
    return np.unique(code, return_inverse=True)[1].reshape(rows, columns)
