"""Files by what a table calls them: all names below a folder, and the one that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from core.datasets.folder import IGNORED, SUFFIXES
from core.errors import LightboxError

MAX_FILES = 1_000_000       # below the folder, of any kind


def list_below(folder: Path) -> list[str]:
    """Files in a folder and below whose names may be those of images, sorted. Linked folders are not entered, since they can lead
    in circles. Raises LightboxError "table.folder" for a folder with more than MAX_FILES files or that may not be read."""
    found, seen, stack = [], 0, [""]
    while stack:
        below = stack.pop()
        try:
            with os.scandir(folder / below) as scan:
                for entry in scan:
                    if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(f"{below}{entry.name}/")
                        continue
                    seen += 1
                    if ending(entry.name) in SUFFIXES and _is_text(entry.name):
                        found.append(below + entry.name)
        except OSError as error:
            if not below:
                raise LightboxError("table.folder", f"The folder {folder} cannot be read: {error.strerror}.",
                                    "Check that you may open it.") from error
        if seen > MAX_FILES:
            raise LightboxError("table.folder", f"There are more than {MAX_FILES:,} files in {folder} and below.",
                                "Give the folder that holds the images and little else.")
    return sorted(found)


def _is_text(name: str) -> bool:
    """False for a name whose bytes are not UTF-8: no table can call a file so."""
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


class Finder:
    """Finds a file by what a table calls it: its path, a part of it, or its name alone, with its own ending or another."""

    def __init__(self, files: list[str]):
        self.exact = {path: k for k, path in enumerate(files)}
        self.files, self.by_name, self.by_stem = files, {}, {}
        for k, path in enumerate(files):
            name = path.rpartition("/")[2]
            self.by_name.setdefault(name, []).append(k)
            self.by_stem.setdefault(_stem(name), []).append(k)

    def find(self, cell: str) -> tuple[int, str]:
        """(number in `files`, "") or (-1, why not in a sentence)."""
        wanted = cell.strip().replace("\\", "/").lstrip("/")
        wanted = wanted[2:] if wanted.startswith("./") else wanted
        if wanted in self.exact:
            return self.exact[wanted], ""
        name = wanted.rpartition("/")[2]
        if not name:
            return -1, "It names no file."
        stem = _stem(wanted)
        for candidates, tail, bare in ((self.by_name.get(name), wanted, False), (self.by_stem.get(name), wanted, True),
                                       (self.by_stem.get(_stem(name)), stem, True)):
            if not candidates:
                continue
            if len(candidates) > 1:      # the longest part of the path that only one of them has
                parts = tail.split("/")[-20:]
                for k in range(len(parts)):
                    end = "/" + "/".join(parts[k:])
                    paths = ((c, _stem(self.files[c]) if bare else self.files[c]) for c in candidates[:1000])
                    if fitting := [c for c, path in paths if f"/{path}".endswith(end)]:
                        candidates = fitting
                        break
            if len(candidates) == 1:
                return candidates[0], ""
            return -1, f"{len(candidates):,} files have this name, for example {self.files[candidates[0]]} and " \
                       f"{self.files[candidates[1]]}."
        return -1, "There is no file of this name."


def _stem(path: str) -> str:
    """The path without its ending, where it has one of an image."""
    last = ending(path)
    return path[:-len(last)] if last and last in SUFFIXES else path


def ending(name: str) -> str:
    """The ending of a file's name with its dot, in small letters: "a/B.PNG" -> ".png"; "" where it has none."""
    name = name.strip().rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
