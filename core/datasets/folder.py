"""A folder with one subfolder per class, with or without train, val and test above. Read where it lies; nothing is moved.

    chest/NORMAL/a.png                 chest/train/NORMAL/a.png
    chest/PNEUMONIA/b.png              chest/test/PNEUMONIA/b.png

The patient is read from the file's name by a pattern (file_names.py). Whether a file is an image shows when it is decoded
(decode.py); here only names are listed, so that 100,000 images are found in a second.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.config import Task
from core.datasets.decode import decode_image
from core.datasets.file_names import NameFacts, check_pattern, match_names, read_name
from core.datasets.image_names import SUFFIXES
from core.datasets.source import Index, Progress, Source, Target
from core.datasets.text import natural_key, suffix_of
from core.errors import LightboxError

SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
                 "test": "test", "testing": "test"}
MAX_CLASSES = 1000
MAX_FILES = 1_000_000       # below one class folder
IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}      # and everything that starts with a dot


@dataclass(frozen=True)
class FolderOptions:
    """How class folders are read.

    Args:
        pattern: regular expression with groups named patient, study and view, searched in an image's path below its class
            folder. "" tries the known PATTERNS of file_names.py, "-" reads nothing from names
        ordinal: the classes are grades, in their natural order: 0, 1, 2 ... 10
    """

    pattern: str = ""
    ordinal: bool = False


class ListedFile(NamedTuple):      # quicker to make than a dataclass, and there may be a hundred thousand
    path: str            # below the folder of the data set, with /
    split: str
    class_name: str
    size: int = 0        # bytes
    changed: int = 0     # nanoseconds
    fault: str = ""      # why it cannot be used, where that shows without opening it


class Folder(Source):
    """Images in class folders below `path`."""

    def __init__(self, path: Path, options: FolderOptions = FolderOptions()):
        self.name, self.options = str(path), options
        if options.pattern not in ("", "-"):
            check_pattern(options.pattern)
        path = Path(path)
        if not path.is_dir():
            raise LightboxError("folder.missing", f"There is no folder {path}.",
                                "Check the path; it may be on a disk that is not connected.")
        self.path = unwrap(path)
        self.title = path.resolve().name
        self.description = "Images from a local folder with one subfolder per class."

    def fingerprint(self) -> str:
        """Return a hash of the options and of name, size and time of change of every file."""
        return fingerprint_of(self._list()[0], self.options)

    def scan(self, progress: Progress | None = None) -> Index:
        files, notes = self._list()
        skipped = skipped_files(files)
        files = [f for f in files if not f.fault]
        class_names = tuple(sorted({f.class_name for f in files}, key=natural_key))
        if len(class_names) < 2:
            what = f"has only one class, {class_names[0]}" if class_names else "has no subfolders with images"
            raise LightboxError("folder.classes", f"The folder {self.path} {what}.",
                                "Make one subfolder per class, at least two, and put the images into them.")
        if len(class_names) > MAX_CLASSES:
            raise LightboxError("folder.classes", f"{self.path} has {len(class_names):,} subfolders with images; each would be a "
                                f"class, and the limit is {MAX_CLASSES:,}.", "Make one subfolder per class; if these are "
                                "patients, sort them into class folders.")
        number = {name: k for k, name in enumerate(class_names)}
        facts, name_notes = self._read_names(files)
        rows = [(f.path, *fact, f.path, f.split) for f, fact in zip(files, facts)]
        self.table = pd.DataFrame(rows, columns=["image_id", "patient", "study", "view", "path", "split"])
        labels = np.array([number[f.class_name] for f in files], np.int64)
        task = Task.BINARY if len(class_names) == 2 else Task.MULTICLASS
        if self.options.ordinal:
            task = Task.ORDINAL
        return Index(self.table, {"class": Target("class", "Class", task, class_names, labels)}, skipped, notes + name_notes)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i]).pixels

    def preview_names(self, count: int = 8) -> pd.DataFrame:
        """Return what is read from some names, spread over the whole folder: columns path, patient, study, view, all text.

        Raises LightboxError "folder.pattern".
        """
        files = [f for f in self._list()[0] if not f.fault]
        some = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)]
        facts, _ = self._read_names(some)
        return pd.DataFrame([(f.path, *fact) for f, fact in zip(some, facts)], columns=["path", "patient", "study", "view"])

    def _read_names(self, files: list[ListedFile]) -> tuple[list[NameFacts], list[str]]:
        """Return what each file's name says, "" for what it does not say, and notes about that."""
        pattern = self.options.pattern
        if pattern == "-":
            return [NameFacts()] * len(files), []
        if pattern:
            facts = [fact or NameFacts() for fact in match_names(pattern, [below_class(f) for f in files])]
            missed = [f.path for f, fact in zip(files, facts) if not fact.patient]
            notes = [f'The patient of {len(files) - len(missed):,} images was read from names by the pattern "{pattern}".']
            if missed:
                notes.append(f'The pattern finds no patient in {len(missed):,} names, for example in "{missed[0]}".')
            return facts, notes
        matches = [read_name(f.path, f.split) for f in files]
        notes = []
        for known, count in Counter(known for known, _ in matches).items():
            if known:
                notes.append(f"The patient of {count:,} images was read from names as in {known.collection}.")
                notes += [known.note] if known.note else []
        return [fact for _, fact in matches], notes

    def _list(self) -> tuple[list[ListedFile], list[str]]:
        """Return all files worth a try, sorted, and notes about the rest."""
        folders = subfolders(self.path)
        splits = sorted((SPLIT_FOLDERS[d.lower()], d) for d in folders if d.lower() in SPLIT_FOLDERS)
        notes: list[str] = []
        if any(split == "train" for split, _ in splits):
            others = [d for d in folders if d.lower() not in SPLIT_FOLDERS]
            if others:
                notes.append(f"These folders beside train, val and test were left out: {', '.join(others)}.")
        else:
            splits = [("", "")]
        files, left_out, empty, filled = [], 0, [], set()
        for split, above in splits:
            for class_name in subfolders(self.path / above):
                below = f"{above}/{class_name}" if above else class_name
                listed, other = list_files(self.path, below, split, class_name)
                left_out += other
                files += listed
                if listed:
                    filled.add(class_name)
                else:
                    empty.append((below, class_name))
        for below, class_name in empty:
            if class_name not in filled:
                raise LightboxError("folder.empty_class", f"The class folder {below} in {self.path} holds no images.",
                                    "Put images into it or remove it.")
            notes.append(f"The folder {below} is empty.")
        return files, notes + left_out_note(left_out)


