"""Images in folders: which level of folders is the class, the split, the patient is read from all of them together.

    chest/NORMAL/a.png          chest/train/NORMAL/a.png          IDC/8863/0/8863_x1.png
    chest/PNEUMONIA/b.png       chest/test/PNEUMONIA/b.png        IDC/8864/1/8864_x7.png

Levels are told apart in levels.py, masks and copies in masks.py, patients in names in file_names.py. Whether a file is an
image shows when it is decoded (decode.py); here only names are listed, so that 100,000 images are found in seconds. Nothing is
moved.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from core.config import Task
from core.datasets.decode import decode_image
from core.datasets.external import unlabelled
from core.datasets.file_names import check_pattern
from core.datasets.fingerprints import fingerprint_of, later, skipped_files
from core.datasets.folder_reading import read_folder
from core.datasets.folder_rows import ADD_CLASSES, FolderReading
from core.datasets.intensity import intensity_said, intensity_text
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.levels import Level
from core.datasets.source import Index, Progress, Source, Target
from core.datasets.table_files import unused_tables
from core.datasets.text import natural_key
from core.datasets.walk import unwrap
from core.errors import LightboxError

MAX_CLASSES = 1000
RECENT = 10.0        # seconds


@dataclass(frozen=True)
class FolderOptions:
    """How folders are read.

    Args:
        pattern: regular expression with groups named patient, study, view and label, searched in an image's path below its
            class folder. "" tries the known PATTERNS of file_names.py, "-" reads nothing from names
        ordinal: the classes are grades, in their natural order: 0, 1, 2 ... 10
        levels: what each level of folders is, from the outermost on, each a key of `levels.ROLES`; "" is guessed
        take: kinds of files that are otherwise left out: "mask", "derived", "copy", "augmented",
            "thumbnail"
        only, leave_out: patterns such as *_frontal.png, separated by commas, for the paths of files to read or not to read
        join: class folders whose names differ only in case or blanks are one class
        intensity: of DICOM and images of more than 8 bits: "" as each file asks, "percentiles", "whole range", or a window
            as "centre width"
    """

    pattern: str = ""
    ordinal: bool = False
    levels: tuple[str, ...] = later(())
    take: tuple[str, ...] = later(())
    only: str = later("")
    leave_out: str = later("")
    join: bool = later(False)
    intensity: str = later("")

    def __post_init__(self) -> None:
        object.__setattr__(self, "intensity", intensity_text(self.intensity))

    def selects(self, path: str) -> bool:
        """Return whether `only` and `leave_out` let a file through. A pattern without / is for its name alone."""
        def fits(patterns: str) -> bool:
            wanted = [p.strip().lower() for p in patterns.split(",") if p.strip()]
            return any(fnmatchcase(path.lower() if "/" in p else path.rpartition("/")[2].lower(), p) for p in wanted)

        return (not self.only or fits(self.only)) and not (self.leave_out and fits(self.leave_out))


class Folder(Source):
    """Images in folders below `path`."""

    def __init__(self, path: Path, options: FolderOptions = FolderOptions()):
        self.name, self.options, self.intensity = str(path), options, options.intensity
        if options.pattern not in ("", "-"):
            check_pattern(options.pattern)
        path = Path(path)
        if not path.is_dir():
            raise LightboxError("folder.missing", f"There is no folder {path}.",
                                "Check the path; it may be on a disk that is not connected.")
        self.given, self.path = path, unwrap(path, stop=lambda name: name.lower() in SPLIT_WORDS)
        self._reading, self._read_at = None, 0.0
        self.title = path.resolve().name
        self.description = "Images from a local folder with one subfolder per class."

    def fingerprint(self) -> str:
        """Return a hash of the options and of name, size and time of change of every file that is read."""
        reading = self._read(fresh=True)
        return fingerprint_of([*reading.files, *reading.faulty], self.options, reading.key)

    def levels(self) -> list[Level]:
        """Return what each level of folders was taken for, from the outermost on."""
        return self._read().levels

    def scan(self, progress: Progress | None = None) -> Index:
        reading = self._read()
        self.table = reading.table()
        names = reading.labels
        class_names = tuple(sorted(set(names) - {""}, key=natural_key))
        if len(class_names) > MAX_CLASSES:
            raise LightboxError("folder.classes", f"{self.path} has {len(class_names):,} subfolders with images; each would be a "
                                f"class, and the limit is {MAX_CLASSES:,}.", "Make one subfolder per class; if these are "
                                "patients, sort them into class folders.")
        if len(class_names) == 1:
            raise LightboxError("folder.classes", f"The folder {self.path} has only one class, {class_names[0]}.", ADD_CLASSES)
        said = [*reading.understood, *intensity_said(self.intensity, self.path, self.table["path"])]
        told = (skipped_files(reading.faulty), reading.notes, said, dict(reading.left_out))
        if not class_names:
            index = unlabelled(list(self.table["path"]))
            self.table = self.table.assign(split=index.table["split"])
            said += unused_tables(self.given)
            return Index(self.table, index.targets, told[0], index.notes + told[1], *told[2:])
        task = Task.ORDINAL if self.options.ordinal else Task.BINARY if len(class_names) == 2 else Task.MULTICLASS
        targets = {"class": _target("class", "Class", task, names)}
        for k, others in reading.other_levels():
            task = Task.BINARY if len(set(others)) == 2 else Task.MULTICLASS
            targets[f"level_{k + 1}"] = _target(f"level_{k + 1}", f"Folder level {k + 1}", task, others)
        return Index(self.table, targets, *told)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i], intensity=self.intensity).pixels

    def mask(self, i: int) -> np.ndarray | None:
        """Return the union of the masks that lie beside image i, (H, W) bool at its full resolution; None where it has none."""
        paths = self.table["mask"].iloc[i].split("|") if "mask" in self.table else []
        masks = [decode_image(self.path / path).pixels.max(axis=2) for path in paths if path]
        if not masks:
            return None
        height, width = self.original(i).shape[:2]
        on = [cv2.resize((m > (m.max() // 2 if m.max() > FEW_VALUES else 0)).astype(np.uint8), (width, height),
                         interpolation=cv2.INTER_NEAREST) for m in masks]
        return np.any(on, axis=0)

    def preview_names(self, count: int = 8) -> pd.DataFrame:
        """Return what is read from some names, spread over the whole folder: columns path, patient, study, view, all text.

        Raises LightboxError "folder.pattern".
        """
        table = self._read().table()
        rows = np.linspace(0, len(table) - 1, min(count, len(table))).round().astype(int)
        return table.iloc[rows][["path", "patient", "study", "view"]].reset_index(drop=True)

    def _read(self, fresh: bool = False) -> FolderReading:
        """Read the folder; what was read within the last seconds is good enough, but for the fingerprint."""
        if fresh or self._reading is None or time.monotonic() - self._read_at > RECENT:
            self._reading, self._read_at = read_folder(self.path, self.options, self.given), time.monotonic()
        return self._reading


FEW_VALUES = 40      # a mask whose largest value is above this is black and white, perhaps blurred by JPEG; others hold numbers


def _target(name: str, title: str, task: str, values: list[str]) -> Target:
    names = tuple(sorted(set(values), key=natural_key))
    number = {value: k for k, value in enumerate(names)}
    return Target(name, title, task, names, np.array([number[value] for value in values], np.int64))
