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


LEFT_OUT = {"mask": "masks", "copy": "images of a second copy", "augmented": "augmented copies", "thumbnail": "thumbnails",
            "derived": "pictures made from other images",
            "no_class": "images without a class folder", "pattern": "files by your pattern", "not_an_image": "other files",
            "beside_splits": "images beside train, val and test", "lfs_pointer": "Git LFS pointers",
            "no_label": "rows without a label", "no_file": "rows without a file",
            "not_listed": "files that no row names", "repeated": "repeated rows",
            "contradictory": "rows that contradict", "ragged": "rows that do not fit"}


def headline(images: int, patients: int, patients_from: str, classes: dict[str, int], classes_from: str, kind: str,
             split: dict[str, int], left_out: dict[str, int]) -> str:
    """Return what was understood of a set in one sentence.

    >>> headline(40, 12, "column pid", {"nv": 30, "mel": 10}, "column dx", "classes", {"train": 30, "test": 10}, {"mask": 20})
    '40 images of 12 patients (from column pid), 2 classes (from column dx): nv 30, mel 10; split as it came: 30 train, 10 test; \
left out: 20 masks.'
    """
    of = f" of {patients:,} patients (from {patients_from})" if patients else ""
    shown = ", ".join(f"{short(name)} {count:,}" for name, count in list(classes.items())[:8])
    shown += " ..." if len(classes) > 8 else ""
    parts = [f"{images:,} images{of}, {len(classes):,} {kind} (from {classes_from}): {shown}" if classes else
             f"{images:,} images{of} without labels"]
    came = {part: split[part] for part in ("train", "val", "test") if split.get(part)}
    given = ", ".join(f"{count:,} {part}" for part, count in came.items())
    parts.append(f"split as it came: {given}" if came else "not split yet")
    lost = [f"{count:,} {LEFT_OUT.get(what, what.replace('_', ' '))}" for what, count in left_out.items() if count]
    return "; ".join([*parts, *([f"left out: {', '.join(lost)}"] if lost else [])]) + "."
