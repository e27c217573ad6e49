"""A folder with one subfolder a class, with or without train, val and test above. Read where it lies; nothing is moved.

    chest/NORMAL/a.png                 chest/train/NORMAL/a.png
    chest/PNEUMONIA/b.png              chest/test/PNEUMONIA/b.png

The patient is read from the file's name by a pattern (core/datasets/file_names.py). Images are told by content when they are decoded
(core/datasets/decode.py); here only the names are listed, so that 100,000 images are found in a second.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.datasets.decode import decode_image
from core.datasets.file_names import check_pattern, match_names, read_name
from core.datasets.source import Index, Progress, Source, Target
from core.errors import LightboxError

SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
                 "test": "test", "testing": "test"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".dcm", ".dicom", ""}     # worth a try
MAX_CLASSES = 1000
MAX_FILES = 1_000_000       # below one class folder
IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}      # and everything that starts with a dot


@dataclass(frozen=True)
class FolderReading:
    """How class folders are read.

    Args:
        pattern: regular expression with groups named patient, study and view, searched in an image's path below its class
            folder. "" tries the known PATTERNS of core/datasets/file_names.py, "-" reads nothing from names
        ordinal: the classes are grades, in their natural order: 0, 1, 2 ... 10
    """

    pattern: str = ""
    ordinal: bool = False


class Folder(Source):
    """Images in class folders below `path`."""

    def __init__(self, path: Path, reading: FolderReading = FolderReading()):
        self.name, self.reading = str(path), reading
        if reading.pattern not in ("", "-"):
            check_pattern(reading.pattern)
        path = Path(path)
        if not path.is_dir():
            raise LightboxError("folder.missing", f"There is no folder {path}.", "Check the path; it may lie on a disk "
                                "that is not connected.")
        self.path = unwrap(path)
        self.title = path.resolve().name
        self.description = "Images from a local folder with one subfolder for each class."

    def fingerprint(self) -> str:
        """From name, size and time of change of every file and from how they are read: a file that is added, removed or saved
        again changes it."""
        return fingerprint_of(self._list()[0], self.reading)

    def scan(self, progress: Progress | None = None) -> Index:
        files, notes = self._list()
        skipped = [{"path": f.path.encode("utf-8", "replace").decode(), "reason": f.fault} for f in files if f.fault]
        files = [f for f in files if not f.fault]
        class_names = tuple(sorted({f.class_name for f in files}, key=_natural))
        if len(class_names) < 2:
            found = f"only one class, {class_names[0]}" if class_names else "no subfolder with images"
            raise LightboxError("folder.classes", f"In {self.path} there is {found}.",
                                "Make one subfolder for each class, at least two, and put the images into them.")
        if len(class_names) > MAX_CLASSES:
            raise LightboxError("folder.classes", f"In {self.path} there are {len(class_names):,} subfolders with images; each "
                                f"would be a class, and the limit is {MAX_CLASSES:,}.", "Make one subfolder for each class; if "
                                "these are patients, put them into folders for the classes.")
        number = {name: k for k, name in enumerate(class_names)}
        facts, said = self._read_names(files)
        notes += said
        rows = [(f.path, *fact, f.path, f.split) for f, fact in zip(files, facts)]
        self.table = pd.DataFrame(rows, columns=["image_id", "patient", "study", "view", "path", "split"])
        labels = np.array([number[f.class_name] for f in files], np.int64)
        task = "ordinal-regression" if self.reading.ordinal else "binary-class" if len(class_names) == 2 else "multi-class"
        target = Target("class", "Class", task, class_names, labels)
        return Index(self.table, {"class": target}, skipped, notes)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i]).pixels

    def _read_names(self, files: list[ListedFile]) -> tuple[list[tuple[str, str, str]], list[str]]:
        """(patient, study, view) of each file, "" for what its name does not say, and what to know about that."""
        pattern = self.reading.pattern
        if pattern == "-":
            return [("", "", "")] * len(files), []
        if pattern:
            found = match_names(pattern, [below_class(f) for f in files])
            facts = [(p, f"{p}/{s}" if p and s else s, v) for p, s, v in (fact or ("", "", "") for fact in found)]
            missed = [f.path for f, fact in zip(files, facts) if not fact[0]]
            notes = [f'The patient of {len(files) - len(missed):,} images was read from names by the pattern "{pattern}".']
            if missed:
                notes.append(f'The pattern finds no patient in {len(missed):,} names, for example in "{missed[0]}".')
            return facts, notes
        facts, used = [], {}
        for f in files:
            known, *fact = read_name(f.path, f.split)
            used[known] = used.get(known, 0) + 1
            facts.append(tuple(fact))
        notes = []
        for known, count in used.items():
            if known:
                notes.append(f"The patient of {count:,} images was read from names as in {known.collection}.")
                notes += [known.note] if known.note else []
        return facts, notes

    def _list(self) -> tuple[list[ListedFile], list[str]]:
        """All files worth a try, sorted, and notes about the rest."""
        top = subfolders(self.path)
        parts = [(SPLIT_FOLDERS[d.lower()], d) for d in top if d.lower() in SPLIT_FOLDERS]
        notes: list[str] = []
        if any(split == "train" for split, _ in parts):
            others = [d for d in top if d.lower() not in SPLIT_FOLDERS]
            if others:
                notes.append(f"Beside train, val and test these folders were left out: {', '.join(others)}.")
        else:
            parts = [("", "")]
        files, left_out, empty, filled = [], 0, [], set()
        for split, part in sorted(parts):
            for class_name in subfolders(self.path / part):
                below = "/".join(p for p in (part, class_name) if p)
                found, other = list_files(self.path, below, split, class_name)
                left_out += other
                files += found
                if found:
                    filled.add(class_name)
                else:
                    empty.append((below, class_name))
        for below, class_name in empty:
            if class_name not in filled:
                raise LightboxError("folder.empty_class", f"The class folder {below} in {self.path} holds no images.",
                                    "Put images into it or remove it.")
            notes.append(f"The folder {below} is empty.")
        if left_out:
            notes.append(f"{left_out:,} files whose names are not those of images were left out.")
        return files, notes


class ListedFile(NamedTuple):      # quicker to make than a dataclass, and there may be a hundred thousand
    path: str            # below the set's folder, with /
    split: str
    class_name: str
    size: int = 0        # bytes
    changed: int = 0     # nanoseconds
    fault: str = ""      # why it cannot be used, where that shows without opening it


def read_names(path: Path, reading: FolderReading, count: int = 8) -> pd.DataFrame:
    """What a reading takes from some names, spread over the whole folder: columns path, patient, study, view, all text.

    Raises LightboxError as `Folder` does, and "folder.pattern".
    """
    folder = Folder(path, reading)
    files = [f for f in folder._list()[0] if not f.fault]
    some = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)]
    facts, _ = folder._read_names(some)
    return pd.DataFrame([(f.path, *fact) for f, fact in zip(some, facts)], columns=["path", "patient", "study", "view"])


def below_class(file: ListedFile) -> str:
    """An image's path below its class folder: "train/NORMAL/p1/a.png" -> "p1/a.png"."""
    return file.path.split("/", 2 if file.split else 1)[-1]


