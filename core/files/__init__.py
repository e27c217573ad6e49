"""Files that are whole or not there: the one atomic write, the one checked append, the one lock.

A process can be killed between any two instructions and a disk can be full. So nothing is ever written over:
`write_atomic` writes beside the target, flushes to the disk and renames, which a file system does in one
step.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import lock_descriptor, unlock_descriptor

from core.errors import LightboxError
from core.files.shapes import Damaged, fit_shape, parse_json, parse_line, read_file, read_json, read_lines

__all__ = ["Damaged", "Lock", "append_line", "disk_errors", "fit_shape", "parse_json", "parse_line", "read_file",
           "read_json", "read_lines", "sha256", "sync_folder", "to_csv", "write_atomic", "write_json"]

WINDOWS = os.name == "nt"
# that acquire and is_held try to get past somebody who only asks
ASKED_SECONDS, ASKING_SECONDS = 0.2, 0.004
POLL_SECONDS = 0.01                              # between two tries of who waits for a lock


def write_atomic(path: Path, data: bytes | str, durable: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Temporary file in the same folder, fsync, rename, fsync of the folder.

    Args:
        durable: False leaves out both fsync: still never torn by a killed process, but a power cut may bring
            the old content back. For what is written every second and costs nothing to lose.

    Raises:
        LightboxError: "disk.full" where there is no space; the old file is untouched and the temporary one is
            gone
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
            # mkstemp makes 0600; a run should be readable by who may read its folder
            os.chmod(temporary, 0o644)
            _replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write a JSON value with `write_atomic`. NaN and infinity raise ValueError: JSON has none."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False), durable)


def _replace(source: str, target: Path) -> None:
    """Rename over a file.

    Windows refuses while somebody reads it, which takes them a moment: try again for a second.
    """
    for _ in range(100 if WINDOWS else 0):
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(0.01)
    os.replace(source, target)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names, so that a rename survives a power cut.

    Windows opens no folders, and keeps a journal.
    """
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_line(path: Path, line: str) -> None:
    """Append one line with a single checked write, on a line of its own even after a torn one.

    A full disk writes short without an error, so the count is compared; the part that got through is taken
    back. Raises LightboxError "disk.full".
    """
    with disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            torn = False
            if os.lseek(handle, 0, os.SEEK_END) > 0:
                os.lseek(handle, -1, os.SEEK_END)
                torn = os.read(handle, 1) != b"\n"               # someone was killed here: never glue to it
            end = os.lseek(handle, 0, os.SEEK_END)
            data = (b"\n" if torn else b"") + line.encode() + b"\n"
            if os.write(handle, data) != len(data):
                os.ftruncate(handle, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space left", "not allowed" and a folder in the way into sentences that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LightboxError("disk.full", f"The disk with {Path(path).parent} is full.",
                                "Free some space or set LIGHTBOX_HOME to another disk, then continue: "
                                "what was finished is kept.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LightboxError("disk.not_allowed", f"Nothing can be written to {Path(path).parent}.",
                                "Set LIGHTBOX_HOME to a folder that belongs to you, then start again.") from error
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
            raise LightboxError("disk.in_the_way", f"In the place of {path} is something else: a folder for a file, or a file "
                                "for a folder.", "Move it away, then start again.") from error
        raise


def to_csv(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Return a table as CSV: numbers as Python writes them, None as an empty cell. A cell never begins a formula in a
    spreadsheet: somebody else may open the file.

    >>> to_csv(("file", "p"), [("=cmd.png", 0.5), ("-1", None)])
    "file,p\\n'=cmd.png,0.5\\n'-1,\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in (header, *rows)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def sha256(path: Path) -> str:
    """Return SHA-256 of a file, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Lock:
    """Lock a file: held by one process at a time, freed by the kernel when that process dies, however it dies.

    On Linux and macOS it is an flock, on Windows a locked byte (filelock chooses). A second Lock of the same
    file is refused in the same process too, and the file stays: a run's lock is the proof that its trainer
    lives.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.lock"
    >>> with Lock(path):
    ...     Lock.is_held(path), Lock(path).acquire()
    (True, False)
    >>> Lock.is_held(path)
    False
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._handle: int | None = None

    def acquire(self, wait: bool = False) -> bool:
        """Take the lock; False where somebody else holds it. With `wait`, return when it is free."""
        # not the folder: it may be gone on purpose
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except IsADirectoryError:
            raise LightboxError("lock.folder", f"{self.path} is a folder; a file is needed there.",
                                "Remove or rename that folder.") from None
        try:
            taken = _lock(handle, ASKED_SECONDS) or wait and lock_descriptor(handle, poll_interval=POLL_SECONDS)
        except BaseException:
            os.close(handle)
            raise
        if taken:
            self._handle = handle
        else:
            os.close(handle)
        return taken

    def release(self) -> None:
        """Free the lock; nothing happens where it is not held."""
        if self._handle is not None:
            # closing is not enough while a child just forked has a copy
            unlock_descriptor(self._handle)
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Lock:
        self.acquire(wait=True)
        return self

    def __exit__(self, *_) -> None:
        self.release()

    @staticmethod
    def is_held(path: Path) -> bool:
        """Return whether somebody holds the lock of a file, which need not exist.

        Takes milliseconds where it is held.
        """
        try:
            handle = os.open(path, os.O_RDWR)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False
        try:
            free = _lock(handle, ASKING_SECONDS)
            if free:
                unlock_descriptor(handle)
            return not free
        finally:
            os.close(handle)


def _lock(handle: int, seconds: float) -> bool:
    """Try for some milliseconds: somebody who only asks holds the lock too, for as long as it takes to let go."""
    end = time.monotonic() + seconds
    while not lock_descriptor(handle, blocking=False):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True
