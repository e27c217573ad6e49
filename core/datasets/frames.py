"""DICOM files of several frames in a folder: each frame is an image of its own, and all of a file stay on one side of a split."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.decode import FRAME, count_frames
from core.datasets.image_names import FORMATS
from core.datasets.source import Target, Understood
from core.datasets.text import suffix_of
from core.datasets.walk import ListedFile

MOST = 10_000           # frames of one file that are listed


def with_frames(root: Path, files: list[ListedFile]) -> tuple[list[ListedFile], list[Understood]]:
    """Replace each DICOM file of several frames by its frames, x.dcm#frame=1 and so on, and say so."""
    listed, count = [], 0
    for file in files:
        frames = 1 if file.fault or suffix_of(file.path) not in FORMATS["DICOM"] else min(
            MOST, _frames(str(root / file.path), file.size, file.changed))
        if frames > 1:
            count += 1
            listed += [file._replace(path=f"{file.path}{FRAME}{k + 1}") for k in range(frames)]
        else:
            listed.append(file)
    if not count:
        return files, []
    return listed, _said(count, len(listed) - len(files) + count)


def frames_as_rows(root: Path, table: pd.DataFrame, targets: dict[str, Target]) -> tuple[
        pd.DataFrame, dict[str, Target], list[Understood]]:
    """Do the same in a table of images with its labels: each frame has the row and the labels of its file."""
    frames = np.array([_count(root, path) for path in table["path"]], np.int64)
    if not (frames > 1).any():
        return table, targets, []
    rows = np.repeat(np.arange(len(table)), frames)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(frames) - frames, frames)
    several = frames[rows] > 1
    table = table.iloc[rows].reset_index(drop=True)
    paths = [f"{path}{FRAME}{k + 1}" if more else path for path, k, more in zip(table["path"], number, several)]
    patients = [patient or file_of(path) for patient, path in zip(table["patient"], paths)]
    targets = {name: replace(target, labels=target.labels[rows]) for name, target in targets.items()}
    return (table.assign(image_id=paths, path=paths, patient=patients), targets,
            _said(int((frames > 1).sum()), int(several.sum())))


def paths_of_frames(file: Path) -> list[Path]:
    """Return the paths of all frames of a DICOM file, whatever its name; of another file, and of one frame, its own."""
    frames = min(MOST, count_frames(file))
    return [file.with_name(f"{file.name}{FRAME}{k + 1}") for k in range(frames)] if frames > 1 else [file]


def _count(root: Path, path: str) -> int:
    if suffix_of(path) not in FORMATS["DICOM"]:
        return 1
    try:
        facts = (root / path).stat()
    except (OSError, ValueError):
        return 1
    return min(MOST, _frames(str(root / path), facts.st_size, facts.st_mtime_ns))


def _said(files: int, frames: int) -> list[Understood]:
    return [Understood("frames", f"{files:,} DICOM file{'s hold' if files > 1 else ' holds'} {frames:,} frames; each frame "
                       "is an image, and those of a file stay together in the split.")]


@lru_cache(300_000)
def _frames(path: str, size: int, changed: int) -> int:
    return count_frames(Path(path))


def file_of(path: str) -> str:
    """Return the file of a frame's path, "" where it is none.

    >>> file_of("a/x.dcm#frame=2"), file_of("a/x.dcm")
    ('a/x.dcm', '')
    """
    name, mark, number = path.rpartition(FRAME)
    return name if mark and number.isdecimal() else ""
