"""Documents out of files: text, JSON lines, Parquet, folders, token arrays and, when named, Hugging Face data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recallscope.checks import parsed

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py", ".pyi", ".tex", ".html", ".c", ".h", ".cpp", ".js", ".ts", ".java")
JSON_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz")


@dataclass(frozen=True)
class Document:
    """One document: an identifier that is stable between runs, and its text.

    So many characters at its start are `given`: a context that models read, and that nobody scores.
    """

    id: str
    text: str
    given: int = 0


def digest(text: str) -> str:
    """Hex sha256 of the text's UTF-8 bytes: the identity of a document."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_documents(source: str | Path) -> Iterator[Document]:
    """The documents of a source, one at a time.

    Parameters
    ----------
    source : str or Path
        A text file (one document); `.jsonl`, `.jsonl.gz`, `.jsonl.zst` with `text` and, if there, `id` fields;
        `.parquet` with the same columns; a folder (every text, JSON-lines and Parquet file below it, sorted by path,
        hidden ones left out); or `hf:NAME`, a data set of the Hugging Face hub (its `train` split, or `hf:NAME:SPLIT`;
        needs the `datasets` package and the network).

    Raises
    ------
    ValueError
        Nothing there, nothing readable in the folder, a text that is not UTF-8, a line or column that is missing:
        naming the file and the place.
    """
    if str(source).startswith("hf:"):
        yield from _hub_documents(str(source)[3:])
        return
    path = Path(source)
    if not path.exists():
        raise ValueError(f"text: {path} does not exist")
    if path.is_dir():
        yield from _folder_documents(path)
    elif path.stat().st_size == 0:
        raise ValueError(f"text: {path} is empty")
    elif path.name.endswith(JSON_SUFFIXES):
        yield from _json_documents(path)
    elif path.suffix == ".parquet":
        yield from _parquet_documents(path)
    else:
        yield Document(path.name, _decode(path.read_bytes(), path))


def _folder_documents(folder: Path) -> Iterator[Document]:
    known = TEXT_SUFFIXES + JSON_SUFFIXES + (".parquet",)
    inside_of = {path: path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.name.endswith(known)}
    files = [  # all of them before the first is read: one that goes meanwhile is an error, not left out
        path
        for path, inside in inside_of.items()
        if not any(part.startswith(".") for part in inside.parts) and path.is_file() and path.stat().st_size
    ]
    for path in files:
        inside = inside_of[path]
        for document in read_documents(path):
            single = document.id == path.name
            yield Document(inside.as_posix() if single else f"{inside.as_posix()}#{document.id}", document.text)
    if not files:
        raise ValueError(f"text: {folder} holds no file with one of the endings {', '.join(known)}")


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"text: {path} is not UTF-8 (byte {error.start})") from None


def json_lines(path: Path, argument: str = "text") -> Iterator[tuple[int, Any]]:
    """Number and content of each line of JSON that is not empty; a line that is broken is named in a `ValueError`."""
    import pyarrow as pa

    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with open(path, "rb") as raw, pa.input_stream(raw, compression=compression) as stream:
        try:
            for number, line in enumerate(_lines(stream), 1):
                if line.strip():
                    yield number, parsed(line, f"{argument}: {path} line {number}")
        except OSError as error:
            raise ValueError(f"{argument}: {path} is broken or cut off ({error})") from None


def _lines(stream) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _json_documents(path: Path) -> Iterator[Document]:
    for number, row in json_lines(path):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError(f"text: {path} line {number} needs a field `text` with a string")
        yield Document(str(row.get("id", number - 1)), row["text"])


def _parquet_documents(path: Path) -> Iterator[Document]:
    import pyarrow.parquet as pq

    from recallscope.parquet import UNREADABLE

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
    except UNREADABLE as error:
        raise ValueError(f"text: {path} is not a readable Parquet file ({error})") from None
    with file:
        if "text" not in names:
            raise ValueError(f"text: {path} needs a column `text`, got {', '.join(names)}")
        columns = [name for name in ("id", "text") if name in names]
        for group in range(file.num_row_groups):
            try:
                rows = file.read_row_group(group, columns).to_pylist()
            except UNREADABLE as error:
                raise ValueError(f"text: {path} row group {group} is broken ({error})") from None
            for index, row in enumerate(rows):
                if not isinstance(row["text"], str | None):
                    raise ValueError(f"text: {path}: the column `text` must hold strings, got {row['text']!r:.40}")
                yield Document(str(row.get("id", f"{group}/{index}")), row["text"] or "")


def _hub_documents(name: str) -> Iterator[Document]:
    try:
        from datasets import load_dataset  # type: ignore[import-not-found]
    except ImportError:
        raise ValueError("text: hf:NAME needs the package `datasets`; install it or name a local file") from None
    repository, _, split = name.partition(":")
    for index, row in enumerate(load_dataset(repository, split=split or "train", streaming=True)):
        yield Document(str(row.get("id", index)), row["text"])
