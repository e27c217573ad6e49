"""A folder with one subfolder a class, with or without train, val and test above. Read where it lies; nothing is moved.

    chest/NORMAL/a.png                 chest/train/NORMAL/a.png
    chest/PNEUMONIA/b.png              chest/test/PNEUMONIA/b.png

The patient is read from the file's name where it follows one of PATTERNS. Images are told by content when they are decoded
(core/datasets/intake.py); here only the names are listed, so that 100,000 images are found in a second.
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

from core.datasets.intake import decode_image
from core.datasets.source import Index, Progress, Source, Target
from core.errors import LightboxError

SPLIT_FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
                 "test": "test", "testing": "test"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".dcm", ".dicom", ""}     # worth a try
IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}      # and everything that starts with a dot


@dataclass(frozen=True)
class Pattern:
    """How one collection writes patients into its names.

    Args:
        regex: searched in the path below the class folder; the groups patient, study and view are taken where there are any
        restarts: the numbers begin anew in each of train, val and test, so a patient there is another person
        note: what a person should know where the pattern is used
    """

    collection: str
    regex: str
    restarts: bool = False
    note: str = ""


PATTERNS = (
    Pattern("MURA", r"(^|/)(?P<patient>patient\d+)/(?P<study>study\d+)\w*/[^/]*$"),
    # Kermany 2018. Its numbers of pneumonia: 170 of the 202 in test also occur in train, though the authors split by person.
    Pattern("Kermany chest X-rays, pneumonia", r"(^|/)(?P<patient>person\d+)_(bacteria|virus)_\d+(_\d+)?\.\w+$", restarts=True,
            note="Patient numbers (person12) are taken to begin anew in train and test, as the authors of these chest X-rays "
                 "say that no patient is in both. The names alone cannot show it."),
    # Two series, IM-... and NORMAL2-IM-..., each counting on from test to train without a number in both.
    Pattern("Kermany chest X-rays, normal", r"(^|/)(?P<patient>(NORMAL2-)?IM-\d+)-\d+(-\d+)?\.\w+$"),
    Pattern("knee X-rays of the Osteoarthritis Initiative", r"(^|/)(?P<patient>9\d{6})(?P<view>[LR])(_\d+)?\.\w+$"),
    Pattern("NIH ChestX-ray14", r"(^|/)(?P<patient>\d{8})_(?P<study>\d{3})\.\w+$"),
)


class Folder(Source):
    """Images in class folders below `path`."""

    def __init__(self, path: Path):
        self.name = str(path)
        path = Path(path)
        if not path.is_dir():
            raise LightboxError("folder.missing", f"There is no folder {path}.", "Check the path; it may lie on a disk "
                                "that is not connected.")
        self.path = _unwrap(path)
        self.title = path.resolve().name
        self.description = "Images from a local folder with one subfolder for each class."

    def fingerprint(self) -> str:
        """From name, size and time of change of every file: a file that is added, removed or saved again changes it."""
        lines = "\n".join(f"{f.path}\t{f.size}\t{f.changed}" for f in self._list()[0])
        return hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()

    def scan(self, progress: Progress | None = None) -> Index:
        files, notes = self._list()
        skipped = [{"path": f.path.encode("utf-8", "replace").decode(), "reason": f.fault} for f in files if f.fault]
        files = [f for f in files if not f.fault]
        class_names = tuple(sorted({f.class_name for f in files}, key=_natural))
        if len(class_names) < 2:
            found = f"only one class, {class_names[0]}" if class_names else "no subfolder with images"
            raise LightboxError("folder.classes", f"In {self.path} there is {found}.",
                                "Make one subfolder for each class, at least two, and put the images into them.")
        number = {name: k for k, name in enumerate(class_names)}
        rows, used = [], {}
        for f in files:
            pattern, patient, study, view = read_name(f.path, f.split)
            used[pattern] = used.get(pattern, 0) + 1
            rows.append((f.path, patient, study, view, f.path, f.split))
        for pattern, count in used.items():
            if pattern:
                notes.append(f"The patient of {count:,} images was read from names as in {pattern.collection}.")
                notes += [pattern.note] if pattern.note else []
        self.table = pd.DataFrame(rows, columns=["image_id", "patient", "study", "view", "path", "split"])
        labels = np.array([number[f.class_name] for f in files], np.int64)
        task = "binary-class" if len(class_names) == 2 else "multi-class"
        target = Target("class", "Class", task, class_names, labels)
        return Index(self.table, {"class": target}, skipped, notes)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i]).pixels

    def _list(self) -> tuple[list[_File], list[str]]:
        """All files worth a try, sorted, and notes about the rest."""
        top = _subfolders(self.path)
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
            for class_name in _subfolders(self.path / part):
                below = "/".join(p for p in (part, class_name) if p)
                found, other = _files(self.path, below, split, class_name)
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


class _File(NamedTuple):      # quicker to make than a dataclass, and there may be a hundred thousand
    path: str            # below the set's folder, with /
    split: str
    class_name: str
    size: int = 0        # bytes
    changed: int = 0     # nanoseconds
    fault: str = ""      # why it cannot be used, where that shows without opening it


def read_name(path: str, split: str = "") -> tuple[Pattern | None, str, str, str]:
    """(pattern, patient, study, view) from an image's path below the set's folder; "" for what the name does not say."""
    for pattern in PATTERNS:
        match = re.search(pattern.regex, path)
        if match:
            facts = match.groupdict()
            patient = facts["patient"]
            if pattern.restarts and split:
                patient = f"{split}/{patient}"
            study = facts.get("study") or ""
            return pattern, patient, f"{patient}/{study}" if study else "", facts.get("view") or ""
    return None, "", "", ""


def _unwrap(path: Path) -> Path:
    """The folder inside, where a download has wrapped the set into folders that hold nothing else."""
    inner = path
    for _ in range(4):
        below = _subfolders(inner)
        if len(below) > 1 or below and below[0].lower() in SPLIT_FOLDERS:
            return inner
        if not below:
            break
        inner = inner / below[0]
    return path


def _subfolders(path: Path) -> list[str]:
    """Names of the folders in `path` (links to folders too), sorted, without hidden ones and leftovers."""
    try:
        with os.scandir(path) as entries:
            return sorted((e.name for e in entries if not _ignored(e.name) and _is_dir(e)), key=_natural)
    except OSError as error:
        raise LightboxError("folder.unreadable", f"The folder {path} cannot be read: {error.strerror}.",
                            "Check that you may open it.") from error


def _files(root: Path, below: str, split: str, class_name: str) -> tuple[list[_File], int]:
    """Files under root/below at any depth, sorted, and how many had names that are not those of images. Linked folders are
    not entered, since they can lead in circles."""
    found, left_out, stack = [], 0, [below]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(root / folder) as scan:
                entries = list(scan)
        except OSError as error:
            found.append(_File(folder, split, class_name, fault=f"{folder} cannot be opened: {error.strerror}."))
            continue
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
                found.append(_File(path, split, class_name, facts.st_size, facts.st_mtime_ns))
            except UnicodeEncodeError:
                found.append(_File(path, split, class_name, fault="Its name is not valid UTF-8. Rename it."))
            except OSError as error:
                found.append(_File(path, split, class_name, fault=f"{entry.name} cannot be opened: {error.strerror}."))
    return sorted(found, key=lambda f: f.path), left_out


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:      # a link that leads to itself
        return False


def _natural(name: str) -> list:
    """Sort key by which 2 comes before 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]
