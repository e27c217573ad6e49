"""How the intensities of a set are read where images have more than 8 bits, and whether it has such images at all."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.datasets.image_names import FORMATS
from core.datasets.source import Understood
from core.datasets.text import suffix_of
from core.decoding.depth import OWN, intensity_text, parse_intensity

SHALLOW = {suffix for kind in ("JPEG", "BMP", "WebP", "GIF") for suffix in FORMATS[kind]}      # have 8 bits, whatever is in them
MAY_BE_DEEP = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51",      # TIFF, JPEG 2000
               b"\x02\0", b"\x08\0")      # DICOM without its preamble
LOOKED_AT = 16               # files whose heads are read


def in_words(intensity: str) -> str:
    """Return how intensities are read, as the end of a sentence.

    >>> in_words(""), in_words("40 400")
    ('as each file asks', 'by a window (centre 40, width 400)')
    """
    way, window = parse_intensity(intensity)
    if way == OWN:
        return f"by a window (centre {window[0]:,.6g}, width {window[1]:,.6g})"
    return {"": "as each file asks", "percentiles": "by the percentiles 0.1 and 99.9 of each",
            "whole range": "by the whole range of each"}[way]


def intensity_said(intensity: str, root: Path, paths: Sequence[str]) -> list[Understood]:
    """Return one sentence on how intensities are read, where some of the images may have more than 8 bits; else nothing."""
    if not intensity and not any_deep(root, paths):
        return []
    return [Understood("intensity", f"DICOM and images of more than 8 bits are read {in_words(intensity)}.", "intensity")]


def any_deep(root: Path, paths: Sequence[str]) -> bool:
    """Return whether some of the images may have more than 8 bits, by names and by a look at the heads of some files. Cheap."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault(path.rpartition(".")[2], []).append(path)
    for some in kinds.values():
        if suffix_of(some[0]) not in SHALLOW:
            places = np.unique(np.linspace(0, len(some) - 1, LOOKED_AT).astype(int))
            if any(is_deep(_head(root / some[k])) for k in places):
                return True
    return False


def is_deep(head: bytes) -> bool:
    """Return whether a file may have more than 8 bits, by its first bytes.

    >>> is_deep(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(16) + b"\\x10"), is_deep(b"\\xff\\xd8\\xff"), is_deep(b"II*\\0")
    (True, False, True)
    """
    if head.startswith(b"\x89PNG"):
        return head[24:25] == b"\x10"
    if head[:2] in (b"P2", b"P5"):
        numbers = re.findall(rb"\d+", re.sub(rb"#[^\n]*", b"", head[2:]))
        return len(numbers) > 2 and len(numbers[2]) > 2 and int(numbers[2]) > 255
    return head.startswith(MAY_BE_DEEP) or head[128:132] == b"DICM"


def _head(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):      # opening a pipe would wait for ever
            return b""
        with open(path, "rb") as file:
            return file.read(132)
    except (OSError, ValueError):
        return b""


__all__ = ["OWN", "any_deep", "in_words", "intensity_said", "intensity_text", "is_deep", "parse_intensity"]