def fingerprint_of(files: list[ListedFile], reading: object) -> str:
    """SHA-256 over name, size and time of change of every file, and over how they are read (a dataclass)."""
    lines = "\n".join([repr(reading), *(f"{f.path}\t{f.size}\t{f.changed}" for f in files)])
    return hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()


def unwrap(path: Path) -> Path:
    """The folder inside, where a download has wrapped the set into folders that hold nothing else."""
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
    """Names of the folders in `path`, sorted, without hidden ones and leftovers. Links to folders count, except those that lead
    back to where one came from: a class that is a link to / would be the whole disk."""
    try:
        with os.scandir(path) as entries:
            return sorted((e.name for e in entries if not _ignored(e.name) and _is_dir(e) and not _leads_back(e, path)),
                          key=_natural)
    except OSError as error:
        raise LightboxError("folder.unreadable", f"The folder {path} cannot be read: {error.strerror}.",
                            "Check that you may open it.") from error


def list_files(root: Path, below: str, split: str, class_name: str) -> tuple[list[ListedFile], int]:
    """Files under root/below at any depth, sorted, and how many had names that are not those of images. Linked folders are
    not entered, since they can lead in circles."""
    found, left_out, stack = [], 0, [below]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(root / folder) as scan:
                entries = list(scan)
        except OSError as error:
            found.append(ListedFile(folder, split, class_name, fault=f"{folder} cannot be opened: {error.strerror}."))
            continue
        if len(found) + left_out + len(entries) > MAX_FILES:
            raise LightboxError("folder.too_large", f"There are more than {MAX_FILES:,} files in {root / below}.",
                                "Give the folder that holds the images and little else.")
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if _ignored(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                stack.append(path)
                continue
            _, dot, suffix = entry.name.rpartition(".")
            if (dot + suffix.lower() if dot else "") not in SUFFIXES:
                left_out += 1
                continue
            try:
                if not path.isascii():
                    path.encode()
                facts = entry.stat()
                found.append(ListedFile(path, split, class_name, facts.st_size, facts.st_mtime_ns))
            except UnicodeEncodeError:
                found.append(ListedFile(path, split, class_name, fault="Its name is not valid UTF-8. Rename it."))
            except OSError as error:
                found.append(ListedFile(path, split, class_name, fault=f"{entry.name} cannot be opened: {error.strerror}."))
    return sorted(found, key=lambda f: f.path), left_out


def _ignored(name: str) -> bool:
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


def _natural(name: str) -> list:
    """Sort key by which 2 comes before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
