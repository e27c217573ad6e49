"""Files and folders below a folder, by their names alone, so that 100,000 images are listed in a second."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.datasets.image_names import SUFFIXES, is_image_name
from core.datasets.text import natural_key, suffix_of
from core.errors import LightboxError

MAX_FILES = 1_000_000       # below one folder
IGNORED = {"thumbs.db", "desktop.ini", "__macosx", "lost+found", "$recycle.bin"}      # and all that starts with a dot


class ListedFile(NamedTuple):      # quicker to make than a dataclass, and there may be a hundred thousand
    path: str            # below the folder of the data set, with /
    split: str
    class_name: str
    size: int = 0        # bytes
    changed: int = 0     # nanoseconds
    fault: str = ""      # why it cannot be used, where that shows without opening it


def list_files(root: Path, below: str, split: str = "", class_name: str = "") -> tuple[list[ListedFile], list[str]]:
    """Return the files under root/below that may be images, sorted by path, and the paths of all others."""
    files, others = [], []

    def on_error(folder: str, error: OSError) -> None:
        files.append(ListedFile(folder, split, class_name, fault=f"{folder} cannot be opened: {error.strerror}."))

    for path, entry in walk(root, below, on_error):
        if len(files) + len(others) >= MAX_FILES:
            raise LightboxError("folder.too_large", f"There are more than {MAX_FILES:,} files in {root / below}.",
                                "Give a folder that holds the images and little else.")
        if not is_image_name(entry.name):
            others.append(path)
            continue
        try:
            if not path.isascii():
                path.encode()
            facts = entry.stat()
            fault = "It is a link to a folder that was read already." if stat.S_ISDIR(facts.st_mode) else ""
            files.append(ListedFile(path, split, class_name, facts.st_size, facts.st_mtime_ns, fault))
        except UnicodeEncodeError:
            files.append(ListedFile(path, split, class_name, fault="Its name is not valid UTF-8. Rename it."))
        except OSError as error:
            files.append(ListedFile(path, split, class_name, fault=f"{entry.name} cannot be opened: {error.strerror}."))
    return sorted(files, key=lambda f: f.path), others


def walk(root: Path, below: str, on_error: Callable[[str, OSError], None]) -> Iterator[tuple[str, os.DirEntry]]:
    """Yield the files under root/below at any depth, as (path below root, entry), without hidden ones and leftovers.

    A linked folder is entered, unless it leads back to a folder around it, or to one that was entered through a link before.
    Such a link is yielded as if it were a file. `on_error` is called with a folder that cannot be read.
    """
    stack, linked = [below], set()
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if is_ignored(entry.name):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(path)
                    elif entry.is_symlink() and _is_dir(entry) and not _leads_back(entry, root / folder, linked):
                        stack.append(path)
                    else:
                        yield path, entry
        except OSError as error:
            on_error(folder, error)


def subfolders(path: Path) -> list[str]:
    """Return the names of the folders in `path`, sorted, without hidden ones and leftovers.

    Links to folders count, except those that lead back to where one came from: a class that is a link to / would be the whole
    disk. Raises LightboxError "folder.unreadable".
    """
    try:
        with os.scandir(path) as entries:
            return sorted((e.name for e in entries if not is_ignored(e.name) and _is_dir(e)
                           and not (e.is_symlink() and _leads_back(e, path, set()))), key=natural_key)
    except OSError as error:
        raise LightboxError("folder.unreadable", f"The folder {path} cannot be read: {error.strerror}.",
                            "Check that you may open it.") from error


def unwrap(path: Path, stop: Callable[[str], bool] = lambda name: False) -> Path:
    """Return the folder inside, where a download has wrapped the data set in folders that hold nothing else.

    Args:
        stop: whether a folder of this name is a part of the data set itself
    """
    inner = path
    for _ in range(4):
        below = subfolders(inner)
        if len(below) > 1 or below and (stop(below[0]) or _holds_images(inner)):
            return inner
        if not below:
            break
        inner = inner / below[0]
    return path


def is_ignored(name: str) -> bool:
    """Return whether a file or folder is hidden, or a leftover of an operating system."""
    return name.startswith(".") or name.lower() in IGNORED


def _holds_images(path: Path) -> bool:
    with os.scandir(path) as entries:
        return any(suffix_of(e.name) in SUFFIXES - {""} and not is_ignored(e.name) and e.is_file() for e in entries)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:      # a link that leads to itself
        return False


def _leads_back(entry: os.DirEntry, path: Path, linked: set[Path]) -> bool:
    """Return whether a link leads to a folder around it or to one of `linked`, to which its target is added."""
    here, target = path.resolve(), Path(entry.path).resolve()
    if target in (here, *here.parents) or target in linked:
        return True
    linked.add(target)
    return False
