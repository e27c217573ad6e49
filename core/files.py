"""Files that are whole or not there: the one atomic write, the one checked append, the one lock.

A process can be killed between any two instructions and a disk can be full. So nothing is ever written over:
`write_atomic` writes beside the target, flushes to the disk and renames, which a file system does in one step.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import LightboxError


def write_atomic(path: Path, data: bytes | str, durable: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Temporary file in the same folder, fsync, rename, fsync of the folder.

    Args:
        durable: False leaves out both fsync: still never torn by a killed process, but a power cut may bring the old
            content back. For what is written every second and costs nothing to lose.

    Raises:
        LightboxError: "disk.full" where there is no space; the old file is untouched and the temporary one is gone
        OSError: any other fault of the file system
    """
    path = Path(path)
    data = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.chmod(temporary, 0o644)          # mkstemp makes 0600; a run should be readable by who may read its folder
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """`write_atomic` of a JSON value. NaN and infinity raise ValueError: JSON has none."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False), durable)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_line(path: Path, line: str) -> None:
    """Append one line with a single checked write, on a line of its own even after a torn one.

    A full disk writes short without an error, so the count is compared; the part that got through is taken back.
    Raises LightboxError "disk.full".
    """
    with disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            end = os.lseek(handle, 0, os.SEEK_END)
            torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"     # someone was killed here: never glue to it
            data = (b"\n" if torn else b"") + line.encode() + b"\n"
            if os.write(handle, data) != len(data):
                os.ftruncate(handle, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def read_lines(path: Path) -> list[dict]:
    """The JSON objects of a file, a line each. A torn line (the writer was killed there) is left out."""
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    records = []
    for line in raw.split(b"\n")[:-1]:           # what follows the last newline is not finished
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space left" and "not allowed" into sentences that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LightboxError("disk.full", f"The disk with {Path(path).parent} is full.",
                                "Free some space or set LIGHTBOX_HOME to another disk, then go on: "
                                "what was finished is kept.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LightboxError("disk.not_allowed", f"Nothing can be written to {Path(path).parent}.",
                                "Set LIGHTBOX_HOME to a folder that belongs to you, then start again.") from error
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Lock:
    """An flock on a file: held by one process at a time, freed by the kernel when that process dies, however it dies.

    `acquire` returns False when somebody else holds it. `Lock.is_held(path)` asks without taking it.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._handle: int | None = None

    def acquire(self, wait: bool = False) -> bool:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)      # not the folder: it may be gone on purpose
        while not _flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)):
            if not _flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB):
                os.close(handle)
                return False
            fcntl.flock(handle, fcntl.LOCK_UN)      # only somebody who asked, and has gone or is going: try again
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)    # closing is not enough while a child just forked has a copy
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Lock:
        self.acquire(wait=True)
        return self

    def __exit__(self, *_) -> None:
        self.release()

    @staticmethod
    def is_held(path: Path) -> bool:
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)     # shared: two askers do not see each other
        finally:
            os.close(handle)


def _flock(handle: int, operation: int) -> bool:
    """True where the lock was given, False where it would have to be waited for."""
    try:
        fcntl.flock(handle, operation)
        return True
    except BlockingIOError:
        return False
