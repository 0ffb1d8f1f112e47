"""Losses out of files of llama-perplexity: written here as its source says, read back, and sliced."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from recallscope.bounds.demand.sliced import slice_text
from recallscope.slicing.scoring import Windowing, cut_windows, open_losses, visible_context
from recallscope.slicing.settings import SliceSettings
from recallscope.text import Tokenizer, read_token_array
from recallscope.text.llama_cpp import open_chunks
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel

V, N, CHUNKS = 37, 16, 5
BOS = 1
RULE = Windowing(N, N, "none")


def text_tokens(bos: bool = True) -> np.ndarray:
    tokens = np.random.default_rng(0).integers(2, V, CHUNKS * N + 3)
    tokens[0] = BOS if bos else tokens[0]
    return tokens


def logits_of(ids: np.ndarray, spread: float) -> np.ndarray:
    """A made-up causal model: logits [T, V] that depend on all tokens so far."""
    state = np.cumsum(ids * 7919 + 13) % 1009
    return spread * np.sin(np.outer(state + 1, np.arange(1, V + 1)) * 0.37).astype(np.float32)


def record(logits: np.ndarray) -> bytes:
    """One position, as `log_softmax(n_vocab, logits, log_prob, tok)` of llama.cpp writes it."""
    top, low = logits.max(), max(logits.min(), logits.max() - np.float32(16))
    total = np.float32(np.log(np.exp(logits - top).astype(np.float64).sum()))
    scale = np.float32((top - low) / np.float32(65535))
    steps = np.rint((logits - low) / scale) if scale else np.zeros(V)
    written = np.where(logits > low, steps, 0).astype("<u2")
    return struct.pack("<ff", scale, low - top - total) + written.tobytes() + b"\0\0" * (V % 2)


def write(path: Path, tokens: np.ndarray, bos: bool = True, spread: float = 3.0) -> Path:
    """As `perplexity` of llama.cpp writes it: whole chunks, the second half of each."""
    chunks = tokens[: CHUNKS * N].reshape(CHUNKS, N)
    data = b"_logits_" + struct.pack("<iii", N, V, CHUNKS) + chunks.astype("<i4").tobytes()
    for chunk in chunks:
        read = chunk.copy()
        read[0] = BOS if bos else read[0]
        data += b"".join(record(line) for line in logits_of(read, spread)[N // 2 : N - 1])
    path.write_bytes(data)
    return path


def wanted(tokens: np.ndarray, bos: bool, spread: float) -> np.ndarray:
    """Losses [chunks, N] in float64; NaN in the first half."""
    found = np.full((CHUNKS, N), np.nan)
    for row, chunk in zip(found, tokens[: CHUNKS * N].reshape(CHUNKS, N), strict=True):
        read = chunk.copy()
        read[0] = BOS if bos else read[0]
        logits = logits_of(read, spread).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        for at in range(N // 2 + 1, N):
            row[at] = -log_p[at - 1, chunk[at]]
    return found


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_losses_to_half_a_step_of_the_file(tmp_path, bos, spread):
    tokens = text_tokens(bos)
    path = write(tmp_path / "a.kld", tokens, bos, spread)
    (shard,) = read_token_array(path, BOS)
    assert shard.given is not None and shard.given.tolist() == [N // 2 + 1] * CHUNKS
    first = shard.tokens.reshape(CHUNKS, N)[:, 0]
    assert first.tolist() == ([BOS] * CHUNKS if bos else tokens[: CHUNKS * N : N].tolist())
    windows = cut_windows(shard.starts, len(shard.tokens), RULE, shard.given)
    scored, context = visible_context(windows, len(shard.tokens))
    found = open_losses("q4", path).losses(shard, scored).reshape(CHUNKS, N)
    exact = wanted(tokens, bos, spread)
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    assert np.nanmax(np.abs(found - exact)) < 2 * spread / 65535 / 2 + 1e-6
    assert context.reshape(CHUNKS, N)[:, N // 2 + 1 :].tolist() == [list(range(N // 2 + 1, N))] * CHUNKS


def test_what_lies_more_than_16_below_the_largest_is_cut_there(tmp_path):
    tokens = text_tokens()
    (shard,) = read_token_array(write(tmp_path / "a.kld", tokens, spread=12.0), BOS)
    scored = np.tile(np.arange(N) > N // 2, CHUNKS)
    found = open_losses("q4", tmp_path / "a.kld").losses(shard, scored).reshape(CHUNKS, N)
    exact = wanted(tokens, True, 12.0)
    high = exact > 18  # beyond 16 under the largest log-probability, which is at least -log V
    assert high.any() and (found[high] < exact[high] - 0.5).all() and (found[high] >= 16).all()
    assert np.nanmax(np.abs(found - exact)[exact < 16]) < 16 / 65535


def words() -> Tokenizer:
    """A tokenizer of V words whose BOS is number 1."""
    backend = Backend(WordLevel({f"w{at}": at for at in range(V)}, unk_token="w0"))
    return Tokenizer(backend, BOS, "words")


def test_a_run_with_its_text_from_the_file(tmp_path):
    tokens = text_tokens()
    one, other = write(tmp_path / "q8.kld", tokens), write(tmp_path / "q4.kld", tokens, spread=2.5)

    def model(ids: np.ndarray) -> np.ndarray:
        logits = np.stack([logits_of(row, 3.0) for row in ids[:, :-1]]).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return -np.take_along_axis(log_p, ids[:, 1:, None], 2)[..., 0]

    settings = SliceSettings(RULE, shard_tokens=40)  # shards of two chunks
    models = [model, f"q8={one}", f"q4={other}"]
    with pytest.raises(ValueError, match=r"^tokenizer: name one, to know whether the chunks of .* open with a BOS"):
        slice_text(models, one, tmp_path / "out", settings=settings)
    records = slice_text(models, one, tmp_path / "out", tokenizer=words(), settings=settings, show_progress=False)
    table = records.table()
    exact, low = wanted(tokens, True, 3.0), wanted(tokens, True, 2.5)
    seen = ~np.isnan(exact)
    assert len(table) == seen.sum() == CHUNKS * (N - N // 2 - 1)
    for name, losses, error in (("model", exact, 1e-5), ("q8", exact, 5e-5), ("q4", low, 5e-5)):
        assert np.abs(table[f"loss_{name}"].to_numpy() - losses[seen]).max() < error
    for row in table.to_pylist():
        chunk = [BOS, *tokens[row["document"] * N :][1:N].tolist()]
        at = row["position"]
        earlier = [j for j in range(1, at) if chunk[j - 1 : j + 1] == chunk[at - 1 : at + 1]]
        assert row["distance_2"] == (at - earlier[-1] if earlier else 0)
    assert pq.read_table(tmp_path / "out" / "atoms.parquet")["tokens"].to_numpy().sum() == len(table)


def test_bad_files_and_other_text(tmp_path):
    tokens = text_tokens()
    path = write(tmp_path / "a.kld", tokens)
    data = path.read_bytes()
    for content, message in [
        (b"", "begins otherwise"),
        (b"GGUF" + data[4:], "begins otherwise"),
        (data[:-1], r"has \d+ bytes, its header asks for \d+: it is cut off"),
        (data[:12] + struct.pack("<i", 0) + data[16:], "it is damaged"),
        (data[:20] + struct.pack("<i", V) + data[24:], f"holds token {V} of {V} ids: it is damaged"),
        (data[:20] + struct.pack("<i", -1) + data[24:], "it is damaged"),
    ]:
        (tmp_path / "bad.kld").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            open_chunks(tmp_path / "bad.kld")
    (shard,) = read_token_array(path, BOS)
    scored = np.tile(np.arange(N) > N // 2, CHUNKS)
    changed = tokens.copy()
    changed[20] = 2 + (changed[20] - 1) % (V - 2)
    losses = open_losses("q4", write(tmp_path / "other.kld", changed))
    with pytest.raises(ValueError, match="belongs to other text or another tokenizer: its tokens differ"):
        losses.losses(shard, scored)
    np.save(tmp_path / "t.npy", tokens)
    with pytest.raises(ValueError, match=r"has other chunks than the text: the text must be a file of llama\.cpp, too"):
        slice_text([f"a={path}", f"b={path}"], tmp_path / "t.npy", settings=SliceSettings(RULE))
    with pytest.raises(ValueError, match=r"use bos='none' and a window of at least 15 tokens, got bos='first' and 16"):
        slice_text([f"a={path}", f"b={path}"], path, settings=SliceSettings(Windowing(16, 16)))
    with pytest.raises(ValueError, match="has losses, and no NaN among them, of tokens 9 and later only"):
        open_losses("q4", path).losses(shard, np.ones(CHUNKS * N, dtype=bool))