def skipped_files(files: list[ListedFile]) -> list[dict]:
    """Return the files that cannot be used, as `Index.skipped` has them."""
    return [{"path": f.path.encode("utf-8", "replace").decode(), "reason": f.fault} for f in files if f.fault]


def left_out_note(count: int) -> list[str]:
    """Return a note about files that are no images by their names, or nothing."""
    return [f"{count:,} files were left out: by their names they are not images."] if count else []


def below_class(file: ListedFile) -> str:
    """Return an image's path below its class folder: "train/NORMAL/p1/a.png" -> "p1/a.png"."""
    return file.path.split("/", 2 if file.split else 1)[-1]


def later(default: Any) -> Any:
    """Return a field of read options that came after the first stores: at its default it is in no fingerprint."""
    return field(default=default, metadata={"later": True})


def options_text(options: object) -> str:
    """Return read options as text for a fingerprint.

    Their classes were called ...Reading when the first stores were made, and the keys of those stores must not change: a field
    made by `later` stands there only where it is not at its default.

    >>> options_text(FolderOptions())
    "FolderReading(pattern='', ordinal=False)"
    """
    values = [(f, getattr(options, f.name)) for f in fields(options)]
    shown = (f"{f.name}={value!r}" for f, value in values if not (f.metadata.get("later") and value == f.default))
    return f"{type(options).__qualname__}({', '.join(shown)})".replace("Options(", "Reading(", 1)


def fingerprint_of(files: list[ListedFile], options: object) -> str:
    """Return the SHA-256 over name, size and time of change of every file, and over the read options (a dataclass)."""
    lines = "\n".join([options_text(options), *(f"{f.path}\t{f.size}\t{f.changed}" for f in files)])
    return hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()


def unwrap(path: Path) -> Path:
    """Return the folder inside, where a download has wrapped the data set in folders that hold nothing else."""
    inner = path
    for _ in range(4):
        below = subfolders(inner)
        if len(below) > 1 or below and below[0].lower() in SPLIT_FOLDERS:
            return inner
        if not below:
            break
        inner = inner / below[0]
    return path


def subfolders(path: Path) -> list[str]:
    """Return the names of the folders in `path`, sorted, without hidden ones and leftovers.

    Links to folders count, except those that lead back to where one came from: a class that is a link to / would be the whole
    disk. Raises LightboxError "folder.unreadable".
    """
    try:
        with os.scandir(path) as entries:
            return sorted((e.name for e in entries if not _is_ignored(e.name) and _is_dir(e) and not _leads_back(e, path)),
                          key=natural_key)
    except OSError as error:
        raise LightboxError("folder.unreadable", f"The folder {path} cannot be read: {error.strerror}.",
                            "Check that you may open it.") from error


def walk(root: Path, below: str, on_error: Callable[[str, OSError], None]) -> Iterator[tuple[str, os.DirEntry]]:
    """Yield the files under root/below at any depth, as (path below root, entry), without hidden ones and leftovers.

    Linked folders are not entered, since they can lead in circles. `on_error` is called with a folder that cannot be read.
    """
    stack = [below]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if _is_ignored(entry.name):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(path)
                    else:
                        yield path, entry
        except OSError as error:
            on_error(folder, error)


def list_files(root: Path, below: str, split: str, class_name: str) -> tuple[list[ListedFile], int]:
    """Return the files under root/below that may be images, sorted, and how many others there were."""
    files, left_out = [], 0

    def on_error(folder: str, error: OSError) -> None:
        files.append(ListedFile(folder, split, class_name, fault=f"{folder} cannot be opened: {error.strerror}."))

    for path, entry in walk(root, below, on_error):
        if len(files) + left_out >= MAX_FILES:
            raise LightboxError("folder.too_large", f"There are more than {MAX_FILES:,} files in {root / below}.",
                                "Give a folder that holds the images and little else.")
        if suffix_of(entry.name) not in SUFFIXES:
            left_out += 1
            continue
        try:
            if not path.isascii():
                path.encode()
            facts = entry.stat()
            files.append(ListedFile(path, split, class_name, facts.st_size, facts.st_mtime_ns))
        except UnicodeEncodeError:
            files.append(ListedFile(path, split, class_name, fault="Its name is not valid UTF-8. Rename it."))
        except OSError as error:
            files.append(ListedFile(path, split, class_name, fault=f"{entry.name} cannot be opened: {error.strerror}."))
    return sorted(files, key=lambda f: f.path), left_out


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:      # a link that leads to itself
        return False


def _leads_back(entry: os.DirEntry, path: Path) -> bool:
    if not entry.is_symlink():
        return False
    here = path.resolve()
    return Path(entry.path).resolve() in (here, *here.parents)
