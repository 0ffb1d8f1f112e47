"""Small runs of every kind, in one process for each engine, since starting Ray takes seconds.

python scenarios.py ENGINE WORKERS FOLDER [SCENARIO ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from recallscope.bundled import bundled_tokenizer
from recallscope.slicing.run import slice_text
from recallscope.slicing.scoring import Windowing
from recallscope.slicing.settings import SliceSettings
from recallscope.text import Document

WORDS = "the cat sat on a mat and saw one red bird fly over that old house near my small green door".split()
SETTINGS = SliceSettings(Windowing(16, 16), shard_tokens=400)


def text(documents: int, seed: int) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [Document(f"doc-{k}", " ".join(rng.choice(WORDS, int(rng.integers(20, 90))))) for k in range(documents)]


def steady(ids: np.ndarray) -> np.ndarray:
    """Loss of a token: its id, scaled."""
    return (ids[:, 1:] % 97 / 7).astype(np.float32)


def forgetful(ids: np.ndarray) -> np.ndarray:
    """Half a nat more for every third id."""
    return steady(ids) + np.float32(0.5) * (ids[:, 1:] % 3 == 0)


def broken(ids: np.ndarray) -> np.ndarray:
    return np.where(ids[:, 1:] % 2 == 0, np.nan, np.float32(1))


def plain(folder: Path, out: Path, **engine) -> None:
    """Callables, and training text of more blocks than one."""
    slice_text(
        [steady, forgetful], text(24, 5), out, tokenizer=bundled_tokenizer(), training_text=text(200, 9),
        settings=SETTINGS, show_progress=False, **engine,
    )  # fmt: skip


def mixed(folder: Path, out: Path, **engine) -> None:
    """Models in folders, of different tokenizers."""
    models = [folder / "coarse", folder / "fine"]
    slice_text(models, text(24, 5), out, training_text=text(200, 9), settings=SETTINGS, show_progress=False, **engine)


def losses(folder: Path, out: Path, **engine) -> None:
    """Losses from a file, and no training text."""
    models = [steady, f"forgetful={folder / 'forgetful.parquet'}"]
    slice_text(
        models, text(24, 5), out, tokenizer=bundled_tokenizer(), settings=SETTINGS, show_progress=False, **engine
    )


def refused(folder: Path, out: Path, **engine) -> None:
    """A model whose losses are not numbers: what the error says goes into a file."""
    try:
        slice_text(
            [steady, broken], text(24, 5), out, tokenizer=bundled_tokenizer(), settings=SETTINGS, show_progress=False,
            **engine,
        )  # fmt: skip
    except ValueError as error:
        out.with_suffix(".error").write_text(str(error))


SCENARIOS = {one.__name__: one for one in (plain, mixed, losses, refused)}

if __name__ == "__main__":
    name, workers, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    for wanted in sys.argv[4:] or SCENARIOS:
        SCENARIOS[wanted](folder, folder / f"{wanted}-{name}", engine=name, workers=workers)
