"""Names of files and classes: suffixes, order, and how they are shown in a sentence."""

from __future__ import annotations

import re


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name with its dot, in lower case; "" where it has none. A number is none: DICOM files are
    named by their UID.

    >>> suffix_of("a/B.PNG"), suffix_of("a.b/C"), suffix_of("1.2.276.0.7230010")
    ('.png', '', '')
    """
    stem, dot, suffix = name.strip().rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem and not suffix.isdecimal() else ""


def natural_key(name: str) -> tuple:
    """Return a sort key by which 2 comes before 10, and 1 before 01.

    >>> sorted(["10", "2", "grade 1", "02"], key=natural_key)
    ['2', '02', '10', 'grade 1']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], len(name), name


def short(text: str) -> str:
    """Return at most 60 characters of what a file says, for a sentence."""
    return text if len(text) <= 60 else f"{text[:57]}..."
