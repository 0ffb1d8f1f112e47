"""Files that are whole or not there, and folders that one process at a time works in."""

from __future__ import annotations

import errno
import os
import platform
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows: there nobody is kept out
    fcntl = None

_mark = ""  # in temporary names
LOCK = ".lock"
_BUSY = (errno.EAGAIN, errno.EACCES)  # what a lock that somebody else holds answers


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """`with replaced("a.json") as temporary:` write to that name beside it; it takes the name `a.json` at the end.

    Whatever interrupts the block, a file of that name is the old one or the whole new one; after an exception the
    temporary file is gone. Raises `OSError` naming `path` when it cannot be written (full disk, read-only folder),
    also where a library says so by an exception of its own.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}{_mark}.tmp")
    try:
        yield temporary
        # A renamed file says "this part is done" to the next run. Killing the process loses nothing that was written,
        # but when the power fails a file system may have kept the new name and not yet the content, and the next run
        # would go on from an empty file. 14 ms on ext4, some 8 more for the folder, in which the name stands.
        _flush(temporary)
        os.replace(temporary, path)
        if os.name == "posix":  # elsewhere folders cannot be opened
            _flush(path.parent)
    except BaseException as error:
        trouble = _trouble(error, temporary)
        with suppress(OSError):
            temporary.unlink()
        if trouble is None:
            raise
        _let_go(error)
        raise OSError(trouble, os.strerror(trouble), str(path)) from None


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 as `replaced` does: whole or not at all, line ends as they are."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of an error hold: torch's open file, and the room on disk that it takes."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def own_temporary_names() -> None:
    """Put machine and process into the temporary names of this process: where several may write the same file, a worker
    that outlived a killed run and one of the next run must not write into one another's."""
    global _mark
    _mark = f".{platform.node()}.{os.getpid()}"


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS):  # a file system that has no such thing
            raise
    finally:
        os.close(handle)


def _trouble(error: BaseException, temporary: Path) -> int | None:
    """The number of the error if it is the disk that fails, None for anything else.

    Libraries in Rust (safetensors, tokenizers) have it in their words. Others say something else altogether
    (torch.save, numpy.save): a few more bytes in the same place get it from the system itself.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return (
            error.errno if error.filename in (None, str(temporary), temporary) else None
        )  # else of a file that is read
    if not isinstance(error, Exception) or isinstance(error, ValueError):
        return None
    if named := re.search(r"\(os error (\d+)\)", str(error)):
        return int(named[1])
    try:
        with open(temporary, "ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as found:
        return found.errno
    return None


@contextmanager
def locked(folder: str | os.PathLike[str], name: str = "out", file: str = LOCK, wait: bool = False) -> Iterator[None]:
    """Make the folder, and keep every other process out of it until the block ends; or refuse it, naming who is in.

    The lock is the kernel's (`flock` on a file in the folder), not the file: it ends with the process, however that
    ends, and what a killed run leaves behind keeps nobody out. Linux passes it on to NFS servers (since 2.6.12, mounted
    without `nolock`), so that two machines see each other there. On a file system without locks (some in user space,
    Lustre without `flock`) nobody is kept out: a run that is alone must not fail for that. A folder that was made here
    and is still empty in the end is removed.

    `name` is what messages call the folder. Another `file` locks only a part of the folder, whatever callers agree on.
    Raises `ValueError` if another process, or another thread of this one, works there, unless told to `wait`.
    """
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = _acquire(folder / file, name, wait)
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / file).unlink()  # while it is held: nobody else's
            handle.close()
    finally:
        if made:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _acquire(path: Path, name: str, wait: bool) -> IO[str]:
    while True:
        handle = open(path, "a+")
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in _BUSY:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                handle.close()
                raise ValueError(
                    f"{name}: {path.parent} is in use by {holder}; wait until it has ended, or choose another folder"
                ) from None
        if _same(handle, path):
            break
        handle.close()  # whoever held it has just removed it
    handle.truncate(0)
    handle.write(f"process {os.getpid()} on {platform.node()}")
    handle.flush()
    return handle


def _same(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
