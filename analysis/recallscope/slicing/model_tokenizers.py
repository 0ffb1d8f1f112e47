"""The tokenizers that models bring, and how many ids they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from recallscope.bundled import bundled_names, bundled_tokenizer
from recallscope.slicing.scoring.losses_file import LossesFile
from recallscope.slicing.scoring.score import Scorer
from recallscope.text import Tokenizer, load_tokenizer

ModelLike = str | Path | Callable


def resolve_tokenizers(
    models: Sequence[ModelLike], found: Sequence[Scorer | LossesFile], given: str | Path | Tokenizer | None
) -> dict[str, Tokenizer]:
    """The tokenizer of each model, by its name: the given one, its own, or that of the others; empty if there is none.

    Raises `ValueError` when two models have different tokenizers and a third none of its own.
    """
    if given is not None:
        one = given if isinstance(given, Tokenizer) else load_tokenizer(given)
        return {model.name: one for model in found}
    own = {model.name: tokenizer_of(name) for name, model in zip(models, found, strict=True)}
    known = {one.hash: one for one in own.values() if one is not None}
    without = [name for name, one in own.items() if one is None]
    if len(known) > 1 and without:
        raise ValueError(
            f"models: the tokenizers differ, and {', '.join(without)} brings none: name --tokenizer, or leave it out"
        )
    return {name: one or next(iter(known.values())) for name, one in own.items()} if known else {}


def tokenizer_of(model: ModelLike) -> Tokenizer | None:
    """The tokenizer that a model brings, None if it brings none."""
    if not isinstance(model, (str, Path)) or "=" in str(model):
        return None
    if str(model) in bundled_names():
        return bundled_tokenizer()
    path = Path(model)
    if path.is_dir() and not any((path / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")):
        return None
    return load_tokenizer(model)


def vocabulary_of(models: Sequence[Scorer | LossesFile], tokenizers: Mapping[str, Tokenizer]) -> int:
    """Ids that tokens may have: those of a tokenizer, or without one the smallest model's, or 2³¹."""
    sizes = {m.name: m.vocabulary for m in models if isinstance(m, Scorer) and m.vocabulary is not None}
    if not tokenizers:
        return min(sizes.values(), default=2**31)
    for name, size in sizes.items():
        ids = tokenizers[name].vocabulary
        if size < ids:
            raise ValueError(f"tokenizer: has {ids} ids, but model {name} knows only {size}")
    return max(one.vocabulary for one in tokenizers.values())
