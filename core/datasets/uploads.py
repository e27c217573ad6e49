"""A folder that came through the browser, written where the app keeps such things, and then read like any other folder.

    LIGHTBOX_HOME/uploads/<key>/<folder>/...     there when it is whole; the key is a hash of all names and contents
    LIGHTBOX_HOME/uploads/<key>.part/            while it is written, under the lock <key>.lock

The browser says how each file is called, and it can say anything. So names follow the same rules as those inside a zip
(archive.py): nothing leads outside, only images and tables are written, and files and bytes are bounded first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import home
from core.datasets.archive import MAX_DEPTH, MAX_FILE, MAX_NAME, SPARE, TAKEN
from core.datasets.source import Progress
from core.datasets.text import short, suffix_of
from core.datasets.walk import is_ignored
from core.errors import LightboxError
from core.files import Lock, disk_errors

MAX_FILES = 20_000
MAX_TOTAL = 2 * 10**9            # bytes; a browser sends them through the memory of the server
GIVE_PATH = "Copy the folder to the machine that runs Lightbox and give its path instead."


@dataclass(frozen=True)
class SentFile:
    """A file as the browser sent it.

    Args:
        name: its path below the folder that was chosen, with /, that folder first
        size: bytes
        read: gives the content
    """

    name: str
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class KeptFolder:
    """Where an uploaded folder lies, how many of its files were kept, and how many are no images or tables."""

    path: Path
    kept: int
    left_out: int


def keep_folder(files: Sequence[SentFile], progress: Progress | None = None) -> KeptFolder:
    """Write the images and tables of an uploaded folder; the same folder a second time is there already.

    Args:
        progress: called with (sentence, files done, files); what it raises stops the work, and nothing stays

    Raises:
        LightboxError: "upload.names" (a name that leads outside, one name twice, a file that is a folder too),
            "upload.too_large", "upload.empty", "upload.size" (other than was said), "disk.full"
    """
    progress = progress or (lambda sentence, done, total: None)
    if len(files) > MAX_FILES:
        raise _too_large(f"it has {len(files):,} files", f"{MAX_FILES:,}")
    for file in files:
        _check_name(file.name)
    wanted = sorted((file for file in files if _is_wanted(file.name)), key=lambda file: file.name)
    if not wanted:
        raise LightboxError("upload.empty", f"None of the {len(files):,} files is an image or a table.",
                            "Choose the folder that holds the images.")
    _check_sizes(wanted)
    _check_places([file.name for file in wanted])
    key = _key(wanted, progress)
    folder = home() / "uploads" / key
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Lock(folder.with_name(f"{key}.lock")):
            if not folder.is_dir():
                _write(wanted, folder, progress)
    tops = {file.name.split("/")[0] for file in wanted}
    inner = folder / tops.pop() if len(tops) == 1 else folder
    return KeptFolder(inner if inner.is_dir() else folder, len(wanted), len(files) - len(wanted))


def _check_name(name: str) -> None:
    parts, fault = name.split("/"), ""
    if "\\" in name or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        fault = "has characters that no name should have"
    elif name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in parts:
        fault = "leads outside the folder"
    elif "" in parts or "." in parts:
        fault = "is not an ordinary name"
    elif len(parts) > MAX_DEPTH or any(len(part.encode()) > MAX_NAME for part in parts):
        fault = "is too long or too deep"
    if fault:
        raise LightboxError("upload.names", f"The folder is not taken: the name {short(name)!r} {fault}.",
                            "Rename the file and choose the folder again.")


def _is_wanted(name: str) -> bool:
    return not any(map(is_ignored, name.split("/"))) and suffix_of(name.split("/")[-1]) in TAKEN


def _check_sizes(files: Sequence[SentFile]) -> None:
    large, total = max(files, key=lambda file: file.size), sum(file.size for file in files)
    if large.size > MAX_FILE:
        raise _too_large(f"{short(large.name)} has {large.size / 1e6:,.0f} MB", f"{MAX_FILE / 1e6:.0f} MB")
    if total > MAX_TOTAL:
        raise _too_large(f"all files together have {total / 1e9:.1f} GB", f"{MAX_TOTAL / 1e9:.0f} GB")


def _check_places(names: Sequence[str]) -> None:
    """No name twice, and none that is a folder of another; also where the disk does not tell A from a."""
    seen = {name.lower() for name in names}
    folders = {"/".join(parts[:k]) for parts in (name.lower().split("/") for name in names)
               for k in range(1, len(parts))}
    if len(seen) < len(names) or seen & folders:
        again = next((name for k, name in enumerate(names) if name.lower() in {n.lower() for n in names[:k]}), names[0])
        raise LightboxError("upload.names", f"Two files of the folder have the same name, such as {short(again)!r}.",
                            "Rename one of them and choose the folder again.")


def _key(files: Sequence[SentFile], progress: Progress) -> str:
    digest = hashlib.sha256()
    for done, file in enumerate(files):
        progress("Checking the files", done, len(files))
        content = file.read()
        if len(content) != file.size:
            raise LightboxError("upload.size", f"{short(file.name)} came with {len(content):,} bytes instead of "
                                f"{file.size:,}.", "Choose the folder again.")
        digest.update(f"{file.name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _write(files: Sequence[SentFile], folder: Path, progress: Progress) -> None:
    total, free = sum(file.size for file in files), shutil.disk_usage(folder.parent).free
    if free < total + SPARE:
        raise LightboxError("disk.full", f"The folder needs {total / 1e9:.1f} GB; {folder.parent} has {free / 1e9:.1f} GB "
                            "left.", "Free some space, or set LIGHTBOX_HOME to another disk.")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)                 # somebody was killed here
    part.mkdir()
    try:
        for done, file in enumerate(files):
            progress("Keeping the files", done, len(files))
            target = part / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as out:
                out.write(file.read())
        os.rename(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _too_large(what: str, limit: str) -> LightboxError:
    return LightboxError("upload.too_large", f"The folder is not taken: {what}; the limit is {limit}.", GIVE_PATH)
