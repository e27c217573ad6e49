"""DICOM files of several frames in a folder: each frame is an image of its own, and all of a file stay on one side of a split."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from core.datasets.decode import FRAME, count_frames
from core.datasets.image_names import FORMATS
from core.datasets.source import Understood
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
    more = len(listed) - len(files) + count
    return listed, [Understood("frames", f"{count:,} DICOM file{'s hold' if count > 1 else ' holds'} {more:,} frames; each frame "
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
