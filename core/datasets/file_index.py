"""All image files below a folder, and the one that a table means by a name."""

from __future__ import annotations

from pathlib import Path

from core.datasets.image_names import SUFFIXES
from core.datasets.text import suffix_of
from core.datasets.walk import walk
from core.errors import LightboxError

MAX_FILES = 1_000_000       # below the folder, of any type
NAMES_NO_FILE = "It names no file."
NOT_FOUND = "There is no file with this name."


def list_images(folder: Path) -> list[str]:
    """Return the files in a folder and below that may be images, by their names, sorted.

    Raises LightboxError "table.folder" for a folder with more than MAX_FILES files or one that may not be read.
    """
    def on_error(below: str, error: OSError) -> None:
        if not below:
            raise LightboxError("table.folder", f"The folder {folder} cannot be read: {error.strerror}.",
                                "Check that you may open it.") from error

    images = []
    for seen, (path, entry) in enumerate(walk(folder, "", on_error)):
        if seen >= MAX_FILES:
            raise LightboxError("table.folder", f"There are more than {MAX_FILES:,} files in {folder} and below.",
                                "Give a folder that holds the images and little else.")
        if suffix_of(entry.name) in SUFFIXES and _is_text(entry.name):
            images.append(path)
    return sorted(images)


def _is_text(name: str) -> bool:
    """Return False for a name whose bytes are not UTF-8: no table can name such a file."""
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


class FileIndex:
    """Finds a file by what a table calls it: its path, a part of it, or its name alone, with its own suffix or another.

    >>> index = FileIndex(["a/1.png", "b/1.png", "b/2.jpg"])
    >>> index.find("2.png"), index.find("a/1")
    ((2, ''), (0, ''))
    """

    def __init__(self, files: list[str]):
        self.exact = {path: k for k, path in enumerate(files)}
        self.files, self.by_name, self.by_stem = files, {}, {}
        for k, path in enumerate(files):
            name = path.rpartition("/")[2]
            self.by_name.setdefault(name, []).append(k)
            self.by_stem.setdefault(_stem(name), []).append(k)

    def find(self, cell: str) -> tuple[int, str]:
        """Return (number in `files`, "") or (-1, a sentence why not)."""
        wanted = cell.strip().replace("\\", "/").lstrip("/").removeprefix("./")
        if wanted in self.exact:
            return self.exact[wanted], ""
        name = wanted.rpartition("/")[2]
        if not name:
            return -1, NAMES_NO_FILE
        attempts = ((self.by_name.get(name), wanted, str), (self.by_stem.get(name), wanted, _stem),
                    (self.by_stem.get(_stem(name)), _stem(wanted), _stem))
        candidates, ending, form = next((attempt for attempt in attempts if attempt[0]), (None, "", str))
        if candidates is None:
            return -1, NOT_FOUND
        if len(candidates) > 1:
            candidates = self._longest_match(candidates, ending, form)
        if len(candidates) == 1:
            return candidates[0], ""
        first, second = (self.files[k] for k in candidates[:2])
        return -1, f"{len(candidates):,} files have this name, for example {first} and {second}."

    def _longest_match(self, candidates: list[int], ending: str, form) -> list[int]:
        """Return those of the candidates whose paths share the longest ending with what the table says."""
        parts = ending.split("/")[-20:]
        for k in range(len(parts)):
            end = "/" + "/".join(parts[k:])
            matches = [c for c in candidates[:1000] if f"/{form(self.files[c])}".endswith(end)]
            if matches:
                return matches
        return candidates


def _stem(path: str) -> str:
    """Return the path without its suffix, where that is one of an image."""
    suffix = suffix_of(path)
    return path[:-len(suffix)] if suffix and suffix in SUFFIXES else path
